import { type Clock, isAppError, type Logger } from '@sealift/core';
import { KeyFile, RemoteKeys } from '@sealift/registry';
import { type ServiceAccountKeys, ServiceAccountTokens } from '@sealift/tracker';
import { readCertificateFile } from './certificate-file.ts';
import type { ConfigOf } from './config.ts';
import { readServiceAccountToken } from './enrolment-token.ts';
import { errnoOf, refuse } from './failure.ts';
import type { TRACKER_OPTIONS } from './options.ts';
import type { ServiceStack } from './service-stack.ts';

type Config = Pick<
  ConfigOf<typeof TRACKER_OPTIONS>,
  | 'kubernetesIssuer'
  | 'kubernetesAudience'
  | 'kubernetesSubject'
  | 'kubernetesJwks'
  | 'kubernetesCa'
  | 'kubernetesTokenFile'
>;

/** What judges service account tokens; `undefined` where none enrol. Throws `CONFIG_INVALID`. */
export async function loadServiceAccounts(
  config: Config,
  { clock, log, services }: { clock: Clock; log: Logger; services: ServiceStack },
): Promise<ServiceAccountTokens | undefined> {
  const { kubernetesIssuer: issuer, kubernetesSubject: subjects, kubernetesJwks: source } = config;
  if (issuer === undefined && subjects.length === 0 && source === undefined) return undefined;
  if (issuer === undefined || subjects.length === 0 || source === undefined) {
    refuse(
      '--kubernetes-issuer',
      'service accounts need --kubernetes-issuer, --kubernetes-jwks and --kubernetes-subject',
    );
  }
  const keys = source.startsWith('https://')
    ? await remoteKeys(new URL(source), config, { clock, log, services })
    : await fileKeys(source, { clock, log });
  return new ServiceAccountTokens({ config: { issuer, audience: config.kubernetesAudience, subjects }, keys, clock });
}

async function fileKeys(path: string, { clock, log }: { clock: Clock; log: Logger }): Promise<ServiceAccountKeys> {
  try {
    return (await KeyFile.open(path)).follow({ clock, log, failureEvent: 'service_account_keys_failed' });
  } catch (error) {
    if (isAppError(error)) throw error;
    refuse('--kubernetes-jwks', `cannot read ${path} (${errnoOf(error)})`, error);
  }
}

async function remoteKeys(
  url: URL,
  { kubernetesCa, kubernetesTokenFile }: Config,
  { clock, log, services }: { clock: Clock; log: Logger; services: ServiceStack },
): Promise<ServiceAccountKeys> {
  const caPem = kubernetesCa === undefined ? undefined : await readCertificateFile('--kubernetes-ca', kubernetesCa);
  const keys = new RemoteKeys({
    url,
    caPem,
    ...(kubernetesTokenFile === undefined
      ? {}
      : { authorize: async () => `Bearer ${await readServiceAccountToken(kubernetesTokenFile)}` }),
    failureEvent: 'service_account_keys_failed',
    clock,
    log,
  });
  services.defer(() => keys.stop());
  return keys;
}
