#!/usr/bin/env node
import { AppError, redactText } from '@sealift/core';
import { Command, CommanderError, Option as CommandOption } from 'commander';
import { useCompileCache } from './compile-cache.ts';
import { type ConfigOf, type FlagValues, type OptionTable, parseConfig } from './config.ts';
import { EndRequest, endOfProcess } from './end-of-process.ts';
import { describeFailure, EXIT_USAGE } from './failure.ts';
import { keepYoungGenerationSmall } from './heap.ts';
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
  KNOWN_VARIABLES,
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
} from './options.ts';

/** Node that type stripping and the TLS defaults are tested with. */
const MINIMUM_NODE_MAJOR = 24;

/** Work of a command. `signal` fires when the process is asked to end. */
type Action<Table extends OptionTable> = (
  config: ConfigOf<Table>,
  context: { readonly signal: AbortSignal; readonly args: readonly string[] },
) => Promise<void>;

const program = new Command('sealift')
  .description('Secure peer-to-peer distribution of container images. `docker pull` stays unchanged.')
  .version('0.1.0')
  .usage('<command> [options]')
  .showHelpAfterError('Add --help to see what it takes.')
  .configureOutput({ outputError: (text, write) => write(withoutValues(text)) })
  .addHelpText(
    'after',
    `
\`sealift <command> --help\` names the options of a command. Each can be given in the environment as well: --log-level as
SEALIFT_LOG_LEVEL. Secrets are files of mode 0600, never arguments.`,
  )
  .exitOverride();

add(
  program
    .command('tracker')
    .description('run the tracker of a cluster: certificate authority, authorizer, announce, seeder'),
  TRACKER_OPTIONS,
  async ({ data }) => {
    prepareService(data);
    return (await import('./commands/tracker.ts')).runTracker;
  },
);
add(
  program.command('node').description('run a node: the proxy for the container runtime, and the peer'),
  NODE_OPTIONS,
  async ({ data }) => {
    prepareService(data);
    return (await import('./commands/node.ts')).runNode;
  },
);
// Only for `sealift node`, which starts it.
add(program.command('node-engine', { hidden: true }), NODE_OPTIONS, async ({ data }) => {
  prepareService(data);
  return (await import('./commands/node-engine.ts')).runNodeEngine;
});
const setup = program
  .command('setup')
  .description(
    'make a container runtime use the node of this machine: shows a diff, keeps what was there, restarts nothing',
  );
