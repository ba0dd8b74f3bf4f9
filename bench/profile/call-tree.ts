/** A profile as `node --cpu-prof` writes it; times in microseconds of the system's monotonic clock. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
  readonly startTime: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

/** A function and what it called, with the time spent in it and below, in microseconds. */
export interface CallTree {
  readonly name: string;
  selfMicros: number;
  totalMicros: number;
  readonly callees: Map<string, CallTree>;
}

/** Frames of V8 that are no work. */
const IDLE = '(idle)';

/** Begins a tree whose root is called `name`. */
export function newCallTree(name: string): CallTree {
  return { name, selfMicros: 0, totalMicros: 0, callees: new Map() };
}

/**
 * Adds what `profile` saw between two times to `tree`. Functions are told apart by name and place; a file of this
 * repository is shown by its path below `root`.
 */
export function addProfile(
  tree: CallTree,
  profile: CpuProfile,
  { from, to, root }: { from: number; to: number; root: string },
): void {
  const paths = pathsOf(profile, root);
  let time = profile.startTime;
  profile.samples.forEach((id, at) => {
    time += profile.timeDeltas[at] ?? 0;
    const path = paths.get(id) ?? [];
    if (time < from || time > to || path.at(-1) === IDLE) return;
    // A sample stands for the time until the next one.
    addPath(tree, path, Math.max(0, profile.timeDeltas[at + 1] ?? 0));
  });
}

/** Time of each function itself, without what it called, from most to least. */
export function selfTimes(tree: CallTree): readonly { readonly name: string; readonly micros: number }[] {
  const micros = new Map<string, number>();
  const visit = ({ name, selfMicros, callees }: CallTree): void => {
    micros.set(name, (micros.get(name) ?? 0) + selfMicros);
    for (const callee of callees.values()) visit(callee);
  };
  visit(tree);
  return [...micros].map(([name, value]) => ({ name, micros: value })).sort((a, b) => b.micros - a.micros);
}

function addPath(tree: CallTree, path: readonly string[], micros: number): void {
  let at = tree;
  at.totalMicros += micros;
  for (const name of path) {
    let callee = at.callees.get(name);
    if (callee === undefined) {
      callee = newCallTree(name);
      at.callees.set(name, callee);
    }
    at = callee;
    at.totalMicros += micros;
  }
  at.selfMicros += micros;
}

/** The calls that led to each node, outermost first, without V8's own root. */
function pathsOf({ nodes }: CpuProfile, root: string): ReadonlyMap<number, readonly string[]> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const paths = new Map<number, readonly string[]>();
  const pending: { node: ProfileNode; path: readonly string[] }[] = nodes
    .slice(0, 1)
    .map((node) => ({ node, path: [] }));
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    paths.set(next.node.id, next.path);
    for (const id of next.node.children ?? []) {
      const node = byId.get(id);
      if (node !== undefined) pending.push({ node, path: [...next.path, nameOf(node, root)] });
    }
  }
  return paths;
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode, root: string): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const place = url.startsWith(root) ? url.slice(root.length) : url;
  return `${name} ${place}:${lineNumber + 1}`;
}
