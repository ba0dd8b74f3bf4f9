import { basename, dirname } from 'node:path';
import type { RegistryHost } from '@sealift/core';
import { upstreamOrigin } from '@sealift/registry';
import { configureContainerd } from './containerd-config.ts';
import {
  type ConfigTree,
  formatEndpoint,
  nodeNote,
  OWN_FILE,
  type PlannedFile,
  problemOf,
  type RuntimePlan,
  type SetupRequest,
} from './runtime-plan.ts';
import { formatTomlString, formatTomlStrings, readToml } from './toml-document.ts';

const CONFIG = '/etc/containerd/config.toml';
/** How long containerd waits for the node before it asks the registry. The node is on loopback: it answers at once or never. */
const DIAL_TIMEOUT = '1s';

/**
 * What containerd needs: for each registry a `hosts.toml` that names the node as a mirror and the registry as what is asked
 * next, and a CRI plugin that reads these files.
 */
export function planContainerd(request: SetupRequest, tree: ConfigTree): RuntimePlan {
  const problems: string[] = [];
  const attempt = <T>(path: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      problems.push(problemOf(path, error));
      return undefined;
    }
  };
  const config = attempt(CONFIG, () =>
    configureContainerd(tree.read(CONFIG), { importsOf: (paths) => readImports(paths, tree) }),
  );
  if (config === undefined) return { files: [], directories: [], notes: [], problems };
  problems.push(...config.problems.map((problem) => `${CONFIG}: ${problem}`));
  const files: PlannedFile[] = [];
  if (config.content !== undefined) files.push({ path: CONFIG, content: config.content, undo: 'part' });
  const notes = [...config.notes];
  for (const registry of request.registries) {
    const directory = directoryOf(registry, config.configPath, tree);
    const path = `${directory}/hosts.toml`;
    const text = tree.read(path);
    const isOurs = text === undefined || text.startsWith(OWN_FILE);
    const content = attempt(path, () =>
      isOurs ? newHosts(registry, request, { directory, tree }) : withMirror(text, request),
    );
    if (content === undefined) continue;
    files.push({ path, content, undo: isOurs ? 'whole' : 'part' });
    if (
      text === undefined &&
      tree.list(directory).length === 0 &&
      tree.read(`${config.configPath}/_default/hosts.toml`) !== undefined
    ) {
      notes.push(
        `${config.configPath}/_default/hosts.toml does not count for ${registry} any more: copy what it needs of it.`,
      );
    }
  }
  return { files, directories: [], notes: [...notes, nodeNote(request)], problems };
}

/** The files of `imports`, which may be patterns for the files of a directory (containerd-config.toml(5)). */
function readImports(paths: readonly string[], tree: ConfigTree): string[] {
  return paths
    .map((path) => (path.startsWith('/') ? path : `${dirname(CONFIG)}/${path}`))
    .flatMap((path) => {
      if (!path.includes('*')) return [path];
      const [start = '', end = ''] = basename(path).split('*');
      const isMeant = (name: string): boolean => name.startsWith(start) && name.endsWith(end);
      return tree
        .list(dirname(path))
        .filter(isMeant)
        .map((name) => `${dirname(path)}/${name}`);
    })
    .map((path) => tree.read(path) ?? '');
}

/** containerd looks for `host_port_` first, then for `host:port`. */
function directoryOf(registry: RegistryHost, configPath: string, tree: ConfigTree): string {
  const spelled = registry.replace(/:(\d+)$/, '_$1_');
  const isThere = spelled !== registry && tree.list(`${configPath}/${spelled}`).length > 0;
  return `${configPath}/${isThere ? spelled : registry}`;
}

function newHosts(
  registry: RegistryHost,
  request: SetupRequest,
  { directory, tree }: { directory: string; tree: ConfigTree },
): string {
  // Beside a hosts.toml containerd does not look at the certificates that it finds in the directory without one.
  const names = tree.list(directory);
  const at = (name: string): string => `${directory}/${name}`;
  const anchors = names.filter((name) => name.endsWith('.crt')).map(at);
  const pairs = names
    .filter((name) => name.endsWith('.cert'))
    .map((name) => [at(name), at(name.replace(/cert$/, 'key'))])
    .map(formatTomlStrings);
  const trust = [
    ...(anchors.length === 0 ? [] : [`ca = ${formatTomlStrings(anchors)}`]),
    ...(pairs.length === 0 ? [] : [`client = [${pairs.join(', ')}]`]),
  ];
  const server = `server = ${formatTomlString(upstreamOrigin(registry))}\n${trust.map((line) => `${line}\n`).join('')}`;
  return `${OWN_FILE}${server}\n${mirrorTable(request, trust)}`;
}

/** Puts the node before the other hosts of a file, since containerd asks them in their order. */
function withMirror(text: string, request: SetupRequest): string | undefined {
  const { headers, entries } = readToml(text);
  const url = mirrorUrl(request);
  if (headers.some(({ path: [kind, host] }) => kind === 'host' && host === url)) return undefined;
  const trust = entries
    .filter(({ path: [name], path }) => path.length === 1 && (name === 'ca' || name === 'client'))
    .map(({ path: [name], value }) => `${name} = ${value}`);
  const place = headers[0]?.start ?? text.length;
  const before = text.slice(0, place);
  const gap = before === '' || before.endsWith('\n\n') ? '' : before.endsWith('\n') ? '\n' : '\n\n';
  return `${before}${gap}${mirrorTable(request, trust)}${place === text.length ? '' : '\n'}${text.slice(place)}`;
}

function mirrorUrl({ listen }: SetupRequest): string {
  return `http://${formatEndpoint(listen)}`;
}

/** `trust` is that of the registry: containerd takes it for the token service too, to which the mirror's challenge leads. */
function mirrorTable(request: SetupRequest, trust: readonly string[]): string {
  const lines = ['capabilities = ["pull", "resolve"]', `dial_timeout = "${DIAL_TIMEOUT}"`, ...trust];
  return `[host.${formatTomlString(mirrorUrl(request))}]\n${lines.map((line) => `  ${line}\n`).join('')}`;
}