add(
  setup.command('docker').description('dockerd: the node as its proxy, and as its mirror of Docker Hub'),
  SETUP_OPTIONS,
  async () => (await import('./commands/setup.ts')).runSetupDocker,
);
add(
  setup.command('containerd').description('containerd: the node as the first mirror of each registry'),
  SETUP_OPTIONS,
  async () => (await import('./commands/setup.ts')).runSetupContainerd,
);
add(
  setup.command('podman').description('podman: the node as its proxy, and as its mirror of Docker Hub'),
  SETUP_OPTIONS,
  async () => (await import('./commands/setup.ts')).runSetupPodman,
);
add(
  program
    .command('uninstall')
    .argument('[runtime]')
    .description('put back what `sealift setup` has changed: for docker, containerd or podman, or for all of them'),
  UNINSTALL_OPTIONS,
  async () => (await import('./commands/uninstall.ts')).runUninstall,
);
const token = program.command('token').description('join tokens, with which nodes enrol');
add(
  token.command('create').description('make a join token and print how a node uses it'),
  TOKEN_OPTIONS,
  async () => (await import('./commands/token.ts')).runTokenCreate,
);
add(
  program
    .command('deny')
    .argument('<node-id>')
    .description('put a node on the deny list: no renewal, no grants, connections dropped'),
  DENY_OPTIONS,
  async () => (await import('./commands/deny.ts')).runDeny,
);
add(
  program.command('allow').argument('<node-id>').description('take a node off the deny list'),
  DENY_OPTIONS,
  async () => (await import('./commands/deny.ts')).runAllow,
);
add(
  program
    .command('revoke')
    .argument('[registry/repository]')
    .description('take back the rights to a repository that were proven up to now: grants end, transfers are cut'),
  REVOKE_OPTIONS,
  async () => (await import('./commands/revoke.ts')).runRevoke,
);
const ca = program.command('ca').description("the cluster's certificate authority, and its rotation");
add(
  ca.command('status').description('show which CAs are trusted, and how many nodes need the old one'),
  CA_OPTIONS,
  async () => (await import('./commands/ca.ts')).runCaStatus,
);
add(
  ca.command('rotate').description('make the next CA; the tracker lets it sign when every node trusts it'),
  CA_OPTIONS,
  async () => (await import('./commands/ca.ts')).runCaRotate,
);
add(
  ca.command('retire').description('end the trust in the old CA'),
  CA_RETIRE_OPTIONS,
  async () => (await import('./commands/ca.ts')).runCaRetire,
);
add(
  program.command('audit').description("show the tracker's audit log: certificates, grants, refusals, denials"),
  AUDIT_OPTIONS,
  async () => (await import('./commands/audit.ts')).runAudit,
);
add(
  program.command('status').description('show what the node of this machine is doing'),
  STATUS_OPTIONS,
  async () => (await import('./commands/status.ts')).runStatus,
);
add(
  program
    .command('doctor')
    .argument('<image>')
    .description('walk the way of an image from the registry into the runtime, and say in plain words what is wrong')
    .addHelpText(
      'after',
      `
Run it on a node, as root or as the node's user: sealift doctor registry.example:5000/team/app:1
Each line is OK, WARN, FAIL or, where something before it has failed, "--"; below a WARN or FAIL stands what to do.
It exits with 1 if anything has failed. It changes nothing, and prints no token.`,
    ),
  DOCTOR_OPTIONS,
  async () => (await import('./commands/doctor.ts')).runDoctor,
);
add(
  program.command('health').description('whether a node or a tracker answers: exits with 0 or 1, for service managers'),
  HEALTH_OPTIONS,
  async () => (await import('./commands/health.ts')).runHealth,
);
add(
  program
    .command('store')
    .description('the blobs that a node or the seeder keeps')
    .command('verify')
    .description('hash every piece of a store again, and hold all that it says of itself against its bytes'),
  STORE_VERIFY_OPTIONS,
  async () => (await import('./commands/store.ts')).runStoreVerify,
);
const dockerTls = program
  .command('docker-tls')
  .description('certificates for Docker daemons that are commanded over the network');
add(
  dockerTls.command('init').description('make a CA; its key is encrypted with a passphrase'),
  DOCKER_TLS_INIT_OPTIONS,
  async () => (await import('./commands/docker-tls.ts')).runDockerTlsInit,
);
add(
  dockerTls
    .command('server')
    .description('make key and certificate of one dockerd, and print the settings that make it ask clients for theirs'),
  DOCKER_TLS_SERVER_OPTIONS,
  async () => (await import('./commands/docker-tls.ts')).runDockerTlsServer,
);
add(
  dockerTls
    .command('client')
    .argument('<name>')
    .description('make key and certificate for one who may command every daemon of the CA'),
  DOCKER_TLS_CLIENT_OPTIONS,
  async () => (await import('./commands/docker-tls.ts')).runDockerTlsClient,
);
add(
  dockerTls
    .command('show')
    .argument('<directory...>')
    .description('show the certificates of directories; exits with 1 if one has expired, ends soon or does not fit'),
  DOCKER_TLS_SHOW_OPTIONS,
  async () => (await import('./commands/docker-tls.ts')).runDockerTlsShow,
);
add(
  dockerTls
    .command('renew')
    .argument('<directory...>')
    .description('make new certificates for the same names, and write the CAs to trust beside them'),
  DOCKER_TLS_RENEW_OPTIONS,
  async () => (await import('./commands/docker-tls.ts')).runDockerTlsRenew,
);
add(
  program
    .command('rollout')
    .argument('<image>')
    .description('have many Docker daemons pull an image at the same time, over mutual TLS'),
  ROLLOUT_OPTIONS,
  async () => (await import('./commands/rollout.ts')).runRollout,
);
add(
  program
    .command('preheat')
    .argument('<image>')
    .description('bring an image into the seeder, and into nodes, before anybody pulls it'),
  PREHEAT_OPTIONS,
  async () => (await import('./commands/preheat.ts')).runPreheat,
);
add(
  program
    .command('demo')
    .description('registry, tracker and three nodes on this machine: one image, pulled three times, sent once')
    .addHelpText(
      'after',
      '\nIn a clone of the repository, as root on Debian, `npm run demo -- --docker` uses real dockerds.',
    ),
  DEMO_OPTIONS,
  async () => (await import('./demo/demo.ts')).runDemo,
);

