import { DemoRegistry } from './demo-registry.ts';

/** The throw-away registry as a process of its own. Its settings come over the channel, so that no secret is in argv. */
interface Settings {
  readonly host: string;
  readonly tls: { readonly cert: string; readonly key: string };
  readonly user: { readonly username: string; readonly password: string };
  readonly bytesPerSecond: number;
}

let registry: DemoRegistry | undefined;

process.on('message', (message: Settings | 'count') => {
  if (message === 'count') process.send?.(registry?.count ?? {});
  else void start(message);
});
const stop = (): void => {
  void registry?.stop().then(() => process.disconnect?.());
};
process.once('SIGTERM', stop);
process.once('SIGINT', () => {});
process.once('disconnect', () => void registry?.stop());

async function start({ host, ...settings }: Settings): Promise<void> {
  registry = new DemoRegistry(settings);
  const port = await registry.start({ host, port: 0 });
  process.stderr.write(`${JSON.stringify({ event: 'started', address: `${host}:${port}` })}\n`);
}
