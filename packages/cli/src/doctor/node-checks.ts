import { registryEndpoint } from '@sealift/core';
import { errnoOf } from '../failure.ts';
import { askNode, readNodeStatus } from '../node-admin.ts';
import type { NodeSettings } from '../node-settings.ts';
import type { Check } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { type NodeFacts, nodeOf, type Subject } from './subject.ts';

/** Restarts of the engine that are more than an accident and its consequences. */
const MANY_RESTARTS = 3;
const LOG_ADVICE = 'Look at its log: journalctl -u sealift-node -n 50';

/** Whether a node runs with this data directory; learns what it says of itself. */
export function nodeCheck(subject: Subject): Check {
  return {
    id: 'node',
    needs: [],
    examine: async () => {
      try {
        subject.learned.node = (await readNodeStatus(subject.data)) as unknown as NodeFacts;
        subject.learned.settings = (await askNode(subject.data, 'settings')) as unknown as NodeSettings;
      } catch (error) {
        return describe(error, subject.data);
      }
      const { nodeId } = subject.learned.node;
      return ok(`The node of ${subject.data} runs${nodeId === null ? ', not enrolled' : ` and is called ${nodeId}`}.`);
    },
  };
}

function describe(error: unknown, data: string): Finding {
  const errno = errnoOf(error);
  if (errno === 'EACCES' || errno === 'EPERM') {
    return fail(
      `This user may not ask the node of ${data}.`,
      "Run the same command as the node's user, with sudo for example.",
    );
  }
  if (errno === 'ENOENT' || errno === 'ECONNREFUSED' || errno === 'ENOTDIR') {
    return fail(
      `No node runs with the data directory ${data}.`,
      'Start it: systemctl start sealift-node. If it runs elsewhere, name its directory with --data. If it ends by itself, its log says why: journalctl -u sealift-node -n 50',
    );
  }
  return fail(
    `The node of ${data} does not answer as this version does.`,
    'Start it again: systemctl restart sealift-node',
  );
}

/** Whether the half of the node that shares works. */
export function engineCheck(subject: Subject): Check {
  return {
    id: 'engine',
    needs: ['node'],
    examine: async () => {
      const { state, restarts, trouble } = nodeOf(subject).node.engine;
      if (trouble?.startsWith('STORE_') || trouble === 'ENGINE_FAILED') {
        return fail(
          `The node works as a plain proxy: it shares nothing, for its store cannot be used (${trouble}).`,
          'Look at the check "disk" below, and at the log: journalctl -u sealift-node | grep store_unavailable',
        );
      }
      if (state !== 'running') return fail('The engine of the node, which shares blobs, does not run yet.', LOG_ADVICE);
      if (restarts > MANY_RESTARTS) {
        return warn(`The engine of the node has ended and been started again ${restarts} times.`, LOG_ADVICE);
      }
      return ok('The engine, which shares blobs with peers, runs.');
    },
  };
}

/** Whether the node handles the registry of the image. */
export function configuredCheck(subject: Subject): Check {
  const { registry } = subject.image;
  return {
    id: 'configured',
    needs: ['node'],
    examine: async () => {
      const { registries } = nodeOf(subject).settings;
      if (registries.includes(registry)) return ok(`The node handles ${registry}.`);
      const { hostname } = registryEndpoint(registry);
      const close = registries.find((known) => registryEndpoint(known).hostname === hostname);
      const hint = close === undefined ? '' : ` It handles ${close}, which is another one: the port counts.`;
      return fail(
        `The node does not handle ${registry}: its images go past Sealift.${hint}`,
        `Add --registry ${registry} (SEALIFT_REGISTRY in /etc/sealift/node.env) to the node, and to the tracker, and start both again.`,
      );
    },
  };
}
