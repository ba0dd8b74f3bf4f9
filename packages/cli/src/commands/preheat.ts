import { AppError, type Logger, systemClock } from '@sealift/core';
import { NodeIdentity } from '@sealift/peer';
import { isLoopbackAddress } from '@sealift/proxy';
import { parseImageReference, RegistryClient } from '@sealift/registry';
import type { ConfigOf } from '../config.ts';
import { exitStatusOf } from '../end-of-process.ts';
import { enrolmentTokenOf } from '../enrolment-token.ts';
import { refuse } from '../failure.ts';
import { createProcessLogger } from '../logging.ts';
import type { PREHEAT_OPTIONS } from '../options.ts';
import { NodeTarget } from '../preheat/node-target.ts';
import { preheat } from '../preheat/preheat.ts';
import { RegistrySession } from '../preheat/registry-session.ts';
import { JsonReporter, TerminalReporter } from '../preheat/reporter.ts';
import { SeederTarget } from '../preheat/seeder-target.ts';
import type { PreheatTarget } from '../preheat/target.ts';
import { loadTrackerRegistries } from '../registries.ts';
import { readCredential } from '../rollout/credential-source.ts';
import { ServiceStack } from '../service-stack.ts';
import { formatEndpoint } from '../setup/runtime-plan.ts';
import { readTrackerTrust } from '../tracker-trust.ts';

type Config = ConfigOf<typeof PREHEAT_OPTIONS>;

/** Longest wait for the enrolment, in ms. */
const ENROLMENT_MS = 30_000;

/**
 * `sealift preheat`: brings an image into the seeder, and into nodes, before anybody pulls it. An ordinary client: it enrols as a
 * node does, and has the rights of the credentials that it is given.
 */
export async function runPreheat(
  config: Config,
  { signal: end, args: [text = ''] }: { readonly signal: AbortSignal; readonly args: readonly string[] },
): Promise<void> {
  const image = parseImageReference(text);
  if (config.tracker === undefined && config.nodes.length === 0) {
    refuse('--tracker', 'name the tracker whose seeder shall have the image, or the proxies of nodes with --nodes');
  }
  for (const node of config.nodes) {
    const isLocal = node.host === 'localhost' || isLoopbackAddress(node.host);
    if (!isLocal) refuse('--nodes', `${formatEndpoint(node)} is not on loopback; credentials go there in clear text`);
  }
  const registries = await loadTrackerRegistries({
    registry: [image.registry],
    registryCa: config.registryCa.filter(({ registry }) => registry === image.registry),
    registryCerts: config.registryCerts,
  });
  const credential = await readCredential(config, { registry: image.registry, signal: end });
  const log = createProcessLogger('warn', 'preheat');
  const services = new ServiceStack();
  const late = AbortSignal.timeout(Math.min(config.timeout, 2 ** 31 - 1));
  const signal = AbortSignal.any([end, late]);
  const reporter =
    process.stdout.isTTY && !config.json
      ? new TerminalReporter(process.stdout)
      : new JsonReporter((line) => process.stdout.write(`${line}\n`));
  try {
    const client = new RegistryClient({ registries });
    services.defer(() => client.close());
    const session = new RegistrySession({ client, image, credential, tls: registries[0] ?? {} });
    const digest = await session.resolve({ signal });
    const authorization = (options: { signal: AbortSignal }) => session.authorization(options);
    const targets: PreheatTarget[] = [];
    if (config.tracker !== undefined) {
      const identity = await enrol({ ...config, tracker: config.tracker }, { services, log, signal });
      targets.push(new SeederTarget({ identity, authorization }));
    }
    targets.push(...config.nodes.map((proxy) => new NodeTarget({ proxy, authorization })));
    await preheat({
      image: { registry: image.registry, repository: image.repository, digest },
      text,
      platforms: config.platform,
      targets,
      fetchManifest: async ({ digest: reference, ...ref }, options) => {
        const answer = await client.fetchManifest({
          ...ref,
          reference,
          authorization: await authorization(options),
          signal: options.signal,
        });
        if (answer.status !== 200) throw new AppError('REGISTRY_REFUSED', { status: answer.status, digest: reference });
        return answer.body;
      },
      reporter,
      signal,
    });
  } catch (error) {
    if (late.aborted)
      throw new AppError('PREHEAT_INCOMPLETE', { reason: 'it took longer than --timeout' }, { cause: error });
    if (!end.aborted) throw error;
  } finally {
    reporter.stop();
    await services.stop();
  }
  if (end.aborted) process.exitCode = exitStatusOf(end);
}

/** A node's identity for the time that it takes; the key stays in memory. */
async function enrol(
  config: Config & { readonly tracker: string },
  { services, log, signal }: { services: ServiceStack; log: Logger; signal: AbortSignal },
): Promise<NodeIdentity> {
  const readEnrolmentToken = enrolmentTokenOf(config);
  if (readEnrolmentToken === undefined) {
    return refuse('--join-token-file', 'a preheat enrols as a node does: give it, or --service-account-token-file');
  }
  const { origin, anchor } = await readTrackerTrust(config);
  const identity = new NodeIdentity({
    origin,
    trust: anchor,
    readEnrolmentToken,
    name: 'preheat',
    clock: systemClock,
    log,
  });
  const { promise: enrolled, resolve, reject } = Promise.withResolvers<void>();
  const stopListening = identity.onChange(resolve);
  services.defer(async () => stopListening());
  const late = setTimeout(() => {
    const { code, reason = 'no answer' } = identity.failure ?? {};
    reject(
      new AppError('TRACKER_UNAVAILABLE', { reason: `no certificate in time; the last attempt: ${reason}`, code }),
    );
  }, ENROLMENT_MS);
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await services.start(identity);
    await enrolled;
    return identity;
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', onAbort);
  }
}
