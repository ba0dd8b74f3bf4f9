import type { ProcessOptions } from '../test/testbed/sealift.ts';
import type { Stage } from './stage.ts';

/** What a fault needs to be set up, where the defaults do not fit. */
export interface StageSetting {
  /** Nodes with a light client each. @default what the command line says */
  readonly nodes?: number;
  /** What the registry's uplink carries, in Mbit/s, so that a pull lasts long enough to be struck. @default 60 */
  readonly uplinkMegabits?: number;
  /** Something that can misbehave stands before the registry. @default false */
  readonly hasFaultyFront?: boolean;
  /** A real dockerd on each node takes the place of the light client. @default false */
  readonly hasDocker?: boolean;
  readonly tracker?: ProcessOptions;
  readonly node?: ProcessOptions;
}

/** One row of the matrix. */
export interface Fault {
  /** As `--fault` takes it. */
  readonly name: string;
  /** What breaks, for people. */
  readonly summary: string;
  readonly setting?: StageSetting;
  /** It can be played with real dockerds: each image is pulled before the next one is published. @default false */
  readonly fitsDocker?: boolean;
  /** Lets nodes pull and breaks something. All pulls are judged by the stage; what else must be true, by `stage.expect`. */
  readonly play: (stage: Stage) => Promise<void>;
}

/** What came of a fault. */
export interface FaultRow {
  readonly fault: string;
  readonly pulls: number;
  readonly failed: number;
  readonly digestsRight: boolean;
  /** Blob bytes that left the registry beyond one copy of each image. */
  readonly extraRegistryBytes: number;
  /** Longest pull, in seconds. */
  readonly slowestSeconds: number;
  /** Fault by fault: latencies, memory, counters. */
  readonly figures: Readonly<Record<string, number>>;
  /** What else should have been true and was not; empty where all is well. */
  readonly problems: readonly string[];
}

/** The row is as it has to be. */
export function isClean({ failed, digestsRight, problems }: FaultRow): boolean {
  return failed === 0 && digestsRight && problems.length === 0;
}
