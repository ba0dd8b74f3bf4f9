import { askNode } from '../node-admin.ts';
import { credentialKindOf, describeJudgement } from './credential-kind.ts';
import type { Check } from './examination.ts';
import { fail, ok, warn } from './finding.ts';
import { nodeOf, type Subject } from './subject.ts';

/** What the cluster makes of the credential: whether the tracker grants a blob of the image with it, and how it judges. */
export function rightCheck(subject: Subject): Check {
  return {
    id: 'right',
    needs: ['configured', 'credentials', 'certificate'],
    examine: async () => {
      const { image, learned } = subject;
      const credential = credentialKindOf(learned.authorization);
      const { settings } = nodeOf(subject);
      if (settings.tokenCheck === 'registry' && credential.kind !== 'jwt') {
        return fail(
          'Nodes ask each other for a token that they can check themselves (--token-check registry), and this registry gives none: they share nothing.',
          'Start nodes and tracker without --token-check registry.',
        );
      }
      if (learned.blob === undefined)
        return warn('The image has no blob to ask the tracker about.', 'Try another image of the same repository.');
      const { registry, repository } = image;
      const { authorization } = learned;
      const question = {
        registry,
        repository,
        digest: learned.blob,
        ...(authorization === undefined ? {} : { authorization }),
      };
      const { error, verdict, reason } = await askNode(subject.data, 'right', question);
      if (verdict === 'granted') return ok(`The tracker grants it. ${describeJudgement(credential)}`);
      if (error === 'the node is not enrolled') {
        return warn(
          `Not asked, for the node has no certificate yet. ${describeJudgement(credential)}`,
          'Look again after its first pull.',
        );
      }
      if (error === 'REGISTRY_UNKNOWN') {
        return fail(
          `The tracker does not handle ${registry}.`,
          `Start it with --registry ${registry} too (SEALIFT_REGISTRY in /etc/sealift/tracker.env).`,
        );
      }
      if (verdict === 'denied') {
        return fail(
          'The registry gives this user the image here, but said no when the tracker asked with the same credential.',
          'See whether the registry binds tokens to an address, and on the tracker: sealift audit --data DIR --event join_refused',
        );
      }
      return fail(
        `The tracker could not find out whether this user may have the image: ${reason ?? error}.`,
        `On the tracker's host, see whether it reaches and trusts the registry: curl -v https://${registry}/v2/. If it does not trust it: --registry-ca ${registry}=FILE`,
      );
    },
  };
}
