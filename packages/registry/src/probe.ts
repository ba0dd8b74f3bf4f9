/** What a registry said to a single request, without its body. */
export interface ProbeAnswer {
  readonly status: number;
  /** The `service` of its Bearer challenge, if it sent one. */
  readonly service: string | undefined;
}
