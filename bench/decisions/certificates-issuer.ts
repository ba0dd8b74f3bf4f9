// A process that issues leaves from one signing request, again and again, and times it. The request is parsed and its
// signature checked each time, as a CA must.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { parseClusterId, parseNodeId } from '@sealift/core';
import { checkCsr, createSigningRequest, SwarmCa } from '@sealift/pki';
import { serve } from './child.ts';
import { loadOpponent } from './opponents.ts';
import { type Figures, medianOf } from './rounds.ts';

type Issue = () => Promise<string>;

/** Certificates before the clock runs, so that compiled code is measured. */
const WARM_UP_COUNT = 20;
const COUNT = 100;

/** What we use of node-forge, which comes without types. */
interface Forge {
  readonly md: { readonly sha256: { create(): object } };
  readonly pki: {
    privateKeyFromPem(pem: string): object;
    publicKeyFromPem(pem: string): object;
    createCertificationRequest(): ForgeRequest;
    certificationRequestToPem(request: ForgeRequest): string;
    certificationRequestFromPem(pem: string): ForgeRequest;
    createCertificate(): ForgeCertificate;
    certificateToPem(certificate: ForgeCertificate): string;
  };
}
interface ForgeRequest {
  publicKey: object;
  setSubject(name: readonly object[]): void;
  sign(key: object, digest: object): void;
  verify(): boolean;
}
interface ForgeCertificate {
  publicKey: object;
  serialNumber: string;
  readonly validity: { notBefore: Date; notAfter: Date };
  setSubject(name: readonly object[]): void;
  setIssuer(name: readonly object[]): void;
  setExtensions(extensions: readonly object[]): void;
  sign(key: object, digest: object): void;
}

serve({
  measure: async ({ issuer, opponents }: { issuer: string; opponents: string }) =>
    await measure(issuer === 'sealift' ? await ourIssue() : await forgeIssue(opponents)),
});

async function ourIssue(): Promise<Issue> {
  const ca = await SwarmCa.create({ clusterId: parseClusterId('bench') });
  const { csrPem } = await createSigningRequest();
  const profile = { role: 'node', id: parseNodeId('node-1'), ttlMs: 3_600_000 } as const;
  return async () => (await ca.issue(profile, await checkCsr(csrPem))).certificatePem;
}

async function forgeIssue(directory: string): Promise<Issue> {
  const { md, pki } = (await loadOpponent<{ default: Forge }>('node-forge', { directory })).default;
  // Node makes the keys: making them is not what is compared.
  const newKeys = () => {
    const pair = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    return { publicKey: pki.publicKeyFromPem(pair.publicKey), privateKey: pki.privateKeyFromPem(pair.privateKey) };
  };
  const [ca, node] = [newKeys(), newKeys()];
  const request = pki.createCertificationRequest();
  request.publicKey = node.publicKey;
  request.setSubject([{ name: 'commonName', value: 'node-1' }]);
  request.sign(node.privateKey, md.sha256.create());
  const csrPem = pki.certificationRequestToPem(request);
  return async () => {
    const received = pki.certificationRequestFromPem(csrPem);
    if (!received.verify()) throw new Error('the signing request does not verify');
    const certificate = pki.createCertificate();
    certificate.publicKey = received.publicKey;
    certificate.serialNumber = `40${randomBytes(15).toString('hex')}`;
    certificate.validity.notBefore = new Date(Date.now() - 60_000);
    certificate.validity.notAfter = new Date(Date.now() + 3_600_000);
    certificate.setSubject([{ name: 'commonName', value: 'node-1' }]);
    certificate.setIssuer([{ name: 'commonName', value: 'bench CA' }]);
    certificate.setExtensions([
      { name: 'basicConstraints', critical: true, cA: false },
      { name: 'keyUsage', critical: true, digitalSignature: true },
      { name: 'extKeyUsage', critical: true, serverAuth: true, clientAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 6, value: 'spiffe://bench/node/node-1' }] },
      { name: 'subjectKeyIdentifier' },
    ]);
    certificate.sign(ca.privateKey, md.sha256.create());
    return pki.certificateToPem(certificate);
  };
}

async function measure(issue: Issue): Promise<Figures> {
  for (let count = 0; count < WARM_UP_COUNT; count += 1) await issue();
  const startedAt = performance.now();
  const loopBefore = performance.eventLoopUtilization();
  const cpuBefore = process.cpuUsage();
  for (let count = 0; count < COUNT; count += 1) await issue();
  const wall = performance.now() - startedAt;
  const { active } = performance.eventLoopUtilization(loopBefore);
  const { user, system } = process.cpuUsage(cpuBefore);
  const stretches: number[] = [];
  for (let count = 0; count < COUNT; count += 1) stretches.push(await longestStretch(issue));
  return {
    'wall per certificate, ms': wall / COUNT,
    'event loop busy per certificate, ms': active / COUNT,
    'longest stretch in which nothing else ran, ms': medianOf(stretches),
    'CPU per certificate, all threads, ms': (user + system) / 1000 / COUNT,
  };
}

/** The longest time, in ms, that `issue` kept everything else in this process from running. */
async function longestStretch(issue: Issue): Promise<number> {
  let longest = 0;
  let beatAt = performance.now();
  let isRunning = true;
  const beat = (): void => {
    longest = Math.max(longest, performance.now() - beatAt);
    beatAt = performance.now();
    if (isRunning) setImmediate(beat);
  };
  setImmediate(beat);
  await issue();
  isRunning = false;
  return Math.max(longest, performance.now() - beatAt);
}
