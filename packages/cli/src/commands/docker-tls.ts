import { isIP } from 'node:net';
import { join } from 'node:path';
import { AppError, systemClock } from '@sealift/core';
import { createDockerKey, DockerCa, type DockerSubject, describeCertificate, type KeyType } from '@sealift/pki';
import { certificatesIn, readCertificateFile } from '../certificate-file.ts';
import type { ConfigOf } from '../config.ts';
import {
  CA_KEY_FILE,
  checkCaDirectory,
  inFile,
  LEAF_FILES,
  openCa,
  refuseToForget,
  refuseToOverwrite,
  TRUST_FILE,
  writeCa,
  writeDirectory,
} from '../docker-tls/certificate-directory.ts';
import { daemonSettings } from '../docker-tls/daemon-settings.ts';
import { formatInspected, formatTime, inspectDirectory } from '../docker-tls/inspection.ts';
import { readPassphrase } from '../docker-tls/passphrase.ts';
import { findRenewals } from '../docker-tls/renewal.ts';
import { refuse } from '../failure.ts';
import type {
  DOCKER_TLS_CLIENT_OPTIONS,
  DOCKER_TLS_INIT_OPTIONS,
  DOCKER_TLS_RENEW_OPTIONS,
  DOCKER_TLS_SERVER_OPTIONS,
  DOCKER_TLS_SHOW_OPTIONS,
} from '../options.ts';

interface Context {
  readonly signal: AbortSignal;
  readonly args: readonly string[];
}

/** `sealift docker-tls init`: makes the CA. */
export async function runDockerTlsInit(
  config: ConfigOf<typeof DOCKER_TLS_INIT_OPTIONS>,
  { signal }: Context,
): Promise<void> {
  await refuseToOverwrite(config.ca, { names: [TRUST_FILE, CA_KEY_FILE], overwrite: config.overwrite });
  const passphrase = await readPassphrase(config, { isNew: true, signal });
  const ca = await DockerCa.create({ keyType: config.keyType, ttlMs: config.ttl });
  await writeCa(config.ca, ca, passphrase);
  const { subject, fingerprint, notAfter } = describeCertificate(ca.certificatePem);
  print(`${subject} until ${formatTime(notAfter)}, ${fingerprint}`);
  print(`${join(config.ca, CA_KEY_FILE)} is encrypted: without the passphrase it is lost, so keep both, apart.`);
}

/** `sealift docker-tls server`: a certificate for one dockerd, and the settings that make it ask clients for theirs. */
export async function runDockerTlsServer(
  config: ConfigOf<typeof DOCKER_TLS_SERVER_OPTIONS>,
  { signal }: Context,
): Promise<void> {
  const subject = {
    role: 'server',
    dnsNames: config.name.filter((name) => isIP(name) === 0),
    ipAddresses: config.name.filter((name) => isIP(name) !== 0),
  } as const;
  const issued = await issue(subject, config, signal);
  const settings = daemonSettings({ directory: config.installDir, listen: config.listen });
  if (config.json) {
    print(JSON.stringify({ directory: config.out, ...settings }));
    return;
  }
  print(issued);
  const { certificate, key } = LEAF_FILES.server;
  print(
    `Copy ${TRUST_FILE}, ${certificate} and ${key} from ${config.out} to ${config.installDir} on the daemon's host, owned by root.`,
  );
  print(`\nEither dockerd is told by its command line:\n\n  dockerd ${settings.arguments.join(' ')}`);
  print(`\nor by /etc/docker/daemon.json, where no -H stands on the command line:\n\n${indented(settings.daemonJson)}`);
  print(
    '\nDocker under systemd has "-H fd://" on its command line and does not start with "hosts" in daemon.json as well. There',
  );
  print(`/etc/docker/daemon.json is\n\n${indented(settings.daemonJsonWithoutHosts)}`);
  print('\nand /etc/systemd/system/docker.service.d/sealift-tls.conf, followed by `systemctl daemon-reload`, is\n');
  print(settings.systemdDropIn.trimEnd().replace(/^/gm, '  '));
  print('\nRestart dockerd then. It reads its certificates at start only.');
}

/** `sealift docker-tls client`: a certificate for one who may command every daemon of this CA. */
export async function runDockerTlsClient(
  config: ConfigOf<typeof DOCKER_TLS_CLIENT_OPTIONS>,
  { signal, args: [name = ''] }: Context,
): Promise<void> {
  print(await issue({ role: 'client', name }, config, signal));
  print(`Whoever holds ${join(config.out, LEAF_FILES.client.key)} is root on every daemon that trusts this CA.`);
  print(`DOCKER_HOST=tcp://HOST:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=${config.out} docker version`);
}

