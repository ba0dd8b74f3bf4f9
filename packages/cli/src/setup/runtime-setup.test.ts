import assert from 'node:assert/strict';
import { appendFile, chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { isAppError, parseRegistryHost } from '@sealift/core';
import { RUNTIMES, type RuntimeName } from './runtime-plan.ts';
import { prepareSetup, prepareUninstall } from './runtime-setup.ts';
import { SetupDisk } from './setup-disk.ts';

const DAEMON_JSON = 'etc/docker/daemon.json';
const DROP_IN = 'etc/systemd/system/docker.service.d/zz-sealift.conf';
const CONFIG = 'etc/containerd/config.toml';
/** A machine whose administrator has settings of their own, with odd modes and ends. */
const THEIRS: Readonly<Record<string, { text: string; mode: number }>> = {
  [DAEMON_JSON]: { text: '{\n    "debug" : true,\n    "log-opts": { "max-size": "10m" }\n}', mode: 0o600 },
  'etc/systemd/system/docker.service.d/proxy.conf': { text: '[Service]\nEnvironment=NO_PROXY=.corp\n', mode: 0o644 },
  [CONFIG]: { text: 'version = 2\r\n[plugins]\r\n', mode: 0o640 },
  'etc/containerd/certs.d/docker.io/hosts.toml': { text: '[host."https://mirror.corp"]\n', mode: 0o604 },
  'etc/containers/containers.conf': { text: '[engine]\nenv = ["A=b"]\n', mode: 0o640 },
};

class Machine {
  readonly root: string;
  readonly disk: SetupDisk;

  constructor(root: string) {
    this.root = root;
    this.disk = new SetupDisk(root);
  }

  at(name: string): string {
    return path.join(this.root, name);
  }

  setUp(runtime: RuntimeName, registries = ['registry.example:5000', 'docker.io'], port = 3128) {
    const request = { registries: registries.map(parseRegistryHost), listen: { host: '127.0.0.1', port } };
    return prepareSetup(runtime, request, this.disk);
  }

  uninstall(...runtimes: RuntimeName[]) {
    return prepareUninstall(runtimes.length === 0 ? RUNTIMES : runtimes, this.disk);
  }

  text(name: string): Promise<string> {
    return readFile(this.at(name), 'utf8');
  }

  /** Every file and directory with mode, owner and bytes. */
  async tree(): Promise<readonly string[]> {
    const names = await readdir(this.root, { recursive: true });
    return await Promise.all(
      names.sort().map(async (name) => {
        const stats = await lstat(this.at(name));
        const bytes = stats.isFile() ? await readFile(this.at(name), 'base64') : '';
        return `${name} ${stats.mode.toString(8)} ${stats.uid}:${stats.gid} ${bytes}`;
      }),
    );
  }
}

async function machineFor(t: TestContext, files = THEIRS): Promise<Machine> {
  const root = await mkdtemp(path.join(tmpdir(), 'sealift-setup-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  const machine = new Machine(root);
  for (const [name, { text, mode }] of Object.entries(files)) {
    await mkdir(path.dirname(machine.at(name)), { recursive: true });
    await writeFile(machine.at(name), text);
    await chmod(machine.at(name), mode);
  }
  return machine;
}

for (const files of [THEIRS, {}]) {
  const what = files === THEIRS ? 'a machine with settings of its own' : 'an empty machine';
  test(`after set-up and uninstall ${what} is as it was, byte for byte and mode for mode`, async (t) => {
    const machine = await machineFor(t, files);
    const before = await machine.tree();
    for (const runtime of RUNTIMES) machine.setUp(runtime).apply();
    assert.notDeepEqual(await machine.tree(), before);
    assert.deepEqual(machine.uninstall().apply(), []);
    assert.deepEqual(await machine.tree(), before);
    assert.equal(machine.uninstall().diff, '');
  });
}

test('runtimes are taken back one by one, and the last one takes the rest along', async (t) => {
  const machine = await machineFor(t, {});
  for (const runtime of RUNTIMES) machine.setUp(runtime).apply();
  for (const runtime of RUNTIMES) {
    assert.notEqual(machine.uninstall(runtime).diff, '');
    machine.uninstall(runtime).apply();
  }
  assert.deepEqual(await machine.tree(), []);
});

test('a second set-up changes nothing', async (t) => {
  const machine = await machineFor(t);
  for (const runtime of RUNTIMES) machine.setUp(runtime).apply();
  const first = await machine.tree();
  for (const runtime of RUNTIMES) {
    assert.equal(machine.setUp(runtime).diff, '');
    machine.setUp(runtime).apply();
  }
  assert.deepEqual(await machine.tree(), first);
});

test('preparing writes nothing, which is what --dry-run does', async (t) => {
  const machine = await machineFor(t);
  const before = await machine.tree();
  for (const runtime of RUNTIMES) assert.match(machine.setUp(runtime).diff, /^\+.*127\.0\.0\.1:3128/m);
  assert.deepEqual(await machine.tree(), before);
});

test('another set-up takes the place of the first one, and uninstall puts back what was there before both', async (t) => {
  const machine = await machineFor(t);
  const before = await machine.tree();
  for (const runtime of RUNTIMES) machine.setUp(runtime).apply();
  for (const runtime of RUNTIMES) machine.setUp(runtime, ['other.example'], 4000).apply();
  const after = (await machine.tree()).map((line) => line.split(' ')[0]);
  assert.ok(after.includes('etc/containerd/certs.d/other.example/hosts.toml'));
  assert.ok(!after.includes('etc/containerd/certs.d/registry.example:5000/hosts.toml'));
  assert.equal(await machine.text(DAEMON_JSON), THEIRS[DAEMON_JSON]?.text);
  assert.match(await machine.text(DROP_IN), /HTTPS_PROXY=http:\/\/127\.0\.0\.1:4000"/);
  machine.uninstall().apply();
  assert.deepEqual(await machine.tree(), before);
});

test('an edit of the administrator after the set-up stays, by uninstall and by another set-up', async (t) => {
  const machine = await machineFor(t);
  for (const runtime of RUNTIMES) machine.setUp(runtime).apply();
  const edited = (await machine.text(DAEMON_JSON)).replace(
    '"debug" : true',
    '"debug" : false, "registry-mirrors": ["https://m.corp"]',
  );
  await writeFile(machine.at(DAEMON_JSON), edited.replace(/ *"registry-mirrors": \["http:\/\/127[^\]]*\],\n/, ''));
  await appendFile(machine.at(CONFIG), '[debug]\n  level = "info"\n');
  machine.setUp('docker').apply();
  assert.match(
    await machine.text(DAEMON_JSON),
    /"registry-mirrors": \["http:\/\/127\.0\.0\.1:3128", "https:\/\/m\.corp"\]/,
  );
  machine.uninstall().apply();
  assert.deepEqual(JSON.parse(await machine.text(DAEMON_JSON)), {
    debug: false,
    'registry-mirrors': ['https://m.corp'],
    'log-opts': { 'max-size': '10m' },
  });
  assert.equal(await machine.text(CONFIG), `${THEIRS[CONFIG]?.text}[debug]\n  level = "info"\n`);
});

test('a file that the administrator has removed stays away', async (t) => {
  const machine = await machineFor(t);
  machine.setUp('docker').apply();
  await rm(machine.at(DROP_IN));
  await rm(machine.at(DAEMON_JSON));
  machine.uninstall().apply();
  await assert.rejects(machine.text(DAEMON_JSON), { code: 'ENOENT' });
});

test('a daemon.json that setup made goes, unless the administrator has put more into it', async (t) => {
  const machine = await machineFor(t, {});
  machine.setUp('docker').apply();
  const ours = await machine.text(DAEMON_JSON);
  await writeFile(machine.at(DAEMON_JSON), ours.replace(']\n', '],\n  "debug": true\n'));
  machine.uninstall().apply();
  assert.deepEqual(JSON.parse(await machine.text(DAEMON_JSON)), { debug: true });
});

const conflicts = [
  ['our own file was changed', DROP_IN, (text: string) => `${text}Environment=A=b\n`],
  ['our lines were changed', CONFIG, (text: string) => text.replace('certs.d', 'other.d')],
  ['our lines stand there twice', CONFIG, (text: string) => text + text.slice(text.indexOf('\n[plugins."io'))],
  ['daemon.json is no JSON any more', DAEMON_JSON, (text: string) => `${text},`],
] as const;
for (const [what, file, edit] of conflicts) {
  test(`where ${what}, uninstall and set-up refuse and write nothing`, async (t) => {
    const machine = await machineFor(t);
    for (const runtime of RUNTIMES) machine.setUp(runtime).apply();
    await writeFile(machine.at(file), edit(await machine.text(file)));
    const before = await machine.tree();
    const refused = (error: unknown): boolean =>
      isAppError(error, 'CONFIG_INVALID') && error.message.includes(`/${file}: it was changed after`);
    assert.throws(() => machine.uninstall(), refused);
    assert.throws(() => machine.setUp(file === CONFIG ? 'containerd' : 'docker'), refused);
    assert.deepEqual(await machine.tree(), before);
  });
}

test('all that stands against a set-up is told at once', async (t) => {
  const machine = await machineFor(t, {
    ...THEIRS,
    [DAEMON_JSON]: { text: '{', mode: 0o644 },
    [DROP_IN]: { text: '[Service]\n', mode: 0o644 },
    'etc/systemd/system/docker.service.d/proxy.conf': {
      text: '[Service]\nEnvironment=HTTPS_PROXY=http://proxy.corp:1\n',
      mode: 0o644,
    },
  });
  const before = await machine.tree();
  assert.throws(
    () => machine.setUp('docker'),
    (error) => isAppError(error, 'CONFIG_INVALID') && error.message.split('\n').length === 4,
  );
  assert.deepEqual(await machine.tree(), before);
});

test('what somebody else has changed between the look and the write is not overwritten', async (t) => {
  const machine = await machineFor(t);
  const [docker, podman] = [machine.setUp('docker'), machine.setUp('podman')];
  podman.apply();
  assert.throws(() => docker.apply(), /state\.json: somebody else has just changed it/);
  const again = machine.setUp('docker');
  await appendFile(machine.at(DAEMON_JSON), '\n');
  const before = await machine.tree();
  assert.throws(() => again.apply(), /daemon\.json: somebody else has just changed it/);
  assert.deepEqual(await machine.tree(), before);
});

test('a directory where a file belongs is named', async (t) => {
  const machine = await machineFor(t, {});
  await mkdir(machine.at(DAEMON_JSON), { recursive: true });
  assert.throws(() => machine.setUp('docker'), {
    code: 'CONFIG_INVALID',
    message: /daemon\.json: it is a directory where a file belongs/,
  });
});

test('a symbolic link is not replaced, and none leads a write out of the root', async (t) => {
  const machine = await machineFor(t);
  await rm(machine.at(DAEMON_JSON));
  await symlink('elsewhere.json', machine.at(DAEMON_JSON));
  assert.throws(() => machine.setUp('docker'), /daemon\.json: it is a symbolic link/);
  await rm(machine.at('etc/containers'), { recursive: true });
  await symlink(tmpdir(), machine.at('etc/containers'));
  assert.throws(() => machine.setUp('podman'), /leads out of/);
});

test('what a node still has in a directory that set-up made is left to it, and the rest goes when it has stopped', async (t) => {
  const machine = await machineFor(t, {});
  machine.setUp('docker').apply();
  const trust = 'etc/docker/certs.d/registry.example:5000/sealift-intercept.crt';
  await mkdir(path.dirname(machine.at(trust)));
  await writeFile(machine.at(trust), 'x');
  assert.match(machine.uninstall().apply().join('\n'), new RegExp(`/${trust} is the node's`));
  await rm(path.dirname(machine.at(trust)), { recursive: true });
  assert.deepEqual(machine.uninstall().apply(), []);
  assert.deepEqual(await machine.tree(), []);
});

test('a set-up whose state was lost is taken up again', async (t) => {
  const machine = await machineFor(t, {});
  machine.setUp('podman').apply();
  await rm(machine.at('var'), { recursive: true });
  assert.equal(machine.setUp('podman').diff, '');
  machine.setUp('podman').apply();
  machine.uninstall().apply();
  assert.ok(!(await machine.tree()).some((line) => line.includes('zz-sealift')));
});

test('a set-up that was cut off before its last file is taken back as well', async (t) => {
  const machine = await machineFor(t);
  const before = await machine.tree();
  machine.setUp('containerd').apply();
  // As if it had ended between two files: the state is written first.
  await writeFile(machine.at(CONFIG), THEIRS[CONFIG]?.text ?? '');
  await rm(machine.at('etc/containerd/certs.d/registry.example:5000/hosts.toml'));
  machine.uninstall().apply();
  assert.deepEqual(await machine.tree(), before);
});

test('what is kept of the files is for their owner only, for they may hold credentials', async (t) => {
  const machine = await machineFor(t);
  machine.setUp('podman').apply();
  for (const name of ['var/lib/sealift-setup/state.json', 'etc/containers/containers.conf.d/zz-sealift.conf']) {
    assert.equal((await lstat(machine.at(name))).mode & 0o777, 0o600, name);
  }
});
