import http from 'node:http';
import { formatEndpoint } from '../setup/runtime-plan.ts';
import type { Check } from './examination.ts';
import { fail, ok } from './finding.ts';
import { nodeOf, type Subject } from './subject.ts';
import { reasonOf } from './tls-fault.ts';

/** Longest answer that is read, in bytes: the right one has three. */
const MAX_ANSWER_BYTES = 64;

/** Whether the node's proxy answers where it says that it listens. */
export function proxyCheck(subject: Subject): Check {
  return {
    id: 'proxy',
    needs: ['node'],
    examine: async ({ signal }) => {
      const { proxy } = nodeOf(subject);
      const at = formatEndpoint(proxy);
      try {
        const answer = await askHealth(proxy, signal);
        if (answer === 'ok\n') return ok(`The proxy answers on ${at}.`);
        return fail(
          `Something else than the node answers on ${at}.`,
          `Find out what it is: ss -ltnp 'sport = :${proxy.port}'`,
        );
      } catch (error) {
        return fail(
          `The proxy does not answer on ${at}: ${reasonOf(error)}. The runtime can pull nothing through it.`,
          'Start the node again: systemctl restart sealift-node',
        );
      }
    },
  };
}

async function askHealth({ host, port }: { host: string; port: number }, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const request = http.get({ host, port, path: '/healthz', agent: false, signal }, (response) => {
    let text = '';
    response.setEncoding('latin1');
    response.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > MAX_ANSWER_BYTES) request.destroy();
    });
    response.on('close', () => resolve(text));
  });
  request.on('error', reject);
  return await promise;
}
