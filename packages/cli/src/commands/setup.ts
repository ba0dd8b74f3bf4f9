import { isLoopbackAddress } from '@sealift/proxy';
import type { ConfigOf } from '../config.ts';
import { refuse } from '../failure.ts';
import type { SETUP_OPTIONS } from '../options.ts';
import { restartAdvice } from '../setup/restart-advice.ts';
import type { RuntimeName } from '../setup/runtime-plan.ts';
import { prepareSetup } from '../setup/runtime-setup.ts';
import { SetupDisk } from '../setup/setup-disk.ts';

type Config = ConfigOf<typeof SETUP_OPTIONS>;

/** `sealift setup docker`: dockerd takes the node as its proxy, and as its mirror of Docker Hub. */
export async function runSetupDocker(config: Config): Promise<void> {
  setUp('docker', config);
}

/** `sealift setup containerd`: containerd takes the node as its first mirror of each registry. */
export async function runSetupContainerd(config: Config): Promise<void> {
  setUp('containerd', config);
}

/** `sealift setup podman`: podman takes the node as its proxy, and as its mirror of Docker Hub. */
export async function runSetupPodman(config: Config): Promise<void> {
  setUp('podman', config);
}

function setUp(runtime: RuntimeName, { registry, listen, root, dryRun }: Config): void {
  if (!(listen.host === 'localhost' || isLoopbackAddress(listen.host)) || listen.port === 0) {
    refuse('--listen', "give the port of the node's proxy on loopback, for example 127.0.0.1:3128");
  }
  const registries = [...new Set(registry)];
  const changes = prepareSetup(runtime, { registries, listen }, new SetupDisk(root));
  if (changes.diff === '') {
    // What was kept of the former files may have to be written anew.
    if (!dryRun) changes.apply();
    print(`Nothing to change: ${runtime} is set up for ${registries.join(', ')}.`);
    return;
  }
  process.stdout.write(changes.diff);
  if (!dryRun) changes.apply();
  print(
    dryRun
      ? 'Nothing was written (--dry-run). When it is:'
      : 'Written; `sealift uninstall` puts back what was there. Now:',
  );
  for (const note of [...changes.notes, restartAdvice(runtime, changes.paths)]) print(`- ${note}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
