import { lookup } from 'node:dns/promises';
import { registryEndpoint } from '@sealift/core';
import { isLoopbackAddress } from '@sealift/proxy';
import type { Check } from './examination.ts';
import { fail, ok, warn } from './finding.ts';
import type { Subject } from './subject.ts';
import { codeOf } from './tls-fault.ts';

/** Asks the name service; a test stands in for it. */
export type LookUp = (name: string) => Promise<readonly { readonly address: string }[]>;

const lookUpAll: LookUp = (name) => lookup(name, { all: true });

/** Whether this machine knows the registry's name. */
export function nameCheck({ image: { registry } }: Pick<Subject, 'image'>, lookUp = lookUpAll): Check {
  return {
    id: 'name',
    needs: [],
    examine: async () => {
      const { hostname: name } = registryEndpoint(registry);
      try {
        const [found] = await lookUp(name);
        const address = found?.address ?? '';
        if (isLoopbackAddress(address)) {
          return warn(
            `${name} is this machine itself (${address}): runtimes do not use a proxy for such registries.`,
            'Give the registry a name that leads to an address of the network.',
          );
        }
        return ok(name === address ? `${name} is an address.` : `${name} is ${address}.`);
      } catch (error) {
        if (codeOf(error) === 'EAI_AGAIN') {
          return fail(
            `The name service does not answer, so ${name} is not found.`,
            'See what /etc/resolv.conf names, and whether it answers.',
          );
        }
        return fail(
          `Nobody knows the name ${name}.`,
          `See how it is spelt, and ask the name service: getent hosts ${name}`,
        );
      }
    },
  };
}
