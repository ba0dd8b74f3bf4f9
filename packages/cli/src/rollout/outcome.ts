/** Blob bytes that a node gave to its runtime, by where they came from. */
export interface SourceBytes {
  readonly registry: number;
  readonly peers: number;
  readonly cache: number;
}

/** How a rollout ended on one host. */
export type HostOutcome =
  | {
      readonly kind: 'pulled';
      /** Bytes that dockerd says it has downloaded, compressed. */
      readonly bytes: number;
      /** `undefined` where nobody could be asked. */
      readonly sources: SourceBytes | undefined;
    }
  /** It had the image already. */
  | { readonly kind: 'present' }
  | { readonly kind: 'failed'; readonly reason: string }
  /** The rollout was asked to end before this host was done. */
  | { readonly kind: 'interrupted' };

/** What a rollout has come to. */
export interface RolloutSummary {
  readonly image: string;
  readonly digest: string;
  readonly hosts: number;
  readonly pulled: number;
  readonly present: number;
  /** Done by an earlier run, by the state file; not asked again. */
  readonly doneBefore: number;
  readonly failed: number;
  readonly interrupted: number;
  readonly notStarted: number;
  readonly seconds: number;
  /** Of all hosts that have pulled, as their dockerds tell. */
  readonly downloadedBytes: number;
  /** `undefined` if no node could be asked; `knownHosts` of those that have pulled. */
  readonly sources: (SourceBytes & { readonly knownHosts: number }) | undefined;
  readonly slowest: readonly { readonly host: string; readonly seconds: number }[];
  readonly failures: readonly { readonly host: string; readonly reason: string }[];
}

/** Slowest hosts and failures that a summary names. */
const NAMED_HOSTS = 10;

/** Sums up. `slowest` as the plan has it, in ms. */
export function summarize({
  outcomes,
  slowest,
  ...rest
}: Pick<RolloutSummary, 'image' | 'digest' | 'hosts' | 'doneBefore' | 'notStarted' | 'seconds'> & {
  outcomes: ReadonlyMap<string, HostOutcome>;
  slowest: readonly { readonly host: string; readonly ms: number }[];
}): RolloutSummary {
  const all = [...outcomes.values()];
  const pulled = all.filter((outcome) => outcome.kind === 'pulled');
  const known = pulled.flatMap(({ sources }) => (sources === undefined ? [] : [sources]));
  const sum = (of: (sources: SourceBytes) => number) => known.reduce((total, sources) => total + of(sources), 0);
  return {
    ...rest,
    pulled: pulled.length,
    present: all.filter(({ kind }) => kind === 'present').length,
    failed: all.filter(({ kind }) => kind === 'failed').length,
    interrupted: all.filter(({ kind }) => kind === 'interrupted').length,
    downloadedBytes: pulled.reduce((total, { bytes }) => total + bytes, 0),
    sources:
      known.length === 0
        ? undefined
        : {
            registry: sum(({ registry }) => registry),
            peers: sum(({ peers }) => peers),
            cache: sum(({ cache }) => cache),
            knownHosts: known.length,
          },
    slowest: slowest
      .filter(({ host }) => outcomes.get(host)?.kind === 'pulled')
      .slice(0, NAMED_HOSTS)
      .map(({ host, ms }) => ({ host, seconds: ms / 1_000 })),
    failures: [...outcomes]
      .flatMap(([host, outcome]) => (outcome.kind === 'failed' ? [{ host, reason: outcome.reason }] : []))
      .slice(0, NAMED_HOSTS),
  };
}
