import { DOCKER_HUB } from '@sealift/core';
import { addFirst } from './json-members.ts';
import { isSameAddress, proxyConflicts } from './proxy-conflicts.ts';
import { httpsProxyOf, mergeNoProxy, noProxyOf, splitNoProxy } from './proxy-variables.ts';
import {
  type ConfigTree,
  formatEndpoint,
  nodeNote,
  OWN_FILE,
  type PlannedFile,
  type RuntimePlan,
  type SetupRequest,
} from './runtime-plan.ts';
import { fileEnvironment, formatAssignment, unitEnvironment } from './systemd-environment.ts';

/** Where systemd looks for units, what is more important last (systemd.unit(5)). */
const UNIT_DIRECTORIES = [
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
  '/usr/local/lib/systemd/system',
  '/run/systemd/system',
  '/etc/systemd/system',
];
/** Read after the administrator's own files, which are seldom called so. */
const DROP_IN = '/etc/systemd/system/docker.service.d/zz-sealift.conf';
/** Unless the command line names another. */
const DAEMON_JSON = '/etc/docker/daemon.json';
const UNIT = 'docker.service (see `systemctl cat docker`)';
/** Where dockerd looks for trust anchors at every request; the node puts its own there and needs the directory. */
const DOCKER_CERTS = '/etc/docker/certs.d';

interface DaemonSettings {
  readonly mirrors: readonly string[];
  readonly proxy: string | undefined;
  readonly noProxy: string | undefined;
}

/**
 * What dockerd needs: for Docker Hub the node as a mirror (daemon.json), since dockerd reads no `certs.d` for it; for any other
 * registry the node as its proxy (a drop-in of docker.service) and a directory for the node's certificate.
 */
export function planDocker(request: SetupRequest, tree: ConfigTree): RuntimePlan {
  const { registries, listen } = request;
  const address = `http://${formatEndpoint(listen)}`;
  const files: PlannedFile[] = [];
  const notes: string[] = [];
  const problems: string[] = [];
  const { environment, command } = dockerUnit(tree);
  const daemonJson = flagOf(command, 'config-file') ?? DAEMON_JSON;
  const text = tree.read(daemonJson);
  const daemon = readDaemonJson(text);
  if (daemon === undefined) problems.push(`${daemonJson}: this is not the JSON that dockerd takes; mend it first`);
  if (
    registries.includes(DOCKER_HUB) &&
    daemon !== undefined &&
    !daemon.mirrors.some((mirror) => isSameAddress(mirror, address))
  ) {
    const content = addFirst(isBlank(text) ? '{}\n' : text, 'registry-mirrors', address);
    files.push({ path: daemonJson, content, undo: 'mirrors' });
    if (flagOf(command, 'registry-mirror') !== undefined) {
      problems.push(
        `${UNIT}: --registry-mirror is on the command line, and dockerd does not start with mirrors in ${daemonJson} as well: ` +
          'move them there first',
      );
    }
    if (daemon.mirrors.length > 0)
      notes.push(`dockerd asks the node before its other mirrors: ${daemon.mirrors.join(', ')}.`);
  }
  const proxied = registries.filter((registry) => registry !== DOCKER_HUB);
  if (proxied.length === 0) return { files, directories: [], notes: [...notes, nodeNote(request)], problems };

  const theirs = noProxyOf(environment);
  const dropIn = `${OWN_FILE}[Service]\n${formatAssignment('HTTPS_PROXY', address)}\n${formatAssignment('NO_PROXY', mergeNoProxy(theirs))}\n`;
  files.push({ path: DROP_IN, content: dropIn, undo: 'whole' });
  const { environment: effective } = dockerUnit(tree, dropIn);
  // Both count for more than the environment, and exclude each other (dockerd from 23 on).
  const told = daemon?.proxy ?? flagOf(command, 'https-proxy');
  const other = [httpsProxyOf(environment), httpsProxyOf(effective)].find(
    (proxy) => proxy !== undefined && !isSameAddress(proxy, address),
  );
  const noProxy = daemon?.noProxy ?? flagOf(command, 'no-proxy');
  problems.push(
    ...proxyConflicts(proxied, {
      runtime: 'dockerd',
      address,
      proxy: told ?? other,
      noProxy: noProxy === undefined ? noProxyOf(effective) : splitNoProxy(noProxy),
      places: {
        proxy: daemon?.proxy === undefined ? UNIT : daemonJson,
        noProxy: daemon?.noProxy === undefined ? UNIT : daemonJson,
      },
    }),
  );
  notes.push(nodeNote(request, DOCKER_CERTS), 'Start it before dockerd, which has no second proxy.');
  return { files, directories: [DOCKER_CERTS], notes, problems };
}

/** `undefined` for what dockerd would not take. */
function readDaemonJson(text: string | undefined): DaemonSettings | undefined {
  const fields = parseObject(isBlank(text) ? '{}' : text);
  const { 'registry-mirrors': mirrors = [], proxies = {} } = fields ?? {};
  if (fields === undefined || !isTexts(mirrors) || !isObject(proxies)) return undefined;
  const textOf = (name: string): string | undefined => {
    const value = proxies[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  return { mirrors, proxy: textOf('https-proxy'), noProxy: textOf('no-proxy') };
}

/** An empty file is none to dockerd either. */
function isBlank(text: string | undefined): text is undefined {
  return text === undefined || text.trim() === '';
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // Said by the caller, with the file's name.
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** What systemd gives dockerd, with our drop-in as it is to be, or without it; and how it starts it. */
function dockerUnit(tree: ConfigTree, ours?: string): { environment: ReadonlyMap<string, string>; command: string } {
  const dropIns = new Map<string, string>();
  const unit = UNIT_DIRECTORIES.map((directory) => tree.read(`${directory}/docker.service`)).findLast(
    (text) => text !== undefined,
  );
  // Those for all services count for less than its own. A file hides another by the same name that counts for less.
  for (const kind of ['service.d', 'docker.service.d']) {
    for (const directory of UNIT_DIRECTORIES.map((place) => `${place}/${kind}`)) {
      for (const name of tree.list(directory).filter((candidate) => candidate.endsWith('.conf'))) {
        dropIns.set(name, tree.read(`${directory}/${name}`) ?? '');
      }
    }
  }
  const [, name = ''] = /.*\/(.*)/.exec(DROP_IN) ?? [];
  dropIns.delete(name);
  if (ours !== undefined) dropIns.set(name, ours);
  const sorted = [...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, content]) => content);
  const { variables, files, commands } = unitEnvironment([unit ?? '', ...sorted]);
  // Files count for more than lines.
  const environment = new Map([...variables, ...files.flatMap((path) => [...fileEnvironment(tree.read(path) ?? '')])]);
  const command = commands.join(' ').replace(/\$(?:(\w+)|\{(\w+)\})/g, (_, bare?: string, braced?: string) => {
    return environment.get(bare ?? braced ?? '') ?? '';
  });
  return { environment, command };
}

/** The value of a flag on a command line; `undefined` where it does not stand there. */
function flagOf(command: string, name: string): string | undefined {
  return new RegExp(`(?:^|\\s)["']?--${name}(?:=|\\s+)["']?([^\\s"']+)`).exec(command)?.[1];
}
