import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Network, type NetworkPlan } from './network.ts';
import { newRunName, type RunName } from './run-name.ts';
import { directoryOf, sweepDeadRuns } from './sweep.ts';

/**
 * Several hosts on one machine, and the promise that nothing of them stays behind: a reaper in a session of its own holds
 * the other end of a pipe and cleans up when it closes, on {@link stop} as well as when this process is killed.
 */
export class Testbed {
  readonly name: RunName;
  readonly directory: string;
  readonly network: Network;
  readonly #reaper: ChildProcess;

  private constructor(name: RunName, network: Network, reaper: ChildProcess) {
    this.name = name;
    this.directory = directoryOf(name);
    this.network = network;
    this.#reaper = reaper;
  }

  static async start(plan: NetworkPlan): Promise<Testbed> {
    await sweepDeadRuns();
    const name = newRunName();
    await mkdir(directoryOf(name), { mode: 0o755 });
    const reaper = spawn(process.execPath, [path.join(import.meta.dirname, 'reaper.ts'), name], {
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    try {
      return new Testbed(name, await Network.up(name, plan), reaper);
    } catch (error) {
      await release(reaper);
      throw error;
    }
  }

  /** The process that cleans up after us. */
  get reaperPid(): number | undefined {
    return this.#reaper.pid;
  }

  /**
   * Ends whatever still runs and removes all files and namespaces. Fails, with the reason, if something stays. With
   * `TESTBED_LOGS` in the environment, the logs of all processes are copied to that directory first.
   */
  async stop(): Promise<void> {
    const keepIn = process.env['TESTBED_LOGS'];
    if (keepIn !== undefined) {
      await cp(path.join(this.directory, 'log'), path.join(keepIn, this.name), { recursive: true });
    }
    await release(this.#reaper);
  }
}

async function release(reaper: ChildProcess): Promise<void> {
  if (reaper.exitCode !== null) return;
  const said: Buffer[] = [];
  reaper.stdout?.on('data', (chunk: Buffer) => said.push(chunk));
  const closed = once(reaper, 'close');
  reaper.stdin?.end();
  await closed;
  if (reaper.exitCode !== 0) throw new Error(`the testbed left something behind: ${Buffer.concat(said)}`);
}
