import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { INTERCEPT_CA_FILE, isIntercepted } from '@sealift/proxy';
import { requestOnce } from '../demo/proxied-request.ts';
import { listAnchors, readAnchors, systemAnchors } from './anchors.ts';
import type { Check } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { nodeOf, type Subject } from './subject.ts';
import { reasonOf, tlsFaultOf } from './tls-fault.ts';

const RESTART = 'Start the node again, which writes it anew: systemctl restart sealift-node';

/** Whether the runtime believes the certificate that the node shows in the registry's place. */
export function trustCheck(subject: Subject): Check {
  const { registry } = subject.image;
  return {
    id: 'trust',
    needs: ['proxy', 'configured', 'name'],
    examine: async ({ signal }) => {
      if (subject.runtime === 'containerd' || !isIntercepted(registry)) {
        return ok('The runtime asks the node over loopback, without TLS: there is nothing to trust.');
      }
      const problem = await misplaced(subject);
      if (problem !== undefined) return problem;
      const { proxy } = nodeOf(subject);
      const trustAnchors = `${systemAnchors()}\n${await readAnchors(subject.certsDirectory, registry)}`;
      try {
        const response = await requestOnce({ proxy, trustAnchors }, registry, { method: 'GET', path: '/v2/', signal });
        const shown = (response.socket as TLSSocket).getPeerCertificate().raw;
        response.destroy();
        return await judgeShown(new X509Certificate(shown), subject);
      } catch (error) {
        if (tlsFaultOf(error) === undefined) {
          return fail(
            `The node lets nobody through to ${registry}: ${reasonOf(error)}.`,
            'Look at the check "registry" below.',
          );
        }
        return fail(
          `${subject.runtime} does not believe the certificate that the node shows for ${registry} (${reasonOf(error)}): the file in ${directoryOf(subject)} is of an earlier start of the node.`,
          RESTART,
        );
      }
    },
  };
}

/** What is wrong with the file itself, where it is not where the runtime looks. */
async function misplaced(subject: Subject): Promise<Finding | undefined> {
  const { certsDirectory, image, runtime } = subject;
  if ((await listAnchors(certsDirectory, image.registry)).includes(INTERCEPT_CA_FILE)) return undefined;
  const { certsDirectory: written } = nodeOf(subject).settings;
  if (written === null) {
    return fail(
      `The node was not told where ${runtime} looks for certificates, so ${runtime} does not believe it.`,
      `Add --certs-directory ${certsDirectory} (SEALIFT_CERTS_DIRECTORY in /etc/sealift/node.env) to the node and start it again.`,
    );
  }
  if (resolve(written) !== resolve(certsDirectory)) {
    return fail(
      `The node writes its certificate to ${written}, but ${runtime} reads ${certsDirectory}.`,
      `Start the node with --certs-directory ${certsDirectory}, or name the directory that ${runtime} reads with --certs-directory here.`,
    );
  }
  return fail(`The node's certificate is not in ${directoryOf(subject)}: somebody has removed it.`, RESTART);
}

async function judgeShown(shown: X509Certificate, subject: Subject): Promise<Finding> {
  const ours = new X509Certificate(await readFile(join(directoryOf(subject), INTERCEPT_CA_FILE)));
  if (shown.checkIssued(ours) && shown.verify(ours.publicKey)) {
    return ok(`${subject.runtime} believes the node's certificate, in ${directoryOf(subject)}.`);
  }
  return warn(
    `The node lets ${subject.runtime} through to ${subject.image.registry} untouched: a client has just refused its certificate.`,
    'Wait half a minute and look again. If it stays so, a client of this machine reads another trust directory.',
  );
}

function directoryOf({ certsDirectory, image }: Subject): string {
  return join(certsDirectory, image.registry);
}
