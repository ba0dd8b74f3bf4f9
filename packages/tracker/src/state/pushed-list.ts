import type { DenyList as Pushed } from '@sealift/bittorrent';
import type { Clock } from '@sealift/core';
import type { DenyList } from './deny-list.ts';
import type { PushVersion } from './push-version.ts';
import type { RevocationList } from './revocation-list.ts';

/** How long one list is handed out, in ms: entries end with time, and telling of them a little longer does no harm. */
const REUSE_MS = 60_000;

/** What nodes are told of denials and revocations: the same object while nothing has changed, so that it is encoded once. */
export class PushedList {
  readonly #denyList: DenyList;
  readonly #revocations: RevocationList;
  readonly #version: PushVersion;
  readonly #clock: Clock;
  #current: Pushed | undefined;
  #madeAt = 0;

  constructor(o: { denyList: DenyList; revocations: RevocationList; version: PushVersion; clock: Clock }) {
    this.#denyList = o.denyList;
    this.#revocations = o.revocations;
    this.#version = o.version;
    this.#clock = o.clock;
  }

  get current(): Pushed {
    const version = this.#version.current;
    const age = this.#clock.now() - this.#madeAt;
    if (this.#current?.version === version && age >= 0 && age < REUSE_MS) return this.#current;
    this.#current = { version, nodeIds: this.#denyList.pushed(), revocations: this.#revocations.list() };
    this.#madeAt = this.#clock.now();
    return this.#current;
  }
}
