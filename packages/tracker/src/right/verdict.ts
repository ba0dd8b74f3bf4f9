/** The answer to "may the bearer of this header pull this blob from this registry?". Times are in ms. */
export type Verdict =
  | {
      readonly kind: 'granted';
      /** Who said so: the registry to this header, or a verified token together with what the registry said of the blob. */
      readonly by: 'registry' | 'token';
      /** When the registry was asked. */
      readonly provenAt: number;
      /** Bytes of the blob, if the registry said so. */
      readonly size: number | undefined;
    }
  | { readonly kind: 'denied'; readonly reason: string }
  /** Nobody could say. Not a no: the node goes to the registry itself. */
  | { readonly kind: 'unavailable'; readonly reason: string };
