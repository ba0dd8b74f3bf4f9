import { Child } from './child.ts';
import { compare } from './rounds.ts';

/** Issuing a leaf from a signing request: our swarm CA against node-forge. */
export async function compareCertificates({ opponents, rounds }: { opponents: string; rounds: number }): Promise<void> {
  const contender = (name: string) => ({
    name,
    measure: async () => {
      const issuer = Child.start('certificates-issuer.ts');
      try {
        return await issuer.ask<Record<string, number>>('measure', { issuer: name, opponents });
      } finally {
        await issuer.stop();
      }
    },
  });
  await compare([contender('sealift'), contender('node-forge')], { rounds });
}
