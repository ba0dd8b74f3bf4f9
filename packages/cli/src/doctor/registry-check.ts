import { isAppError } from '@sealift/core';
import { type ProbeAnswer, RegistryClient } from '@sealift/registry';
import type { Check } from './examination.ts';
import { type Finding, fail, ok } from './finding.ts';
import { registryOf } from './registry-of.ts';
import { addressOf, type Subject } from './subject.ts';
import { codeOf, reasonOf, tlsFaultOf } from './tls-fault.ts';

const CUT: ReadonlySet<string | undefined> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** Whether the registry itself answers this machine, as the node would ask it; learns what it demands. */
export function registryCheck(subject: Subject): Check {
  const { registry } = subject.image;
  return {
    id: 'registry',
    needs: ['node', 'name'],
    examine: async ({ signal }) => {
      try {
        const client = new RegistryClient({ registries: [await registryOf(subject)] });
        try {
          return judge(await client.probe({ registry, path: '/v2/' }, { authorization: undefined, signal }), subject);
        } finally {
          await client.close();
        }
      } catch (error) {
        return describe(error, subject);
      }
    },
  };
}

function judge({ status, challenge }: ProbeAnswer, { image: { registry }, learned }: Subject): Finding {
  learned.challenge = challenge;
  if (status === 200) return ok(`${registry} answers and asks for no credentials.`);
  if (status === 401) {
    if (challenge?.scheme === 'bearer')
      return ok(`${registry} answers and sends clients to ${challenge.realm} for a token.`);
    if (challenge?.scheme === 'basic') return ok(`${registry} answers and asks for user and password.`);
    return fail(
      `${registry} wants credentials but does not say of which kind.`,
      'Look at its WWW-Authenticate header: it must name Bearer with a realm, or Basic.',
    );
  }
  if (status === 429) {
    return fail(`${registry} says that it has been asked too often (429).`, 'Wait, or log in to have more pulls.');
  }
  if (status >= 500) return fail(`${registry} is out of order (${status}).`, 'Ask whoever runs it.');
  return fail(
    `What answers at ${registry} is no registry (${status} to GET /v2/).`,
    'See whether the image name has the right host and port, and whether a gateway stands before the registry.',
  );
}

function describe(error: unknown, { image: { registry }, certsDirectory }: Subject): Finding {
  if (isAppError(error, 'CONFIG_INVALID')) {
    const reason = String(error.details['reason']).trim();
    return fail(
      `A file with the CA of ${registry} is not in order: ${reason}.`,
      'Put it right and start the node again.',
    );
  }
  const own = `${certsDirectory}/${registry}`;
  const clientAdvice = `Put it where the runtime has it, ${own}/client.cert with its key client.key, and start the node again; give the tracker the same with --registry-certs.`;
  switch (tlsFaultOf(error)) {
    case 'untrusted':
      return fail(
        `The node does not trust the certificate of ${registry}.`,
        `Copy the CA of the registry to ${own}/ca.crt and start the node again; start the tracker with --registry-ca ${registry}=FILE.`,
      );
    case 'expired':
      return fail(
        `The certificate of ${registry} has expired.`,
        'Ask whoever runs it to renew it. If it is new, the clock of this host is wrong.',
      );
    case 'early':
      return fail(
        `The certificate of ${registry} is not valid yet.`,
        'Compare the clock of this host with the true time.',
      );
    case 'misnamed':
      return fail(
        `The certificate of ${registry} is for another name.`,
        'Use the name that stands in it, or have one made for this name.',
      );
    case 'no-tls':
      return fail(
        `${registry} speaks plain HTTP. Sealift takes registries with HTTPS only.`,
        'Give the registry a certificate.',
      );
    case 'client-wanted':
      return fail(`${registry} wants a client certificate and gets none that it takes.`, clientAdvice);
    case undefined:
      // What a server does to who shows no client certificate, if it does not say so.
      if (CUT.has(codeOf(error))) {
        return fail(
          `${registry} cuts the connection once it has begun.`,
          `If it wants a client certificate: ${clientAdvice}`,
        );
      }
      return fail(
        `${registry} does not answer at ${addressOf(registry)}: ${reasonOf(error)}.`,
        'See whether it runs, and whether this host may connect to it without a proxy: the node does so too.',
      );
  }
}