/** What a process that runs for long does before its code is loaded. */
function prepareService(dataDirectory: string): void {
  keepYoungGenerationSmall();
  useCompileCache(dataDirectory);
}

/**
 * Gives a command its options, and runs its action with a configuration that has been checked whole. A command's code is
 * loaded when it runs: `status` need not wait for the engine to load.
 */
function add<Table extends OptionTable>(
  command: Command,
  table: Table,
  load: (config: ConfigOf<Table>) => Promise<Action<Table>>,
): void {
  for (const option of Object.values(table)) command.addOption(commandOption(option));
  command.action(async (...values: unknown[]) => {
    // commander passes the arguments, those that may be several as a list, then the options, then the command.
    const args = values.slice(0, -2).flat() as string[];
    const flags: FlagValues = command.opts();
    const config = parseConfig(table, flags, process.env, KNOWN_VARIABLES);
    const signal = endOfProcess();
    const action = await load(config);
    await action(config, { signal, args });
  });
}

/** The option as the command-line parser knows it, which calls the value by the camel-case form of the flag, as our tables do. */
function commandOption(option: OptionTable[string]): CommandOption {
  if (option.kind === 'toggle') return new CommandOption(option.flag, option.help);
  const fallback = option.kind === 'value' && option.fallback !== undefined ? ` (default: ${option.fallback})` : '';
  const parserOption = new CommandOption(`${option.flag} <${option.placeholder}>`, `${option.help}${fallback}`);
  parserOption.helpGroup(option.isRequired ? 'Required:' : 'Options:');
  if (option.kind !== 'list') return parserOption;
  return parserOption.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
}

/** What the parser says without what it was given: a secret in the wrong place must not be repeated in a log. */
function withoutValues(text: string): string {
  return redactText(text)
    .replace(/(--[\w-]+)=[^']*/g, '$1=…')
    .replace(/(but got \d+): .*/, '$1.');
}

function checkRuntime(): void {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= MINIMUM_NODE_MAJOR) return;
  throw new AppError('CONFIG_INVALID', {
    reason: `Node ${process.versions.node} is too old; Sealift needs ${MINIMUM_NODE_MAJOR}. Start it with \`npm run sealift -- …\`, which brings its own`,
  });
}

// Whoever read our output may be gone; a proxy works on, and what else should happen is the command's to say.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

try {
  checkRuntime();
  await program.parseAsync();
} catch (error) {
  // Of its own refusals, and of `--help`, the parser has told already.
  const { text, exitStatus } =
    error instanceof CommanderError
      ? { text: undefined, exitStatus: error.exitCode === 0 ? 0 : EXIT_USAGE }
      : error instanceof EndRequest
        ? { text: undefined, exitStatus: error.exitStatus }
        : describeFailure(error);
  if (text !== undefined) process.stderr.write(`sealift: ${text}\n`);
  process.exitCode = exitStatus;
}
