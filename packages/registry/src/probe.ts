import type { BasicChallenge, BearerChallenge } from './auth-challenge.ts';

/** What a registry said to a single request, without its body. */
export interface ProbeAnswer {
  readonly status: number;
  /** The `service` of its Bearer challenge, if it sent one. */
  readonly service: string | undefined;
  /** What it demands, if that can be understood. */
  readonly challenge?: BearerChallenge | BasicChallenge | undefined;
}
