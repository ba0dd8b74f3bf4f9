import { X509Certificate } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { AppError, type RegistryHost } from '@sealift/core';
import { INTERCEPT_CA_FILE } from '@sealift/proxy';
import { type ClientCertificate, checkClientCertificate } from '@sealift/registry';
import { certificatesIn } from './certificate-file.ts';
import { errnoOf } from './failure.ts';
import { hostsTomlOf } from './hosts-toml.ts';

/** Largest file that we read, in bytes: a whole system's trust store is smaller. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Files that we read for one registry; people keep one or two. */
const MAX_FILES = 64;
const PRIVATE_KEY =
  /-----BEGIN (?<kind>(?:EC |RSA |ENCRYPTED )?PRIVATE KEY)-----[\s\S]{1,20000}?-----END \k<kind>-----/;
/** Any right for group or others. */
const OPEN_TO_OTHERS = 0o077;

/** What the runtime's trust directory holds for a registry. */
export interface RegistryCertificates {
  /** PEM of what is trusted beside what the system trusts. */
  readonly anchors: string | undefined;
  readonly client: ClientCertificate | undefined;
}

/** Where certificate and key of a client stand: in two files, or both in one. */
interface ClientFiles {
  readonly certificate: string;
  readonly key: string;
}

/**
 * The certificates that the user keeps for a registry in `directory`, as Docker reads them (`<host[:port]>/*.crt`, and pairs of
 * `.cert` and `.key`) and containerd (`hosts.toml` with `ca` and `client`): whom the runtime trusts there the proxy must trust
 * too, and what the runtime shows there it shows too. Our own CA is left out, and so is what is no certificate, which TLS
 * libraries skip as well.
 *
 * `onProblem` is told of what cannot be used, and may throw. A key that others may read is such a problem, and is used unless
 * that throws: the runtime uses it, too.
 */
export async function readRegistryCertificates(
  directory: string,
  registry: RegistryHost,
  { onProblem }: { onProblem: (error: AppError) => void },
): Promise<RegistryCertificates> {
  const { own, names } = await ownDirectory(directory, registry, onProblem);
  const at = (name: string): string => (isAbsolute(name) ? name : join(own, name));
  const hosts = names.includes('hosts.toml') ? await readHosts(at('hosts.toml'), registry, onProblem) : undefined;
  const files = [...names.filter((name) => name.endsWith('.crt')), ...(hosts?.ca ?? [])].filter(
    (name) => name !== INTERCEPT_CA_FILE && !name.endsWith(`/${INTERCEPT_CA_FILE}`),
  );
  const anchors: string[] = [];
  for (const path of new Set(files.slice(0, MAX_FILES).map(at))) {
    const text = await attempt(() => readText(path), path, onProblem);
    anchors.push(...certificatesIn(text ?? '').filter(isCertificate));
  }
  const pairs = [
    ...(hosts?.client ?? []).map(({ certificate, key }) => ({ certificate: at(certificate), key: at(key) })),
    ...dockerPairs(names, onProblem).map(({ certificate, key }) => ({ certificate: at(certificate), key: at(key) })),
  ];
  return {
    anchors: anchors.length === 0 ? undefined : `${anchors.map((pem) => pem.trim()).join('\n')}\n`,
    client: await firstClient(pairs, onProblem),
  };
}

/** containerd looks for `host_port_` first, since a colon is none for all file systems; Docker knows `host:port` only. */
async function ownDirectory(
  directory: string,
  registry: RegistryHost,
  onProblem: (error: AppError) => void,
): Promise<{ own: string; names: string[] }> {
  const spellings = new Set([registry.replace(/:(\d+)$/, '_$1_'), registry]);
  for (const spelling of spellings) {
    const own = join(directory, spelling);
    const names = (await attempt(() => readIfThere(own), own, onProblem)) ?? [];
    if (names.length > 0) return { own, names: names.sort() };
  }
  return { own: join(directory, registry), names: [] };
}

async function readIfThere(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Docker's rule: `NAME.cert` with `NAME.key` beside it. */
function dockerPairs(names: readonly string[], onProblem: (error: AppError) => void): readonly ClientFiles[] {
  const stems = (suffix: string): string[] =>
    names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
  const [certificates, keys] = [stems('.cert'), stems('.key')];
  for (const stem of certificates.filter((name) => !keys.includes(name))) {
    onProblem(problem(`${stem}.cert has no key beside it`, `Put ${stem}.key there; a CA is called .crt.`));
  }
  for (const stem of keys.filter((name) => !certificates.includes(name))) {
    onProblem(problem(`${stem}.key has no certificate beside it`, `Put ${stem}.cert there.`));
  }
  return certificates
    .filter((name) => keys.includes(name))
    .map((stem) => ({ certificate: `${stem}.cert`, key: `${stem}.key` }));
}

async function readHosts(path: string, registry: RegistryHost, onProblem: (error: AppError) => void) {
  return await attempt(async () => hostsTomlOf(await readText(path), registry), path, onProblem);
}

/** TLS shows one: the first, as the runtimes try them in their order. */
async function firstClient(
  pairs: readonly ClientFiles[],
  onProblem: (error: AppError) => void,
): Promise<ClientCertificate | undefined> {
  for (const { certificate, key } of pairs.slice(0, MAX_FILES)) {
    const client = await attempt(() => readClient({ certificate, key }, onProblem), certificate, onProblem);
    if (client !== undefined) return client;
  }
  return undefined;
}

async function readClient(
  { certificate, key }: ClientFiles,
  onProblem: (error: AppError) => void,
): Promise<ClientCertificate> {
  const certificatePem = certificatesIn(await readText(certificate)).join('\n');
  const file = await open(key, 'r');
  try {
    const { mode } = await file.stat();
    if ((mode & OPEN_TO_OTHERS) !== 0) {
      onProblem(
        new AppError('KEY_FILE_UNSAFE', { path: key, reason: 'others may read it', advice: `run: chmod 600 ${key}` }),
      );
    }
    const privateKeyPem = PRIVATE_KEY.exec(await readStart(file))?.[0] ?? '';
    checkClientCertificate({ certificatePem, privateKeyPem });
    return { certificatePem, privateKeyPem };
  } finally {
    await file.close();
  }
}

async function readText(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    return await readStart(file);
  } finally {
    await file.close();
  }
}

async function readStart(file: Awaited<ReturnType<typeof open>>): Promise<string> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_FILE_BYTES), 0, MAX_FILE_BYTES, 0);
  return buffer.toString('utf8', 0, bytesRead);
}

/** Tells of what `work` throws, with the file's name; whatever `onProblem` throws passes. */
async function attempt<T>(
  work: () => Promise<T>,
  path: string,
  onProblem: (error: AppError) => void,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError && error.details['path'] !== undefined) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const reason = error instanceof AppError ? String(error.details['reason']) : `cannot be read (${code ?? 'fault'})`;
    onProblem(problem(reason, undefined, path));
    return undefined;
  }
}

function problem(reason: string, advice?: string, path?: string): AppError {
  return new AppError('CONFIG_INVALID', { reason, advice, path });
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}
