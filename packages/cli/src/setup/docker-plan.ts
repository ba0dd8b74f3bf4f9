import { DOCKER_HUB } from '@sealift/core';
import { addFirst } from './json-members.ts';
import { httpsProxyOf, isLeftOut, mergeNoProxy, noProxyOf, withoutCredentials } from './proxy-variables.ts';
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
  '/run/systemd/system',
  '/etc/systemd/system',
];
/** Read after the administrator's own files, which are seldom called so. */
const DROP_IN = '/etc/systemd/system/docker.service.d/zz-sealift.conf';
const DAEMON_JSON = '/etc/docker/daemon.json';
/** Where dockerd looks for trust anchors at every request; the node puts its own there and needs the directory. */
const DOCKER_CERTS = '/etc/docker/certs.d';

interface DaemonSettings {
  readonly mirrors: readonly string[];
  readonly proxy: string | undefined;
  readonly noProxy: readonly string[] | undefined;
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
  const text = tree.read(DAEMON_JSON);
  const daemon = readDaemonJson(text, problems);
  if (
    registries.includes(DOCKER_HUB) &&
    daemon !== undefined &&
    !daemon.mirrors.some((mirror) => isSame(mirror, address))
  ) {
    const content = addFirst(isBlank(text) ? '{}\n' : text, 'registry-mirrors', address);
    files.push({ path: DAEMON_JSON, content, undo: 'mirrors' });
    if (daemon.mirrors.length > 0)
      notes.push(`dockerd asks the node before its other mirrors: ${daemon.mirrors.join(', ')}.`);
  }
  const proxied = registries.filter((registry) => registry !== DOCKER_HUB);
  if (proxied.length === 0) return { files, directories: [], notes: [...notes, nodeNote(request)], problems };

  const environment = dockerEnvironment(tree);
  const theirs = noProxyOf(environment);
  const dropIn = `${OWN_FILE}[Service]\n${formatAssignment('HTTPS_PROXY', address)}\n${formatAssignment('NO_PROXY', mergeNoProxy(theirs))}\n`;
  files.push({ path: DROP_IN, content: dropIn, undo: 'whole' });
  const effective = dockerEnvironment(tree, dropIn);
  // daemon.json counts for more than the environment (dockerd from 23 on).
  const before = daemon?.proxy ?? httpsProxyOf(environment);
  const after = daemon?.proxy ?? httpsProxyOf(effective);
  const other = [before, after].find((proxy) => proxy !== undefined && !isSame(proxy, address));
  if (other !== undefined) {
    problems.push(
      `${daemon?.proxy === undefined ? 'docker.service (see `systemctl cat docker`)' : DAEMON_JSON}: dockerd uses the proxy ${withoutCredentials(other)} already. ` +
        'The node does not go through another proxy: take that one out first, or set up a host that reaches its registries directly',
    );
  }
  const noProxy = daemon?.noProxy ?? noProxyOf(effective);
  for (const registry of proxied.filter((candidate) => isLeftOut(candidate, noProxy))) {
    problems.push(
      `${daemon?.noProxy === undefined ? 'docker.service' : DAEMON_JSON}: NO_PROXY leaves ${registry} out, so dockerd would go past the node: ` +
        'take it out of NO_PROXY, or out of --registry',
    );
  }
  notes.push(nodeNote(request, DOCKER_CERTS), 'Start it before dockerd, which has no second proxy.');
  return { files, directories: [DOCKER_CERTS], notes, problems };
}

function readDaemonJson(text: string | undefined, problems: string[]): DaemonSettings | undefined {
  const fields = parseObject(isBlank(text) ? '{}' : text);
  const { 'registry-mirrors': mirrors = [], proxies = {} } = fields ?? {};
  if (fields === undefined || !isTexts(mirrors) || !isObject(proxies)) {
    problems.push(`${DAEMON_JSON}: this is not the JSON that dockerd takes; mend it first`);
    return undefined;
  }
  const textOf = (name: string): string | undefined => {
    const value = proxies[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  return {
    mirrors,
    proxy: textOf('https-proxy'),
    noProxy: textOf('no-proxy')
      ?.split(',')
      .map((host) => host.trim()),
  };
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

/** What systemd gives dockerd, with our drop-in as it is to be, or without it. */
function dockerEnvironment(tree: ConfigTree, ours?: string): ReadonlyMap<string, string> {
  const dropIns = new Map<string, string>();
  let unit = '';
  for (const directory of UNIT_DIRECTORIES) {
    unit = tree.read(`${directory}/docker.service`) ?? unit;
    const own = `${directory}/docker.service.d`;
    // A file hides another by the same name in a directory that counts for less.
    for (const name of tree.list(own).filter((candidate) => candidate.endsWith('.conf'))) {
      dropIns.set(name, tree.read(`${own}/${name}`) ?? '');
    }
  }
  const [, name = ''] = /.*\/(.*)/.exec(DROP_IN) ?? [];
  dropIns.delete(name);
  if (ours !== undefined) dropIns.set(name, ours);
  const sorted = [...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, content]) => content);
  const { variables, files } = unitEnvironment([unit, ...sorted]);
  // Files count for more than lines.
  return new Map([...variables, ...files.flatMap((path) => [...fileEnvironment(tree.read(path) ?? '')])]);
}

function isSame(a: string, b: string): boolean {
  return a.replace(/\/$/, '') === b.replace(/\/$/, '');
}
