/** One way in which a fake registry misbehaves for one request. */
export type FakeFault =
  /** Another status, with an error body. */
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** The connection is reset before any answer. */
  | { readonly kind: 'reset' }
  /** No answer at all, until the client or {@link FakeRegistry.stop} ends it. */
  | { readonly kind: 'hang' }
  /** These bytes instead of an answer, and the end of the connection. */
  | { readonly kind: 'raw'; readonly text: string }
  /** Header bytes that come one by one and never end. */
  | { readonly kind: 'slow-headers' }
  /** A right answer with some headers replaced; `undefined` leaves one out. */
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, string | undefined>> }
  /** The body ends after so many bytes, and the connection with it. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** The body stops after so many bytes and stays open. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** A Content-Length that is too large or too small. */
  | { readonly kind: 'content-length'; readonly length: number }
  /** A chunked body without Content-Length. */
  | { readonly kind: 'no-content-length' }
  /** A 200 with the whole blob, whatever Range asks for. */
  | { readonly kind: 'ignore-range' }
  /** A bit is flipped in the first byte sent. */
  | { readonly kind: 'wrong-bytes' };

/** Where and when a {@link FakeFault} strikes. */
export interface FakeFaultRule {
  /** @default 'registry' */
  readonly at?: 'registry' | 'cdn';
  /** Both if absent. */
  readonly method?: 'GET' | 'HEAD';
  /** How many requests it strikes. @default 1 */
  readonly times?: number;
}

/** The faults that wait for their request. Keys are digests, or `reference` for manifests. */
export class FakeFaults {
  readonly #planned: { key: string; fault: FakeFault; at: string; method: string | undefined; left: number }[] = [];

  add(key: string, fault: FakeFault, { at = 'registry', method, times = 1 }: FakeFaultRule = {}): void {
    this.#planned.push({ key, fault, at, method, left: times });
  }

  /** The fault for this request, if there is one; counts it. */
  take(key: string, at: 'registry' | 'cdn', method: string | undefined): FakeFault | undefined {
    const plan = this.#planned.find(
      (entry) =>
        entry.key === key &&
        entry.at === at &&
        entry.left > 0 &&
        (entry.method === undefined || entry.method === method),
    );
    if (plan === undefined) return undefined;
    plan.left -= 1;
    return plan.fault;
  }
}
