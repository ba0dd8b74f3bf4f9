// The part of `bittorrent-protocol` 5 that the conformance test calls; the package has no types of its own.
declare module 'bittorrent-protocol' {
  import type { EventEmitter } from 'node:events';

  // biome-ignore lint/style/noDefaultExport: this is how the package exports its one class.
  export default class Wire extends EventEmitter {
    readonly peerChoking: boolean;
    readonly peerInterested: boolean;
    readonly peerExtendedMapping: Readonly<Record<string, number>>;
    readonly peerExtendedHandshake: Readonly<Record<string, unknown>>;
    readonly extendedHandshake: Record<string, unknown>;
    readonly extendedMapping: Record<number, string>;
    readonly hasFast: boolean;
    write(bytes: Uint8Array): boolean;
    destroy(): void;
    handshake(infoHash: string, peerId: string, extensions: { fast: boolean }): void;
    keepAlive(): void;
    choke(): void;
    unchoke(): void;
    interested(): void;
    uninterested(): void;
    have(index: number): void;
    bitfield(bytes: Uint8Array): void;
    request(index: number, begin: number, length: number, callback: (error: Error | null) => void): void;
    piece(index: number, begin: number, block: Uint8Array): void;
    cancel(index: number, begin: number, length: number): void;
    suggest(index: number): void;
    haveAll(): void;
    haveNone(): void;
    reject(index: number, begin: number, length: number): void;
    allowedFast(index: number): void;
    port(port: number): void;
    extended(id: number | string, payload: Uint8Array): void;
  }
}
