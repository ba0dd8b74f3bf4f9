import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { AppError } from '@sealift/core';
import { createDockerKey, DockerCa } from '@sealift/pki';
import { CliProcess, inTemporaryDirectory } from '../cli-process.fixture.ts';
import { openCa, refuseToForget, refuseToOverwrite, writeCa, writeDirectory } from './certificate-directory.ts';
import { inspectDirectory } from './inspection.ts';
import { findRenewals } from './renewal.ts';

const DAY_MS = 86_400_000;
const PASSPHRASE = 'correct horse battery';
const SERVER = { role: 'server', dnsNames: ['docker-1.example'], ipAddresses: ['192.0.2.21'] } as const;

suite('sealift docker-tls', () => {
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
  let directory = '';
  let cleaned: Promise<void>;
  let ca: DockerCa;
  before(async () => {
    ca = await DockerCa.create({ keyType: 'p-256', ttlMs: 100 * DAY_MS });
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    cleaned = inTemporaryDirectory(async (made) => {
      directory = made;
      await writeFile(at('passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
      await writeFile(at('wrong'), 'incorrect horse\n', { mode: 0o600 });
      await writeFile(at('weak'), 'short\n', { mode: 0o600 });
      await writeCa(at('ca'), ca, PASSPHRASE);
      resolve();
      await finished;
    });
    await ready;
  });
  after(async () => {
    finish();
    await cleaned;
  });
  const at = (...names: string[]): string => path.join(directory, ...names);

  async function run(status: number, ...args: string[]): Promise<string> {
    const cli = new CliProcess(['docker-tls', ...args]);
    assert.equal(await cli.ended(), status, cli.said);
    return status === 0 ? cli.printed : cli.said;
  }
  const withCa = (passphrase = 'passphrase') => ['--ca', at('ca'), '--passphrase-file', at(passphrase)];

  /** A directory with a server's key and certificate. */
  async function serverIn(name: string, issuer = ca, ttlMs = 60 * DAY_MS): Promise<string> {
    const privateKeyPem = await createDockerKey('p-256');
    const certificatePem = await issuer.issue(SERVER, { publicKeyPem: privateKeyPem, ttlMs });
    await writeDirectory(at(name), {
      trust: issuer.certificatePem,
      leaf: { role: 'server', certificatePem, privateKeyPem },
    });
    return at(name);
  }
  const problemsIn = async (name: string, now = Date.now()): Promise<string[]> =>
    (await inspectDirectory(at(name), { now, withinMs: 30 * DAY_MS })).flatMap(({ problems }) => problems);

  test('init makes a CA with an encrypted key for its owner only, and a second one only if asked', async () => {
    const fresh = ['init', '--ca', at('made'), '--passphrase-file', at('passphrase')];
    assert.match(await run(0, ...fresh), /^CN=Sealift Docker CA [0-9a-f]{8} until .*, sha256:[0-9a-f]{64}\n/);
    const key = await readFile(at('made', 'ca-key.pem'), 'utf8');
    assert.match(key, /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    assert.equal((await stat(at('made'))).mode & 0o777, 0o700);
    assert.equal((await stat(at('made', 'ca-key.pem'))).mode & 0o777, 0o600);
    assert.match(await run(64, ...fresh), /ca\.pem, ca-key\.pem already in .*--overwrite/);
    assert.equal(await readFile(at('made', 'ca-key.pem'), 'utf8'), key);
    await run(0, ...fresh, '--overwrite', '--key-type', 'rsa-4096');
    assert.notEqual(await readFile(at('made', 'ca-key.pem'), 'utf8'), key);
  });

  test('a passphrase comes from a file that is its owner’s, or from a terminal, and is long enough', async () => {
    assert.match(await run(64, 'init', '--ca', at('none')), /--passphrase-file: there is no terminal to ask on/);
    assert.match(
      await run(64, 'init', '--ca', at('none'), '--passphrase-file', at('weak')),
      /fewer than 12 characters/,
    );
    await chmod(at('weak'), 0o644);
    assert.match(await run(64, 'init', '--ca', at('none'), '--passphrase-file', at('weak')), /others may read it/);
    await assert.rejects(stat(at('none')));
  });

  test('on a terminal the passphrase is asked for twice, is not shown, and Ctrl-C ends it', async () => {
    const onTerminal = async (name: string, answers: readonly string[]) => {
      const main = path.join(import.meta.dirname, '..', 'main.ts');
      const command = `'${process.execPath}' '${main}' docker-tls init --ca '${at(name)}'`;
      // script(1) gives the command a terminal of its own, on which it puts what we write.
      const child = spawn('script', ['-qefc', command, '/dev/null'], {
        stdio: ['pipe', 'pipe', 'inherit'],
        timeout: 40_000,
      });
      let shown = '';
      const left = [...answers];
      let heard = 0;
      child.stdout.on('data', (chunk: Buffer) => {
        shown += chunk.toString();
        const prompts = shown.match(/(?:key|again): /g)?.length ?? 0;
        for (; heard < prompts; heard += 1) child.stdin.write(left.shift() ?? '');
      });
      const [code] = (await once(child, 'close')) as [number | null];
      return { code, shown };
    };
    const good = await onTerminal('t1', [`${PASSPHRASE}\r`, `${PASSPHRASE}\r`]);
    assert.equal(good.code, 0, good.shown);
    assert.doesNotMatch(good.shown, /correct|horse/);
    await openCa(at('t1'), PASSPHRASE);
    const other = await onTerminal('t2', [`${PASSPHRASE}\r`, 'something else\r']);
    assert.match(other.shown, /the two are not equal/);
    const ended = await onTerminal('t2', ['\u0003']);
    assert.match(ended.shown, /no passphrase was given/);
    assert.deepEqual([other.code, ended.code], [64, 64]);
    await assert.rejects(stat(at('t2')));
  });

  test('server writes what dockerd needs and prints how to tell it', async () => {
    const server = ['server', ...withCa(), '--out', at('s1'), '--name', 'Docker-1.example', '--name', '192.0.2.21'];
    const printed = await run(0, ...server, '--json', '--listen', '[::]:2376');
    const settings = JSON.parse(printed) as Record<string, Record<string, unknown>>;
    assert.deepEqual(settings['daemonJson'], {
      tlsverify: true,
      tlscacert: '/etc/docker/tls/ca.pem',
      tlscert: '/etc/docker/tls/server-cert.pem',
      tlskey: '/etc/docker/tls/server-key.pem',
      hosts: ['unix:///var/run/docker.sock', 'tcp://[::]:2376'],
    });
    assert.equal('hosts' in (settings['daemonJsonWithoutHosts'] ?? {}), false);
    for (const [name, mode] of [
      ['ca.pem', 0o644],
      ['server-cert.pem', 0o644],
      ['server-key.pem', 0o600],
    ] as const) {
      assert.equal((await stat(at('s1', name))).mode & 0o777, mode, name);
    }
    assert.deepEqual(await problemsIn('s1'), []);
    assert.match(await run(64, ...server), /server-cert\.pem, server-key\.pem already in/);
  });

  test('a wrong passphrase, a directory without a CA and a name that is none are refused', async () => {
    const out = ['--out', at('refused')];
    assert.match(await run(64, 'client', 'ops', ...withCa('wrong'), ...out), /wrong passphrase, or not a private key/);
    assert.match(await run(64, 'client', 'ops', '--ca', at('nothing'), ...out), /--ca: there is no CA in/);
    assert.match(await run(1, 'client', 'a,O=admins', ...withCa(), ...out), /the name of a client is not well-formed/);
    await assert.rejects(stat(at('refused')));
  });

  test('show exits with 1 for what ends soon, and says so line by line', async () => {
    await serverIn('s2');
    assert.match(
      await run(0, 'show', at('ca'), at('s2')),
      /names +docker-1\.example, 192\.0\.2\.21\n[\s\S]* days left/,
    );
    assert.match(await run(1, 'show', at('ca'), at('s2'), '--within', '61d'), /1 of 3 have problems/);
    assert.match(await run(64, 'show', at('nothing')), /holds none of ca\.pem/);
  });

  test('what is wrong with certificates is found', async () => {
    const other = await DockerCa.create({ keyType: 'p-256', ttlMs: 100 * DAY_MS });
    const server = await serverIn('s3');
    assert.deepEqual(await problemsIn('s3', Date.now() + 59 * DAY_MS), ['it expires soon']);
    assert.deepEqual(await problemsIn('s3', Date.now() + 61 * DAY_MS), ['it has expired']);
    assert.deepEqual(await problemsIn('s3', Date.now() - DAY_MS), ['it is not valid yet', 'it is not valid yet']);
    await chmod(path.join(server, 'server-key.pem'), 0o640);
    await copyFile(path.join(server, 'server-cert.pem'), path.join(server, 'cert.pem'));
    await writeFile(path.join(server, 'ca.pem'), other.certificatePem);
    const key = path.join(server, 'key.pem');
    await writeFile(key, await createDockerKey('p-256'), { mode: 0o600 });
    assert.deepEqual(await problemsIn('s3'), [
      'no CA in ca.pem has signed it',
      `others may read ${path.join(server, 'server-key.pem')}`,
      'it is not for clientAuth alone',
      'no CA in ca.pem has signed it',
      `${key} is not its key`,
    ]);
    await mkdir(at('bare'), { mode: 0o700 });
    await writeFile(at('bare', 'ca.pem'), ca.certificatePem);
    await writeFile(at('bare', 'ca-key.pem'), ca.exportPrivateKey(), { mode: 0o600 });
    assert.deepEqual(await problemsIn('bare'), [`${at('bare', 'ca-key.pem')} is not encrypted`]);
  });

  test('renew keeps names and key, makes a new key if asked, and changes the CA in steps', async () => {
    const next = await DockerCa.create({ keyType: 'p-256', ttlMs: 100 * DAY_MS });
    await writeCa(at('ca-2'), next, PASSPHRASE);
    const server = await serverIn('s4');
    const read = async () => {
      const text = await readFile(path.join(server, 'server-cert.pem'), 'utf8');
      const trust = await readFile(path.join(server, 'ca.pem'), 'utf8');
      return { certificate: new X509Certificate(text), anchors: trust.match(/BEGIN CERT/g)?.length };
    };
    const first = await read();
    await run(0, 'renew', server, ...withCa());
    const second = await read();
    assert.equal(second.certificate.publicKey.equals(first.certificate.publicKey), true);
    assert.notEqual(second.certificate.serialNumber, first.certificate.serialNumber);
    const toNext = ['--ca', at('ca-2'), '--passphrase-file', at('passphrase')];
    assert.match(await run(1, 'renew', server, ...toNext), /it is of another CA/);
    await run(0, 'renew', server, ...toNext, '--also-trust', at('ca', 'ca.pem'), '--new-key');
    const third = await read();
    assert.equal(third.certificate.publicKey.equals(first.certificate.publicKey), false);
    assert.equal(third.certificate.subjectAltName, first.certificate.subjectAltName);
    assert.equal(third.anchors, 2);
    await run(0, 'renew', server, ...toNext);
    assert.equal((await read()).anchors, 1);
    assert.deepEqual(await problemsIn('s4'), []);
  });

  test('a certificate with another’s key, or in another’s place, is not renewed', async () => {
    const server = await serverIn('s5');
    const renewals = () => findRenewals(server, { anchors: [ca.certificatePem], newKey: false });
    assert.equal((await renewals()).length, 1);
    await writeFile(path.join(server, 'server-key.pem'), await createDockerKey('p-256'));
    await assert.rejects(renewals(), { code: 'CERTIFICATE_REJECTED' });
    const swapped = await serverIn('s6');
    await copyFile(path.join(swapped, 'server-cert.pem'), path.join(swapped, 'cert.pem'));
    await assert.rejects(findRenewals(swapped, { anchors: [ca.certificatePem], newKey: true }), {
      code: 'CERTIFICATE_REJECTED',
    });
    await assert.rejects(findRenewals(at('nothing'), { anchors: [], newKey: true }), { code: 'CONFIG_INVALID' });
  });

  test('a CA that a directory trusts already is not forgotten unless that is wanted', async () => {
    const other = await DockerCa.create({ keyType: 'p-256', ttlMs: DAY_MS });
    const server = await serverIn('s8', other);
    const client = ['client', 'ops', ...withCa(), '--out', server];
    assert.match(await run(64, ...client), /ca\.pem in .*s8 has another CA, which would be lost.*--also-trust/);
    assert.equal(await readFile(path.join(server, 'ca.pem'), 'utf8'), other.certificatePem);
    const trust = [ca.certificatePem, other.certificatePem].join('');
    await refuseToForget(server, { trust: trust.replaceAll('\n', '\r\n'), overwrite: false });
    await refuseToForget(server, { trust: ca.certificatePem, overwrite: true });
    await refuseToForget(at('nothing'), { trust: '', overwrite: false });
  });

  test('what is wrong with one certificate is said with its file, and before another is replaced', async () => {
    const good = await serverIn('s9');
    const before = await readFile(path.join(good, 'server-cert.pem'), 'utf8');
    const bad = await serverIn('s10');
    await writeFile(path.join(bad, 'server-cert.pem'), '-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n');
    const isNamed = ({ details }: AppError): boolean => details['file'] === path.join(bad, 'server-cert.pem');
    await assert.rejects(inspectDirectory(bad, { now: Date.now(), withinMs: 0 }), isNamed);
    await assert.rejects(findRenewals(bad, { anchors: [ca.certificatePem], newKey: false }), isNamed);
    assert.match(await run(1, 'renew', good, bad, ...withCa()), /s10\/server-cert\.pem/);
    assert.equal(await readFile(path.join(good, 'server-cert.pem'), 'utf8'), before);
  });

  test('files are replaced only if that is wanted', async () => {
    const server = await serverIn('s7');
    const names = ['server-key.pem', 'key.pem'];
    await assert.rejects(refuseToOverwrite(server, { names, overwrite: false }), { code: 'CONFIG_INVALID' });
    await refuseToOverwrite(server, { names, overwrite: true });
    await refuseToOverwrite(server, { names: ['key.pem'], overwrite: false });
  });
});
