import { duplexPair } from 'node:stream';
import { silentLogger } from '@sealift/core';
import { BlobService } from '../../packages/cli/src/engine/blob-service.ts';
import { EngineChannel } from '../../packages/cli/src/engine/engine-channel.ts';
import {
  ENGINE_MESSAGES,
  type EngineMessage,
  FRONT_MESSAGES,
  type FrontMessage,
  parseMessage,
} from '../../packages/cli/src/engine/engine-messages.ts';
import { RemoteBlobSource } from '../../packages/cli/src/engine/remote-blob-source.ts';
import type { WiredNode } from './wired-node.ts';

/** The two halves of a node as its two processes have them, with a channel between. */
export interface RemoteNode {
  readonly source: RemoteBlobSource;
  /** Ends the channel, as the end of the engine would. */
  cut(): void;
}

/** The front of a node whose engine is `node`. */
export function remoteNode({ source: finder, store }: WiredNode): RemoteNode {
  const [frontStream, engineStream] = duplexPair();
  const log = silentLogger;
  const source = new RemoteBlobSource({ store: store.directory, log });
  const front = new EngineChannel<EngineMessage, FrontMessage>({
    stream: frontStream,
    parse: (text) => parseMessage(ENGINE_MESSAGES, text),
    onMessage: (message) => source.take(message),
    onClosed: () => source.detach(),
  });
  const engine = new EngineChannel<FrontMessage, EngineMessage>({
    stream: engineStream,
    parse: (text) => parseMessage(FRONT_MESSAGES, text),
    onMessage: (message) => service.take(message),
    onClosed: () => service.stop(),
  });
  const service = new BlobService({ finder, send: (message) => engine.send(message), log });
  source.attach((message) => front.send(message));
  const cut = (): void => {
    engine.close();
    service.stop();
  };
  return { source, cut };
}
