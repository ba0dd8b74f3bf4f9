import assert from 'node:assert/strict';
import { copyFile, cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { createDockerKey, DockerCa } from '@sealift/pki';
import { Dockerd } from '../testbed/docker.ts';
import { documentedBlocks } from '../testbed/documented-commands.ts';
import type { Host, Outcome } from '../testbed/host.ts';
import { sealift } from '../testbed/sealift.ts';
import { missingForTestbed } from '../testbed/support.ts';
import { Testbed } from '../testbed/testbed.ts';

const NAME = 'docker-1.example';
const DAY_MS = 86_400_000;
/** What the other side of the documented example is called by, beside its name. */
const DOCUMENTED_ADDRESS = '192.0.2.21';

/** How often a client asks until it hears why it is refused. */
const MAX_ATTEMPTS = 5;
/** What a client hears of a daemon that does not take its certificate. */
const BY_DAEMON =
  /remote error: tls: (?:bad certificate|certificate required|unknown certificate authority|expired certificate)/;

suite('a dockerd that is commanded over TLS', { skip: missingForTestbed() }, () => {
  let testbed: Testbed;
  let server: Host;
  let ops: Host;
  let dockerd: Dockerd;
  let directory: string;
  let settings: { daemonJson: object; daemonJsonWithoutHosts: object };
  /** The blocks of the documentation: the certificates, then the steps of a change of the CA. */
  let documented: string[];

  before(async () => {
    testbed = await Testbed.start({ hosts: { docker: [NAME], ops: [] } });
    server = testbed.network.host('docker');
    ops = testbed.network.host('ops');
    directory = path.join(testbed.directory, 'certificates');
    await mkdir(directory, { mode: 0o700 });
    documented = await documentedBlocks('operations.md', '## Remote Docker over TLS');
    await asDocumented(0);
    const again = ['--ca', at('docker-ca'), '--passphrase-file', at('ca-passphrase'), '--out', at('other')];
    const names = ['--name', NAME, '--listen', `${server.address}:2376`, '--json'];
    settings = JSON.parse(await ops.runOrThrow(sealift('docker-tls', 'server', ...again, ...names)));
    await writeFile(
      path.join(server.directory, 'docker-etc', 'daemon.json'),
      JSON.stringify(settings.daemonJsonWithoutHosts),
    );
    await startDockerd();
  });
  after(() => testbed?.stop());

  const at = (...names: string[]): string => path.join(directory, ...names);

  /** Runs a block of the documentation as it stands there, but for the address of the example. */
  async function asDocumented(block: number): Promise<string> {
    const define = `cd '${directory}'; sealift() { ${sealift()
      .map((part) => `'${part}'`)
      .join(' ')} "$@"; }`;
    const commands = (documented[block] ?? '').replaceAll(DOCUMENTED_ADDRESS, server.address);
    assert.match(commands, /sealift docker-tls/);
    return await ops.runOrThrow(['bash', '-euc', `${define}\n${commands}`]);
  }

  /** Installs the server's files on its host, as the operator would, and starts dockerd with them. */
  async function startDockerd(): Promise<void> {
    const tls = path.join(server.directory, 'docker-etc', 'tls');
    await dockerd?.stop();
    await cp(at('docker-1'), tls, { recursive: true });
    const flags = ['-H', `tcp://${server.address}:2376`];
    dockerd = await Dockerd.start(server, { runName: testbed.name, flags });
  }

  /** The stock client with the certificates of a directory; without one it has the CA only. */
  function docker(files: string | undefined, target = NAME): Promise<Outcome> {
    const certificate =
      files === undefined ? [] : [`--tlscert=${at(files, 'cert.pem')}`, `--tlskey=${at(files, 'key.pem')}`];
    const tls = ['--tlsverify', `--tlscacert=${at(files ?? 'ops', 'ca.pem')}`, ...certificate];
    return ops.run(['docker', ...tls, '-H', `tcp://${target}:2376`, 'version', '--format', '{{.Server.Version}}']);
  }

  /** A directory with a client's files of `ca`, trusting the right one. */
  async function clientOf(name: string, ca: DockerCa, { ttlMs = DAY_MS } = {}): Promise<string> {
    const key = await createDockerKey('p-256');
    await mkdir(at(name));
    await writeFile(at(name, 'key.pem'), key, { mode: 0o600 });
    await writeFile(at(name, 'cert.pem'), await ca.issue({ role: 'client', name }, { publicKeyPem: key, ttlMs }));
    await copyFile(at('ops', 'ca.pem'), at(name, 'ca.pem'));
    return name;
  }

  test('the right certificate commands it, by name and by address', async () => {
    for (const target of [NAME, server.address]) {
      const { code, stdout, stderr } = await docker('ops', target);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^\d+\.\d+/);
    }
  });

  test('the client finds its files by the variables that are printed', async () => {
    const env = { DOCKER_HOST: `tcp://${NAME}:2376`, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: at('ops') };
    const { code, stderr } = await ops.run(['docker', 'version'], { env });
    assert.equal(code, 0, stderr);
  });

  test('a client without a certificate is refused', async () => {
    assertRefused(await saidBy(() => docker(undefined)), BY_DAEMON);
  });

  test('a certificate of another CA is refused', async () => {
    const other = await DockerCa.create({ keyType: 'p-256', ttlMs: DAY_MS });
    const stranger = await clientOf('stranger', other);
    assertRefused(await saidBy(() => docker(stranger)), BY_DAEMON);
  });

  test('an expired certificate is refused', async () => {
    const now = Date.now();
    // The CA begins six minutes ago; this one is of five minutes ago, for one.
    const clock = { now: () => now - 5 * 60_000 };
    const pem = await readFile(at('docker-ca', 'ca.pem'), 'utf8');
    const passphrase = (await readFile(at('ca-passphrase'), 'utf8')).trim();
    const key = await ops.runOrThrow(['openssl', 'pkcs8', '-in', at('docker-ca', 'ca-key.pem'), '-passin', 'stdin'], {
      input: passphrase,
    });
    const ca = await DockerCa.load({ certificatePem: pem, privateKeyPem: key, clock });
    const late = await clientOf('late', ca, { ttlMs: 60_000 });
    assertRefused(await saidBy(() => docker(late)), BY_DAEMON);
  });

  test("a server's certificate is refused as a client's", async () => {
    await mkdir(at('posing'));
    await copyFile(at('other', 'server-cert.pem'), at('posing', 'cert.pem'));
    await copyFile(at('other', 'server-key.pem'), at('posing', 'key.pem'));
    await copyFile(at('other', 'ca.pem'), at('posing', 'ca.pem'));
    assertRefused(await saidBy(() => docker('posing')), BY_DAEMON);
  });

  test('a client believes no daemon under a name that is not in its certificate', async () => {
    await writeFile(path.join(ops.directory, 'hosts'), `${server.address} docker-2.example ${NAME}\n`);
    assertRefused(await docker('ops', 'docker-2.example'), /x509: certificate is valid for docker-1\.example/);
  });

  test('plain HTTP is refused', async () => {
    const { code, stderr } = await ops.run(['docker', '-H', `tcp://${NAME}:2376`, 'version']);
    assert.notEqual(code, 0);
    assert.match(stderr, /Client sent an HTTP request to an HTTPS server/);
  });

  test('keys are for their owner only, and the CA key is encrypted', async () => {
    for (const file of ['docker-ca/ca-key.pem', 'docker-1/server-key.pem', 'ops/key.pem']) {
      assert.equal((await stat(at(file))).mode & 0o777, 0o600, file);
    }
    assert.match(await readFile(at('docker-ca', 'ca-key.pem'), 'utf8'), /^-----BEGIN ENCRYPTED PRIVATE KEY-----/);
  });

  test('hosts in daemon.json beside -H on the command line stop dockerd, as the printed settings say', async () => {
    const file = path.join(server.directory, 'with-hosts.json');
    await writeFile(file, JSON.stringify(settings.daemonJson));
    const { code, stderr } = await server.run([
      'dockerd',
      '--config-file',
      file,
      '-H',
      `unix://${server.directory}/x.sock`,
    ]);
    assert.notEqual(code, 0);
    assert.match(stderr, /specified both as a flag and in the configuration file: hosts/);
  });

  test('a stolen certificate ends with a change of the CA, and nobody else is locked out on the way', async () => {
    await cp(at('ops'), at('stolen'), { recursive: true });
    await asDocumented(1);
    await asDocumented(2);
    await startDockerd();
    assert.equal((await docker('ops')).code, 0);
    assert.equal((await docker('stolen')).code, 1, 'its ca.pem is from before the change');
    await copyFile(at('ops', 'ca.pem'), at('stolen', 'ca.pem'));
    assert.equal((await docker('stolen')).code, 0);
    await asDocumented(3);
    await startDockerd();
    assert.equal((await docker('ops')).code, 0);
    await copyFile(at('ops', 'ca.pem'), at('stolen', 'ca.pem'));
    assertRefused(await saidBy(() => docker('stolen')), BY_DAEMON);
  });

  test('a CA, a daemon and a client with RSA-4096 keys do as well', async () => {
    const make = (...args: string[]) =>
      ops.runOrThrow(
        sealift(
          'docker-tls',
          ...args,
          '--passphrase-file',
          at('ca-passphrase'),
          '--ca',
          at('rsa-ca'),
          '--key-type',
          'rsa-4096',
        ),
      );
    await make('init');
    await make('server', '--out', at('docker-1'), '--overwrite', '--name', NAME);
    await make('client', 'ops', '--out', at('rsa-ops'));
    await startDockerd();
    assert.equal((await docker('rsa-ops')).code, 0);
    assertRefused(await docker('ops'), /certificate signed by unknown authority/);
  });
});

/**
 * What a daemon says to a client. In TLS 1.3 the client asks before the daemon has looked at its certificate, so the end of
 * the connection may overtake the alert that gives the reason: then it asks once more.
 */
async function saidBy(ask: () => Promise<Outcome>): Promise<Outcome> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await ask();
    if (attempt === MAX_ATTEMPTS || !/connection reset by peer|broken pipe/.test(outcome.stderr)) return outcome;
  }
}

function assertRefused({ code, stdout, stderr }: Outcome, why: RegExp): void {
  assert.notEqual(code, 0);
  assert.equal(stdout.trim(), '');
  assert.match(stderr, why);
}
