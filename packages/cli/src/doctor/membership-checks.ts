import { systemClock } from '@sealift/core';
import { askNode } from '../node-admin.ts';
import type { Check } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { type NodeFacts, nodeOf, type Subject } from './subject.ts';

/** Share of a certificate's life that is left when it should have been renewed long ago: nodes renew at a third. */
const LATE_SHARE = 1 / 5;
const NEW_TOKEN =
  'On the tracker: sealift token create --data DIR --reusable --ttl 24h --out join-token. Copy the file to this host and start the node again.';

/** What to do about each refusal to enrol, by the tracker's code. */
const ENROLMENT_ADVICE: Readonly<Record<string, { readonly finding: string; readonly advice: string }>> = {
  JOIN_TOKEN_REJECTED: {
    finding: 'The tracker refuses the join token of this node: it is unknown to it, spent, or has ended.',
    advice: NEW_TOKEN,
  },
  KEY_FILE_UNSAFE: {
    finding: 'The file with the join token cannot be used.',
    advice: 'See that it is there and is for its owner only: chmod 600 FILE. The log of the node names it.',
  },
  NODE_DENIED: {
    finding: 'This node is on the deny list of the tracker.',
    advice: 'If it may come back, on the tracker: sealift allow NODE-ID. Then start the node again.',
  },
  SERVICE_ACCOUNT_REJECTED: {
    finding: 'The tracker refuses the service account token of this node.',
    advice: 'Compare issuer, audience and subject with what the tracker was started with (--kubernetes-…).',
  },
  TOO_MANY_REQUESTS: {
    finding: 'The tracker has been asked for certificates too often from this address.',
    advice: 'Wait a minute and look again.',
  },
};

/** Whether the node has a certificate of the cluster, and renews it in time. */
export function certificateCheck(subject: Subject): Check {
  return {
    id: 'certificate',
    needs: ['engine', 'tracker', 'clock'],
    examine: async () => {
      const { node, settings } = nodeOf(subject);
      if (node.certificateEnds === null) return describeFailure(node, settings.enrolsBy === 'registry');
      const [began, ends] = [Date.parse(node.certificateBegan ?? ''), Date.parse(node.certificateEnds)];
      const leftMs = ends - systemClock.now();
      const until = new Date(ends).toISOString();
      if (leftMs <= 0)
        return fail(
          `The node's certificate ended at ${until}.`,
          'Start the node again: systemctl restart sealift-node',
        );
      if (leftMs < (ends - began) * LATE_SHARE) {
        const why = node.enrolmentFailure === null ? '' : ` The last attempt failed: ${node.enrolmentFailure.reason}.`;
        return warn(
          `The node's certificate ends at ${until}, and should have been renewed before.${why}`,
          'Look at its log: journalctl -u sealift-node | grep certificate_renewal_failed',
        );
      }
      return ok(`The node's certificate is good until ${until}; it renews it by itself.`);
    },
  };
}

function describeFailure({ enrolmentFailure }: NodeFacts, enrolsByPull: boolean): Finding {
  if (enrolmentFailure === null) {
    return enrolsByPull
      ? warn(
          'The node has no certificate yet: without a join token it enrols with the registry credentials of its first pull.',
          'Pull something. The tracker must have been started with --enrol-with-registry-token.',
        )
      : fail('The node has no certificate yet.', 'Wait a moment and look again.');
  }
  const known = ENROLMENT_ADVICE[enrolmentFailure.code];
  if (known !== undefined) return fail(known.finding, known.advice);
  return fail(
    `The node gets no certificate: ${enrolmentFailure.reason}.`,
    'Look at its log: journalctl -u sealift-node | grep enrolment_failed',
  );
}

/** Whether others reach this node where it listens for peers. */
export function peerPortCheck(subject: Subject): Check {
  return {
    id: 'peer-port',
    needs: ['certificate'],
    examine: async () => {
      const { error, port, told, address, isReached } = await askNode(subject.data, 'reach');
      if (error === 'TOO_MANY_REQUESTS') {
        return warn('The tracker does not dial this node so often.', 'Wait a minute and look again.');
      }
      if (error === 'the node is not enrolled') {
        return warn(
          'Whether peers reach this node is not known until it has a certificate.',
          'Look again after its first pull.',
        );
      }
      if (typeof error === 'string') {
        return fail(
          `The tracker could not be asked to dial this node: ${error}.`,
          'Look at the log: journalctl -u sealift-node -n 50',
        );
      }
      if (isReached === true) return ok(`The tracker reaches this node at ${address}, port ${port}.`);
      if (told !== null && told !== address) {
        return warn(
          `Peers are told ${told}, but the tracker sees this node as ${address}, and dials no other address: nobody knows whether peers get through.`,
          `Try from another node: openssl s_client -connect ${told}:${port}`,
        );
      }
      return fail(
        `The tracker does not reach this node at ${address}, port ${port}: it takes from its peers, but gives nothing back.`,
        `Let TCP port ${port} through to this host, from the tracker and all nodes. If it stands behind a gateway that translates addresses, start it with --peer-address IP:PORT.`,
      );
    },
  };
}
