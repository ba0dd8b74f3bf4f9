import type { Fault } from '../fault.ts';

/** Life of a certificate here, in seconds: a node renews after two thirds of it. */
const TTL_SECONDS = 12;

/** A node that cannot renew has no identity any more, and its connections end with it. */
export const certificateExpired: Fault = {
  name: 'certificate-expired',
  summary: 'the certificates of all nodes end in mid-pull because no tracker renews them',
  setting: {
    // The pull takes longer than a certificate lives, and the nodes have it from each other.
    uplinkMegabits: 200,
    tracker: { flags: ['--certificate-ttl', `${TTL_SECONDS}s`, '--upload-limit', '1MiB'] },
  },
  play: async (stage) => {
    const image = await stage.publish();
    const pulls = stage.pull(image);
    await stage.reached('n1', image.blobBytes / 10);
    // Only the API is away: the seeder would go on for ever, were it not for the certificates.
    await stage.silenceTracker();
    await pulls;
    const renewals = stage.names.flatMap((name) => stage.logged(name, 'certificate_renewal_failed'));
    stage.expect(renewals.length > 0, 'every certificate was renewed');
  },
};
