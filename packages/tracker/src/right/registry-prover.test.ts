import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import { besideCertificate, type RegistryProver } from './registry-prover.ts';

type Verdict = Awaited<ReturnType<RegistryProver['head']>>;
const content = {
  registry: parseRegistryHost('registry.example'),
  repository: parseRepository('team/app'),
  digest: parseDigest(`sha256:${'a'.repeat(64)}`),
};
const yes: Verdict = { kind: 'yes', size: 1 };
const no: Verdict = { kind: 'no', status: 401 };
const away: Verdict = { kind: 'unavailable', reason: 'away' };

async function ask(
  answers: { withHeader: Verdict; without: Verdict },
  { isAnonymous = false, shows = true } = {},
): Promise<string> {
  const prover: RegistryProver = {
    isConfigured: () => true,
    pathOf: () => '/v2/',
    head: async (_content, options) => (options.authorization === undefined ? answers.without : answers.withHeader),
  };
  const guarded = besideCertificate(prover, { showsCertificate: () => shows });
  const authorization = isAnonymous ? undefined : 'Bearer a';
  return (await guarded.head(content, { authorization, signal: AbortSignal.timeout(1_000) })).kind;
}

test('a yes counts where the header opens the content, and not where our own certificate does', async () => {
  assert.equal(await ask({ withHeader: yes, without: no }), 'yes');
  assert.equal(await ask({ withHeader: yes, without: yes }), 'unavailable');
  assert.equal(await ask({ withHeader: yes, without: away }), 'unavailable');
  assert.equal(await ask({ withHeader: no, without: yes }), 'no');
});

test('without a header there is nothing but our certificate', async () => {
  assert.equal(await ask({ withHeader: yes, without: yes }, { isAnonymous: true }), 'unavailable');
  assert.equal(await ask({ withHeader: yes, without: no }, { isAnonymous: true }), 'no');
});

test('where no certificate is shown the registry’s word stands', async () => {
  assert.equal(await ask({ withHeader: yes, without: yes }, { shows: false }), 'yes');
  assert.equal(await ask({ withHeader: yes, without: yes }, { isAnonymous: true, shows: false }), 'yes');
});
