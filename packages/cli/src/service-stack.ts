/** Something that runs between `start` and `stop`; both are safe to call twice. */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Services started in order and stopped in reverse, each even when another fails to stop. */
export class ServiceStack {
  readonly #running: Pick<Service, 'stop'>[] = [];

  /** Starts `service`; it is stopped with the stack. Answers with it. */
  async start<T extends Service>(service: T): Promise<T> {
    this.#running.push(service);
    await service.start();
    return service;
  }

  /** Has `stop` called with the stack, for what needs no start. */
  defer(stop: () => Promise<void>): void {
    this.#running.push({ stop });
  }

  /** Stops everything; rejects with the first failure after all have been tried. */
  async stop(): Promise<void> {
    const failures: unknown[] = [];
    for (let service = this.#running.pop(); service !== undefined; service = this.#running.pop()) {
      try {
        await service.stop();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