/** `sealift docker-tls show`: what certificates say. Throws `CERTIFICATE_UNFIT` if anything is wrong with one. */
export async function runDockerTlsShow(
  { within, json }: ConfigOf<typeof DOCKER_TLS_SHOW_OPTIONS>,
  { args: directories }: Context,
): Promise<void> {
  let [seen, unfit] = [0, 0];
  for (const directory of directories) {
    for (const certificate of await inspectDirectory(directory, { now: systemClock.now(), withinMs: within })) {
      seen += 1;
      if (certificate.problems.length > 0) unfit += 1;
      const { notBefore, notAfter } = certificate;
      const times = { notBefore: formatTime(notBefore), notAfter: formatTime(notAfter) };
      print(json ? JSON.stringify({ ...certificate, ...times }) : formatInspected(certificate));
    }
  }
  if (unfit === 0) return;
  const advice = '`sealift docker-tls renew` makes new ones.';
  throw new AppError('CERTIFICATE_UNFIT', { reason: `${unfit} of ${seen} have problems`, advice });
}

/** `sealift docker-tls renew`: new certificates for the same names, under the old keys or new ones. */
export async function runDockerTlsRenew(
  config: ConfigOf<typeof DOCKER_TLS_RENEW_OPTIONS>,
  { signal, args: directories }: Context,
): Promise<void> {
  await checkCaDirectory(config.ca);
  const others = await readOtherAnchors(config.alsoTrust);
  const ca = await openCa(config.ca, await readPassphrase(config, { isNew: false, signal }));
  const anchors = [ca.certificatePem, ...others];
  // All are looked at, and made, before the first is replaced.
  const renewals = [];
  for (const directory of directories) renewals.push(...(await findRenewals(directory, { anchors, ...config })));
  const issued = [];
  for (const { directory, role, subject, keptKeyPem, keyType } of renewals) {
    const privateKeyPem = keptKeyPem ?? (await createDockerKey(keyType));
    const file = join(directory, LEAF_FILES[role].certificate);
    const request = { publicKeyPem: privateKeyPem, ttlMs: config.ttl };
    const certificatePem = await inFile(file, () => ca.issue(subject, request));
    issued.push({ directory, file, leaf: { role, certificatePem, privateKeyPem } });
  }
  for (const { directory, file, leaf } of issued) {
    await writeDirectory(directory, { trust: anchors.join(''), leaf });
    const { subject: name, notAfter } = describeCertificate(leaf.certificatePem);
    print(`${file}: ${name} until ${formatTime(notAfter)}`);
  }
}

interface IssueConfig {
  readonly ca: string;
  readonly out: string;
  readonly overwrite: boolean;
  readonly passphraseFile: string | undefined;
  readonly alsoTrust: readonly string[];
  readonly keyType: KeyType;
  readonly ttl: number;
}

/** Writes key and certificate, and says in one line what they are. */
async function issue(subject: DockerSubject, config: IssueConfig, signal: AbortSignal): Promise<string> {
  await checkCaDirectory(config.ca);
  const { certificate, key } = LEAF_FILES[subject.role];
  // ca.pem may stand there: a directory can hold a server's files and a client's.
  await refuseToOverwrite(config.out, { names: [certificate, key], overwrite: config.overwrite });
  const others = await readOtherAnchors(config.alsoTrust);
  const ca = await openCa(config.ca, await readPassphrase(config, { isNew: false, signal }));
  const trust = [ca.certificatePem, ...others].join('');
  await refuseToForget(config.out, { trust, overwrite: config.overwrite });
  const privateKeyPem = await createDockerKey(config.keyType);
  const certificatePem = await ca.issue(subject, { publicKeyPem: privateKeyPem, ttlMs: config.ttl });
  const leaf = { role: subject.role, certificatePem, privateKeyPem };
  await writeDirectory(config.out, { trust, leaf });
  const { subject: name, notAfter, fingerprint } = describeCertificate(certificatePem);
  return `${name} until ${formatTime(notAfter)}, ${fingerprint}`;
}

/** What stands beside our own CA in `ca.pem` while one CA takes the other's place. */
async function readOtherAnchors(paths: readonly string[]): Promise<string[]> {
  const anchors: string[] = [];
  for (const path of paths) {
    for (const pem of certificatesIn(await readCertificateFile('--also-trust', path))) {
      if (!describeCertificate(pem).isCa) refuse('--also-trust', `${path} holds a certificate that is no CA`);
      anchors.push(`${pem}\n`);
    }
  }
  return anchors;
}

function indented(value: object): string {
  return JSON.stringify(value, undefined, 2).replace(/^/gm, '  ');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
