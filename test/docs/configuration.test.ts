import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { type OptionTable, variableOf } from '../../packages/cli/src/config.ts';
import {
  AUDIT_OPTIONS,
  CA_OPTIONS,
  CA_RETIRE_OPTIONS,
  DEMO_OPTIONS,
  DENY_OPTIONS,
  DOCKER_TLS_CLIENT_OPTIONS,
  DOCKER_TLS_INIT_OPTIONS,
  DOCKER_TLS_RENEW_OPTIONS,
  DOCKER_TLS_SERVER_OPTIONS,
  DOCKER_TLS_SHOW_OPTIONS,
  DOCTOR_OPTIONS,
  HEALTH_OPTIONS,
  NODE_OPTIONS,
  PREHEAT_OPTIONS,
  REVOKE_OPTIONS,
  ROLLOUT_OPTIONS,
  SETUP_OPTIONS,
  STATUS_OPTIONS,
  STORE_VERIFY_OPTIONS,
  TOKEN_OPTIONS,
  TRACKER_OPTIONS,
  UNINSTALL_OPTIONS,
} from '../../packages/cli/src/options.ts';

const SECTIONS: Readonly<Record<string, OptionTable>> = {
  'sealift tracker': TRACKER_OPTIONS,
  'sealift node': NODE_OPTIONS,
  'sealift token create': TOKEN_OPTIONS,
  'sealift deny, sealift allow': DENY_OPTIONS,
  'sealift revoke': REVOKE_OPTIONS,
  'sealift ca status, sealift ca rotate': CA_OPTIONS,
  'sealift ca retire': CA_RETIRE_OPTIONS,
  'sealift audit': AUDIT_OPTIONS,
  'sealift setup docker, sealift setup containerd, sealift setup podman': SETUP_OPTIONS,
  'sealift uninstall': UNINSTALL_OPTIONS,
  'sealift status': STATUS_OPTIONS,
  'sealift doctor': DOCTOR_OPTIONS,
  'sealift health': HEALTH_OPTIONS,
  'sealift store verify': STORE_VERIFY_OPTIONS,
  'sealift docker-tls init': DOCKER_TLS_INIT_OPTIONS,
  'sealift docker-tls server': DOCKER_TLS_SERVER_OPTIONS,
  'sealift docker-tls client': DOCKER_TLS_CLIENT_OPTIONS,
  'sealift docker-tls show': DOCKER_TLS_SHOW_OPTIONS,
  'sealift docker-tls renew': DOCKER_TLS_RENEW_OPTIONS,
  'sealift rollout': ROLLOUT_OPTIONS,
  'sealift preheat': PREHEAT_OPTIONS,
  'sealift demo': DEMO_OPTIONS,
};

const page = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const sections = new Map(
  page
    .split('\n## ')
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
);

test('docs/configuration.md has a section for each command and no other', () => {
  assert.deepEqual([...sections.keys()], Object.keys(SECTIONS));
});

for (const [name, table] of Object.entries(SECTIONS)) {
  test(`docs/configuration.md gives each setting of "${name}" with its variable and default, and no other`, () => {
    const documented = [...(sections.get(name) ?? '').matchAll(/^\| `(--[a-z-]+)[^`]*` \| `(\w+)` \| (\S+) \|/gm)].map(
      ([, flag, variable, fallback]) => ({ flag, variable, fallback }),
    );
    const inCode = Object.values(table).map((option) => ({
      flag: option.flag,
      variable: variableOf(option),
      fallback: documentedDefault(option),
    }));
    assert.deepEqual(documented, inCode);
  });

  test(`each setting of "${name}" is called in code what the command line calls it`, () => {
    for (const [key, { flag }] of Object.entries(table)) {
      const camelCase = flag.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
      assert.equal(key, camelCase);
    }
  });
}

function documentedDefault(option: OptionTable[string]): string {
  if (option.kind === 'toggle') return 'off';
  if (option.isRequired) return 'required';
  return option.kind === 'value' && option.fallback !== undefined ? `\`${option.fallback}\`` : 'none';
}
