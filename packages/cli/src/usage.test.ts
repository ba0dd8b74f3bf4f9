import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { CliProcess, inTemporaryDirectory, lonelyNode } from './cli-process.fixture.ts';

interface Row {
  readonly mistake: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly says: RegExp;
  readonly status: number;
}

// Two at a time: each row is a process, and there are two cores.
suite('the command line', { concurrency: 2 }, () => {
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
  let directory = '';
  let cleaned: Promise<void>;
  before(async () => {
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    cleaned = inTemporaryDirectory(async (made) => {
      directory = made;
      await writeFile(path.join(made, 'file'), 'no directory, no certificate\n');
      await writeFile(path.join(made, 'token'), 'slt_notreally\n', { mode: 0o644 });
      await writeFile(path.join(made, 'hosts'), 'not a host\ndocker-1.example\nx:99999\n');
      resolve();
      await finished;
    });
    await ready;
  });
  after(async () => {
    finish();
    await cleaned;
  });

  const at = (name: string): string => path.join(directory, name);
  const node = (...more: string[]): string[] => [...lonelyNode(at('node')), ...more];
  const rows: readonly (() => Row)[] = [
    () => ({ mistake: 'no command', args: [], says: /Usage: sealift <command>/, status: 64 }),
    () => ({ mistake: 'an unknown command', args: ['nod'], says: /unknown command 'nod'/, status: 64 }),
    () => ({ mistake: 'an unknown flag', args: ['status', '--bogus'], says: /unknown option '--bogus'/, status: 64 }),
    () => ({
      mistake: 'a secret as an argument',
      args: ['status', '--join-token=slt_notreally'],
      says: /unknown option '--join-/,
      status: 64,
    }),
    () => ({
      mistake: 'a secret as one argument more',
      args: ['status', 'slt_notreally'],
      says: /too many arguments/,
      status: 64,
    }),
    () => ({ mistake: 'a flag without its value', args: ['status', '--data'], says: /argument missing/, status: 64 }),
    () => ({
      mistake: 'missing settings, a bad value and an unknown variable',
      args: ['node', '--listen', '1'],
      env: { SEALIFT_DAAT: '/x' },
      says: /SEALIFT_DAAT: [\s\S]*--tracker: [\s\S]*--data: [\s\S]*--registry: [\s\S]*--listen: write an address/,
      status: 64,
    }),
    () => ({
      mistake: 'a registry CA file that is not there',
      args: node('--registry-ca', `registry.example=${at('none')}`),
      says: /--registry-ca: cannot read .*none \(ENOENT\)/,
      status: 64,
    }),
    () => ({
      mistake: 'a registry CA file without a certificate',
      args: node('--registry-ca', `registry.example=${at('file')}`),
      says: /--registry-ca: .*file holds no certificate/,
      status: 64,
    }),
    () => ({
      mistake: 'a tracker CA file that is a directory',
      args: node('--tracker-ca', directory),
      says: /--tracker-ca: cannot read .* \(EISDIR\)/,
      status: 64,
    }),
    () => ({
      mistake: 'a tracker address without a fingerprint',
      args: node('--tracker', 'https://127.0.0.1:1'),
      says: /--tracker: it has no fingerprint; give the address/,
      status: 64,
    }),
    () => ({
      mistake: 'a join token that others may read',
      args: node('--join-token-file', at('token')),
      says: /others may read it.*run: chmod 600/,
      status: 64,
    }),
    () => ({
      mistake: 'a proxy that all the network reaches',
      args: node('--listen', '0.0.0.0:0'),
      says: /listens on loopback addresses only/,
      status: 64,
    }),
    () => ({
      mistake: 'a data directory that is a file',
      args: node('--data', at('file')),
      says: /--data: .*file is not a directory/,
      status: 64,
    }),
    () => ({
      mistake: 'a data directory where there can be none',
      args: node('--data', process.platform === 'linux' ? '/proc/sealift/data' : at('file/data')),
      says: /--data: (?:cannot use .* give a directory|.* is not a directory)/,
      status: 64,
    }),
    () => ({
      mistake: 'a tracker whose seeder nobody finds',
      args: ['tracker', '--data', at('tracker'), '--registry', 'registry.example'],
      says: /Give --seeder-address IP:PORT/,
      status: 64,
    }),
    () => ({
      mistake: 'a token of a tracker that never was',
      args: ['token', 'create', '--data', directory, '--out', at('out')],
      says: /there is no tracker in/,
      status: 64,
    }),
    () => ({
      mistake: 'a revocation of nothing',
      args: ['revoke', '--data', directory],
      says: /--list: name a registry and a repository, or ask for the list, not both/,
      status: 64,
    }),
    () => ({
      mistake: 'a revocation of a registry alone',
      args: ['revoke', 'registry.example', '--data', directory],
      says: /write a registry and a repository, for example/,
      status: 64,
    }),
    () => ({
      mistake: 'a revocation of a repository that is none',
      args: ['revoke', 'registry.example/Team', '--data', directory],
      says: /a repository name breaks the rules/,
      status: 64,
    }),
    () => ({
      mistake: 'a revocation of a digest that is none',
      args: ['revoke', 'registry.example/team/app', '--digest', 'sha256:1', '--data', directory],
      says: /--digest: /,
      status: 64,
    }),
    () => ({
      mistake: 'a revocation at a tracker that never was',
      args: ['revoke', 'registry.example/team/app', '--data', directory],
      says: /there is no tracker in/,
      status: 64,
    }),
    () => ({
      mistake: 'a set-up for no registry',
      args: ['setup', 'docker', '--root', directory],
      says: /--registry: it is required/,
      status: 64,
    }),
    () => ({
      mistake: 'a set-up for a proxy that all the network reaches',
      args: ['setup', 'docker', '--registry', 'registry.example', '--listen', '10.0.0.1:3128', '--root', directory],
      says: /--listen: give the port of the node's proxy on loopback/,
      status: 64,
    }),
    () => ({
      mistake: 'an uninstall of a runtime that there is not',
      args: ['uninstall', 'rkt', '--root', directory],
      says: /name one of docker, containerd, podman/,
      status: 64,
    }),
    () => ({
      mistake: 'the status of a node that does not run',
      args: ['status', '--data', directory],
      says: /no node answers in .* Start it with `sealift node`/,
      status: 64,
    }),
    () => ({
      mistake: 'a doctor without an image',
      args: ['doctor', '--data', directory],
      says: /missing required argument 'image'/,
      status: 64,
    }),
    () => ({
      mistake: 'a doctor for an image that is none',
      args: ['doctor', 'registry.example/Team', '--data', directory],
      says: /an image reference cannot be understood/,
      status: 64,
    }),
    () => ({
      mistake: 'the health of a node that does not run',
      args: ['health', '--data', directory],
      says: /no node or tracker answers here: ENOENT/,
      status: 1,
    }),
    () => ({
      mistake: 'a rollout of an image that is none',
      args: ['rollout', 'Team/App', '--hosts', at('hosts'), '--cert-dir', directory],
      says: /an image reference cannot be understood/,
      status: 64,
    }),
    () => ({
      mistake: 'a hosts file with problems',
      args: ['rollout', 'registry.example/app', '--hosts', at('hosts'), '--cert-dir', directory],
      says: /--hosts: line 1: [\s\S]*--hosts: line 3: /,
      status: 64,
    }),
    () => ({
      mistake: 'a rollout to hosts without an end',
      args: ['rollout', 'registry.example/app', '--hosts', '/dev/zero', '--cert-dir', directory],
      says: /--hosts: \/dev\/zero is too long/,
      status: 64,
    }),
    () => ({
      mistake: 'a rollout in waves of nobody',
      args: ['rollout', 'registry.example/app', '--hosts', at('hosts'), '--cert-dir', directory, '--wave', '0'],
      says: /--wave: write at least 1 or 1%/,
      status: 64,
    }),
    () => ({
      mistake: 'a preheat to nowhere',
      args: ['preheat', 'registry.example/app'],
      says: /--tracker: name the tracker whose seeder shall have the image/,
      status: 64,
    }),
    () => ({
      mistake: 'a preheat of a node across the network',
      args: ['preheat', 'registry.example/app', '--nodes', '192.0.2.1:3128'],
      says: /--nodes: 192\.0\.2\.1:3128 is not on loopback/,
      status: 64,
    }),
    () => ({
      mistake: 'a platform that is none',
      args: ['preheat', 'registry.example/app', '--platform', 'linux'],
      says: /--platform: write a platform as linux\/amd64/,
      status: 64,
    }),
    () => ({
      mistake: 'a server certificate without a name',
      args: ['docker-tls', 'server', '--ca', directory, '--out', at('out')],
      says: /--name: it is required/,
      status: 64,
    }),
  ];
  for (const row of rows) {
    test(`answers ${row().mistake} with one clear message`, async () => {
      const { args, env, says, status } = row();
      const cli = new CliProcess(args, env === undefined ? {} : { env });
      assert.equal(await cli.ended(), status, cli.said);
      assert.match(cli.said, says);
      assert.doesNotMatch(cli.said, /^ {4}at |bug/m);
      assert.doesNotMatch(cli.said, /slt_notreally/);
      assert.equal(existsSync(at('tracker.sqlite')), false);
    });
  }

  test('shows what a set-up would change, and writes nothing, for --dry-run', async () => {
    const cli = new CliProcess(['setup', 'docker', '--registry', 'registry.example', '--root', directory, '--dry-run']);
    assert.equal(await cli.ended(), 0, cli.said);
    assert.match(cli.printed, /^\+Environment="HTTPS_PROXY=http:\/\/127\.0\.0\.1:3128"$/m);
    assert.match(cli.printed, /^Nothing was written[\s\S]*systemctl restart docker/m);
    assert.equal(existsSync(at('etc')), false);
  });

  test('prints help for --help, and its version', async () => {
    const [help, version] = [new CliProcess(['node', '--help']), new CliProcess(['--version'])];
    assert.equal(await help.ended(), 0);
    assert.match(help.printed, /Required:[\s\S]*--tracker <URL>[\s\S]*Options:[\s\S]*--listen <HOST:PORT>/);
    assert.equal(await version.ended(), 0);
    assert.match(version.printed, /^\d+\.\d+\.\d+\n$/);
  });
});
