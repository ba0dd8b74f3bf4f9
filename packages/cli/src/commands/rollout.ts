import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { AppError, redactText } from '@sealift/core';
import { readSecretFile } from '@sealift/pki';
import { type ImageReference, parseImageReference } from '@sealift/registry';
import { readCertificateFile } from '../certificate-file.ts';
import type { ConfigOf } from '../config.ts';
import { LEAF_FILES, TRUST_FILE } from '../docker-tls/certificate-directory.ts';
import { exitStatusOf } from '../end-of-process.ts';
import { errnoOf, refuse } from '../failure.ts';
import { readNodeStatus } from '../node-admin.ts';
import type { ROLLOUT_OPTIONS } from '../options.ts';
import { readCredential } from '../rollout/credential-source.ts';
import type { ImageName } from '../rollout/docker-api.ts';
import { type DockerHost, parseHostsFile } from '../rollout/hosts-file.ts';
import type { SourceBytes } from '../rollout/outcome.ts';
import { registryAuthOf, secretsOf } from '../rollout/registry-credential.ts';
import { JsonReporter, TerminalReporter } from '../rollout/reporter.ts';
import { rollOut } from '../rollout/rollout.ts';
import { hostsOf } from '../rollout/share.ts';
import { StateFile } from '../rollout/state-file.ts';

/** Longest hosts file, in bytes. */
const MAX_HOSTS_BYTES = 4 * 1024 * 1024;
/** Longest deadline that a timer takes, in ms. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** `sealift rollout`: many dockerds pull one image. Throws `ROLLOUT_INCOMPLETE` if not every host has it in the end. */
export async function runRollout(
  config: ConfigOf<typeof ROLLOUT_OPTIONS>,
  { signal, args: [text = ''] }: { readonly signal: AbortSignal; readonly args: readonly string[] },
): Promise<void> {
  const image = parseImageReference(text);
  const hosts = await readHosts(config.hosts);
  const contexts = await loadContexts(hosts, config.certDir);
  const credential = await readCredential(config, { registry: image.registry, signal });
  const registryAuth = credential === undefined ? undefined : registryAuthOf(credential, image.registry);
  const secrets = [
    ...(credential === undefined ? [] : secretsOf(credential)),
    ...(registryAuth === undefined ? [] : [registryAuth]),
  ];
  const state = config.state === undefined ? undefined : await StateFile.open(config.state, { image: text });
  const reporter =
    process.stdout.isTTY && !config.json
      ? new TerminalReporter(process.stdout)
      : new JsonReporter((line) => process.stdout.write(`${line}\n`));
  try {
    const { failed, notStarted } = await rollOut({
      image: { text, name: nameOf(image), tag: image.tag, digest: image.digest },
      hosts,
      secureContextOf: ({ certDir }) => contexts.get(certDir) ?? refuse('--cert-dir', 'it was not read'),
      sourceBytesOf,
      registryAuth,
      // Ours first: what else looks like a secret is cut where the text is long.
      redact: (said) => redactText(secrets.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), said)),
      waveSize: Math.max(1, hostsOf(config.wave, hosts.length)),
      maxFailed: hostsOf(config.maxUnavailable, hosts.length),
      timeoutMs: Math.min(config.timeout, MAX_TIMEOUT_MS),
      state,
      reporter,
      signal,
    });
    if (!signal.aborted && failed + notStarted > 0) {
      const advice = 'Run it again: who has the image is not asked to pull it again.';
      throw new AppError('ROLLOUT_INCOMPLETE', { failed, notStarted, advice });
    }
  } catch (error) {
    if (error !== signal.reason) throw error;
  } finally {
    reporter.stop();
    await state?.close();
  }
  if (signal.aborted) process.exitCode = exitStatusOf(signal);
}

/** The image as dockerd takes it, without tag and digest. */
function nameOf({ registry, repository }: ImageReference): ImageName {
  return `${registry}/${repository}` as ImageName;
}

async function readHosts(path: string): Promise<readonly DockerHost[]> {
  // A stream, since it may be a pipe, whose length is known at its end only; one byte above the limit is enough to tell.
  const chunks = (await createReadStream(path, { end: MAX_HOSTS_BYTES })
    .toArray()
    .catch((error: unknown) => refuse('--hosts', `cannot read ${path} (${errnoOf(error)})`, error))) as Buffer[];
  const bytes = Buffer.concat(chunks);
  if (bytes.length > MAX_HOSTS_BYTES) refuse('--hosts', `${path} is too long for a hosts file`);
  return parseHostsFile(bytes.toString('utf8'));
}

/** One TLS context for each directory of certificates, by the `certDir` of its hosts. */
async function loadContexts(
  hosts: readonly DockerHost[],
  certDir: string,
): Promise<ReadonlyMap<string | undefined, SecureContext>> {
  const contexts = new Map<string | undefined, SecureContext>();
  for (const own of new Set(hosts.map((host) => host.certDir))) contexts.set(own, await loadContext(own ?? certDir));
  return contexts;
}

async function loadContext(directory: string): Promise<SecureContext> {
  const { certificate, key } = LEAF_FILES.client;
  const ca = await readCertificateFile('--cert-dir', join(directory, TRUST_FILE));
  const cert = await readCertificateFile('--cert-dir', join(directory, certificate));
  try {
    return createSecureContext({ ca, cert, key: await readSecretFile(join(directory, key)), minVersion: 'TLSv1.2' });
  } catch (error) {
    if (error instanceof AppError) throw error;
    return refuse('--cert-dir', `${key} in ${directory} is not the key of ${certificate}`, error);
  }
}

/** What the node of a host has given its runtime so far, where it can be asked from here. */
async function sourceBytesOf({ nodeData }: DockerHost): Promise<SourceBytes | undefined> {
  if (nodeData === undefined) return undefined;
  // Whoever cannot be asked is not known: a rollout does not fail for a figure.
  const status = await readNodeStatus(nodeData).catch(() => undefined);
  const { registry, peers, cache } = (status?.['bytes'] ?? {}) as Readonly<Record<string, unknown>>;
  if (![registry, peers, cache].every((bytes) => Number.isSafeInteger(bytes))) return undefined;
  return { registry: Number(registry), peers: Number(peers), cache: Number(cache) };
}
