import { X509Certificate } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@sealift/core';
import { type CertificateSummary, describeCertificate, isKeyOf, isSignedBy } from '@sealift/pki';
import { certificatesIn } from '../certificate-file.ts';
import { printable } from '../printable.ts';
import { CA_KEY_FILE, inFile, LEAF_FILES, type LeafRole, readIfThere, TRUST_FILE } from './certificate-directory.ts';

const DAY_MS = 86_400_000;
/** Any right for group or others. */
const OPEN_TO_OTHERS = 0o077;
const ENCRYPTED = '-----BEGIN ENCRYPTED PRIVATE KEY-----';

/** A certificate in a file, and what is wrong with it; nothing if all is well. */
export interface InspectedCertificate extends CertificateSummary {
  readonly file: string;
  /** Whole days until it ends; negative once it has. */
  readonly daysLeft: number;
  readonly problems: readonly string[];
}

/** When a certificate counts as a problem. */
interface Horizon {
  /** In ms since the epoch. */
  readonly now: number;
  /** A certificate that ends within this time is a problem already, in ms. */
  readonly withinMs: number;
}

/**
 * The certificates of a directory by their usual names, each held against its key and against the CAs beside it. Throws
 * `CONFIG_INVALID` where there is none.
 */
export async function inspectDirectory(directory: string, horizon: Horizon): Promise<InspectedCertificate[]> {
  const found: InspectedCertificate[] = [];
  const trustFile = join(directory, TRUST_FILE);
  const anchors = certificatesIn((await readIfThere(trustFile)) ?? '');
  for (const [index, pem] of anchors.entries()) {
    const problems = index === 0 ? await caKeyProblems(join(directory, CA_KEY_FILE), pem) : [];
    found.push(await inspect(pem, { file: trustFile, problems, ...horizon }));
  }
  for (const role of Object.keys(LEAF_FILES) as LeafRole[]) {
    const file = join(directory, LEAF_FILES[role].certificate);
    const [pem] = certificatesIn((await readIfThere(file)) ?? '');
    if (pem === undefined) continue;
    const problems = [
      ...(await inFile(file, () => leafProblems(pem, role, anchors))),
      ...(await keyProblems(join(directory, LEAF_FILES[role].key), pem)),
    ];
    found.push(await inspect(pem, { file, problems, ...horizon }));
  }
  if (found.length > 0) return found;
  const names = [TRUST_FILE, ...Object.values(LEAF_FILES).map(({ certificate }) => certificate)].join(', ');
  throw new AppError('CONFIG_INVALID', { reason: `${directory} holds none of ${names}` });
}

/** The certificate for people, several lines. */
export function formatInspected(certificate: InspectedCertificate): string {
  const { file, subject, issuer, isCa, dnsNames, ipAddresses, usages, problems } = certificate;
  const { fingerprint, keyType, notBefore, notAfter, daysLeft } = certificate;
  const rows = {
    subject,
    issuer: issuer === subject ? 'itself' : issuer,
    use: isCa ? 'CA' : usages.join(', '),
    names: [...dnsNames, ...ipAddresses].join(', ') || 'none',
    key: keyType,
    fingerprint,
    valid: `${formatTime(notBefore)} to ${formatTime(notAfter)}, ${daysLeft} days left`,
    problems: problems.join('; ') || 'none',
  };
  return [file, ...Object.entries(rows).map(([name, value]) => `  ${name.padEnd(12)} ${printable(value)}`)].join('\n');
}

/** A time of a certificate as people and programs read it (RFC 3339). */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString();
}

async function inspect(
  pem: string,
  { file, problems, now, withinMs }: Horizon & { file: string; problems: readonly string[] },
): Promise<InspectedCertificate> {
  const summary = await inFile(file, () => describeCertificate(pem));
  const left = summary.notAfter - now;
  const times = [
    ...(summary.notBefore > now ? ['it is not valid yet'] : []),
    ...(left <= 0 ? ['it has expired'] : left < withinMs ? ['it expires soon'] : []),
  ];
  return { file, ...summary, daysLeft: Math.floor(left / DAY_MS), problems: [...times, ...problems] };
}

function leafProblems(pem: string, role: LeafRole, anchors: readonly string[]): string[] {
  const { usages, isCa, dnsNames, ipAddresses } = describeCertificate(pem);
  const use = role === 'server' ? 'serverAuth' : 'clientAuth';
  const leaf = new X509Certificate(pem);
  return [
    ...(isCa || usages.length !== 1 || usages[0] !== use ? [`it is not for ${use} alone`] : []),
    ...(role === 'server' && dnsNames.length + ipAddresses.length === 0 ? ['it names no host'] : []),
    ...(anchors.some((anchor) => isSignedBy(leaf, new X509Certificate(anchor)))
      ? []
      : [`no CA in ${TRUST_FILE} has signed it`]),
  ];
}

async function keyProblems(path: string, certificate: string): Promise<string[]> {
  const key = await readIfThere(path);
  if (key === undefined) return [`its key ${path} is missing`];
  return [
    ...((await isOpenToOthers(path)) ? [`others may read ${path}`] : []),
    ...(isKeyOf(key, certificate) ? [] : [`${path} is not its key`]),
  ];
}

/** The key of a CA lies in the directory of the CA only, and under its passphrase nobody can look at it here. */
async function caKeyProblems(path: string, certificate: string): Promise<string[]> {
  const key = await readIfThere(path);
  if (key === undefined) return [];
  return [
    ...((await isOpenToOthers(path)) ? [`others may read ${path}`] : []),
    ...(key.includes(ENCRYPTED)
      ? []
      : [`${path} is not encrypted`, ...(isKeyOf(key, certificate) ? [] : [`${path} is not its key`])]),
  ];
}

async function isOpenToOthers(path: string): Promise<boolean> {
  return ((await stat(path)).mode & OPEN_TO_OTHERS) !== 0;
}
