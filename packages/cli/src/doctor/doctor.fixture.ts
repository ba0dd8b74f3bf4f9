import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { parseDigest } from '@sealift/core';
import { parseImageReference } from '@sealift/registry';
import { NodeAdmin, type NodeAnswers } from '../node-admin.ts';
import type { NodeSettings } from '../node-settings.ts';
import type { Check, CheckResult } from './examination.ts';
import { examineAll } from './examination.ts';
import type { Learned, NodeFacts, Subject } from './subject.ts';

/** A node in good order. */
export const SOUND_NODE: NodeFacts = {
  nodeId: 'node-1',
  proxy: '127.0.0.1:3128',
  certificateBegan: new Date(Date.now() - 600_000).toISOString(),
  certificateEnds: new Date(Date.now() + 3_000_000).toISOString(),
  enrolmentFailure: null,
  store: { usedBytes: 2 ** 30 },
  engine: { state: 'running', restarts: 0, trouble: null },
};

/** Its settings, for the registry of {@link subjectOf}. */
export const SOUND_SETTINGS: NodeSettings = {
  origin: 'https://127.0.0.1:1',
  fingerprint: `sha256:${'a'.repeat(64)}`,
  trackerCa: null,
  registries: [parseImageReference('registry.example:5000/a').registry],
  registryCa: [],
  registryCerts: null,
  certsDirectory: null,
  quota: 2 * 2 ** 30,
  tokenCheck: 'grant',
  enrolsBy: 'join token',
};

/** A directory that goes with the test; short, since sockets lie in it. */
export async function directoryFor(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sl-doctor-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** What is examined: a sound node that has been asked, and what a test changes of it. */
export function subjectOf(
  directory: string,
  {
    image = 'registry.example:5000/team/app:1',
    node = {},
    settings = {},
    learned = {},
    ...change
  }: Partial<Omit<Subject, 'image' | 'learned'>> & {
    image?: string;
    node?: Partial<NodeFacts>;
    settings?: Partial<NodeSettings>;
    learned?: Learned;
  } = {},
): Subject {
  return {
    image: parseImageReference(image),
    runtime: 'docker',
    data: join(directory, 'data'),
    certsDirectory: join(directory, 'certs.d'),
    dockerSocket: join(directory, 'docker.sock'),
    authFile: join(directory, 'config.json'),
    root: join(directory, 'root'),
    learned: {
      node: { ...SOUND_NODE, ...node },
      settings: { ...SOUND_SETTINGS, ...settings },
      blob: parseDigest(`sha256:${'b'.repeat(64)}`),
      ...learned,
    },
    ...change,
  };
}

/** What one check finds, whatever it needs. */
export async function examine(check: Check): Promise<CheckResult> {
  const [result] = await examineAll([{ ...check, needs: [] }], {
    signal: new AbortController().signal,
    onResult: () => {},
  });
  if (result === undefined) throw new Error('the check gave no result');
  return result;
}

/** The admin socket of a node, which answers this. */
export async function answerAsNode(
  t: TestContext,
  { data }: Pick<Subject, 'data'>,
  { status = SOUND_NODE, ...answers }: { status?: NodeFacts } & NodeAnswers = {},
): Promise<void> {
  await mkdir(data, { recursive: true });
  const admin = new NodeAdmin({ dataDirectory: data, status: async () => status, answers });
  await admin.start();
  t.after(() => admin.stop());
}

/** Starts a server on loopback, or on a socket of the file system, for one test; answers with its port. */
export async function serve(t: TestContext, server: Server, socketPath?: string): Promise<number> {
  server.on('connection', (socket) => socket.on('error', () => {}));
  if (socketPath === undefined) server.listen(0, '127.0.0.1');
  else server.listen(socketPath);
  await once(server, 'listening');
  t.after(() => {
    if (server instanceof http.Server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
