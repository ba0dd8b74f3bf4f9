import { DOCKER_HUB } from '@sealift/core';
import { proxyConflicts } from './proxy-conflicts.ts';
import { httpsProxyOf, mergeNoProxy, noProxyOf } from './proxy-variables.ts';
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
import { formatTomlString, formatTomlStrings, readToml, tomlStrings } from './toml-document.ts';

/** In the order in which they are read; of a list, the last one counts (containers.conf(5)). */
const CONTAINERS_CONF = ['/usr/share/containers/containers.conf', '/etc/containers/containers.conf'];
const CONTAINERS_CONF_D = '/etc/containers/containers.conf.d';
const REGISTRIES_CONF_D = '/etc/containers/registries.conf.d';
const OWN_NAME = 'zz-sealift.conf';
/** Where podman looks for trust anchors: for each registry in the first of these that has a directory for it. */
const CERTS = ['/etc/containers/certs.d', '/etc/docker/certs.d'] as const;

interface EngineSettings {
  readonly env: readonly string[];
  readonly httpProxy: string | undefined;
  /** Whether `env` is from a file that not everybody may read. */
  readonly isPrivate: boolean;
}

/**
 * What podman needs: for Docker Hub the node as a mirror (registries.conf), for any other registry the node as its proxy
 * (containers.conf), since it shows a mirror no credentials.
 */
export function planPodman(request: SetupRequest, tree: ConfigTree): RuntimePlan {
  const { registries, listen } = request;
  const files: PlannedFile[] = [];
  const notes: string[] = [];
  const problems: string[] = [];
  if (registries.includes(DOCKER_HUB)) {
    const mirror = `[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n\n[[registry.mirror]]\nlocation = ${formatTomlString(formatEndpoint(listen))}\n`;
    // Plain HTTP: this leg is on loopback.
    files.push({
      path: `${REGISTRIES_CONF_D}/${OWN_NAME}`,
      content: `${OWN_FILE}${mirror}insecure = true\n`,
      undo: 'whole',
    });
    problems.push(...hubConflicts(tree));
    notes.push('Private images of Docker Hub come from the Hub: podman shows a mirror no credentials.');
  }
  const proxied = registries.filter((registry) => registry !== DOCKER_HUB);
  if (proxied.length === 0) return { files, directories: [], notes: [...notes, nodeNote(request)], problems };

  const address = `http://${formatEndpoint(listen)}`;
  const path = `${CONTAINERS_CONF_D}/${OWN_NAME}`;
  const { env: theirs, httpProxy, isPrivate } = engineSettings(tree, problems);
  const variables = variablesOf(theirs);
  const noProxy = noProxyOf(variables);
  problems.push(
    ...proxyConflicts(proxied, {
      runtime: 'podman',
      address,
      proxy: httpsProxyOf(variables),
      noProxy,
      places: { proxy: CONTAINERS_CONF_D, noProxy: CONTAINERS_CONF_D },
    }),
  );
  const kept = theirs.filter((entry) => !/^(?:https_proxy|no_proxy)=/i.test(entry));
  const env = [...kept, `HTTPS_PROXY=${address}`, `NO_PROXY=${mergeNoProxy(noProxy)}`];
  // Otherwise every container would get the variables too, and few reach the node's loopback address.
  const containers = httpProxy === undefined ? '[containers]\nhttp_proxy = false\n\n' : '';
  if (httpProxy === 'true') {
    problems.push(
      `${CONTAINERS_CONF_D}: http_proxy = true would give every container the node's loopback address as its proxy: set it to false first`,
    );
  }
  const content = `${OWN_FILE}${containers}[engine]\nenv = ${formatTomlStrings(env)}\n`;
  files.push({ path, content, undo: 'whole', isPrivate });
  const [directory = CERTS[1], ...more] = CERTS.filter((candidate) =>
    proxied.some((registry) => tree.list(`${candidate}/${registry}`).length > 0),
  );
  if (more.length > 0) {
    problems.push(
      `${CERTS.join(', ')}: keep the certificates of all registries in one of them: podman takes the first that it finds for a registry`,
    );
  }
  notes.push(nodeNote(request, directory));
  return { files, directories: [directory], notes, problems };
}

function engineSettings(tree: ConfigTree, problems: string[]): EngineSettings {
  const names = tree.list(CONTAINERS_CONF_D).filter(isTheirs);
  let env: readonly string[] = [];
  let httpProxy: string | undefined;
  let isPrivate = false;
  for (const path of [...CONTAINERS_CONF, ...names.map((name) => `${CONTAINERS_CONF_D}/${name}`)]) {
    try {
      for (const { path: key, value } of readToml(tree.read(path) ?? '').entries) {
        if (key.join('.') === 'containers.http_proxy') httpProxy = value;
        if (key.join('.') !== 'engine.env') continue;
        env = tomlStrings(value);
        isPrivate = tree.isPrivate(path);
        if (path > `${CONTAINERS_CONF_D}/${OWN_NAME}`)
          problems.push(`${path}: its env would take the place of ours: rename it`);
      }
    } catch (error) {
      problems.push(problemOf(path, error));
    }
  }
  return { env, httpProxy, isPrivate };
}

/** Two descriptions of Docker Hub do not add up: podman takes one of them. */
function hubConflicts(tree: ConfigTree): string[] {
  const names = tree.list(REGISTRIES_CONF_D).filter(isTheirs);
  const paths = ['/etc/containers/registries.conf', ...names.map((name) => `${REGISTRIES_CONF_D}/${name}`)];
  return paths.flatMap((path) => {
    const text = tree.read(path) ?? '';
    // podman refuses drop-ins beside the first form of registries.conf.
    if (/^\s*\[registries\./m.test(text))
      return [`${path}: it is in the form of before 2019: write it as [[registry]] first`];
    const isHub = /^\s*(?:prefix|location)\s*=\s*["']docker\.io["']/m.test(text);
    return isHub
      ? [
          `${path}: it describes docker.io already: name the node as a [[registry.mirror]] there, or take that out first`,
        ]
      : [];
  });
}

function isTheirs(name: string): boolean {
  return name.endsWith('.conf') && name !== OWN_NAME;
}

function variablesOf(env: readonly string[]): ReadonlyMap<string, string> {
  return new Map(env.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
}
