import { AppError, splitHostPort } from '@sealift/core';
import { parseHostName } from '../option-values.ts';
import { printable } from '../printable.ts';

/** Most hosts of one rollout: as many as one process can talk to, several times over. */
const MAX_HOSTS = 5_000;
/** Problems that are told of; whoever has more has given us another kind of file. */
const MAX_PROBLEMS = 50;
/** Where dockerd listens with TLS (docs.docker.com, "Protect the Docker daemon socket"). */
const DOCKER_TLS_PORT = 2376;
const ENTRY_KEYS: ReadonlySet<string> = new Set(['host', 'certDir', 'nodeData']);

/** A dockerd that takes part in a rollout. */
export interface DockerHost {
  /** `host:port` in one spelling: what it is called in reports and in the state file. */
  readonly name: string;
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number;
  /** Its own directory of certificates, where it is of another CA than the others. */
  readonly certDir: string | undefined;
  /** Data directory of its node, or one where the `admin.sock` of that is forwarded to; asked for bytes by source. */
  readonly nodeData: string | undefined;
}

/**
 * Reads a hosts file: a host to a line, with `#` for comments, or a JSON array of hosts and objects. Throws one `CONFIG_INVALID`
 * that names every problem with its line, or with its place in the array.
 */
export function parseHostsFile(text: string): readonly DockerHost[] {
  const problems: string[] = [];
  const hosts = new Map<string, DockerHost>();
  // Takes a byte order mark along, which JSON does not know.
  const trimmed = text.trimStart();
  for (const { place, value } of trimmed.startsWith('[') ? entriesOfJson(trimmed) : entriesOfLines(text)) {
    try {
      const host = parseEntry(value);
      if (hosts.has(host.name)) throw problem(`${host.name} is there twice`);
      hosts.set(host.name, host);
    } catch (error) {
      problems.push(`${place}: ${reasonOf(error)}`);
    }
  }
  if (hosts.size === 0 && problems.length === 0) problems.push('it names no host');
  if (hosts.size > MAX_HOSTS) problems.push(`it names more than ${MAX_HOSTS} hosts`);
  if (problems.length > 0) {
    const more = problems.length - MAX_PROBLEMS;
    const told = [...problems.slice(0, MAX_PROBLEMS), ...(more > 0 ? [`and ${more} more problems`] : [])];
    throw new AppError('CONFIG_INVALID', { reason: told.map((line) => `\n  --hosts: ${line}`).join('') });
  }
  return [...hosts.values()];
}

interface Entry {
  readonly place: string;
  readonly value: unknown;
}

function entriesOfLines(text: string): Entry[] {
  return text
    .split(/\r?\n/)
    .map((line, index) => ({ place: `line ${index + 1}`, value: line.replace(/#.*/, '').trim() }))
    .filter(({ value }) => value !== '');
}

function entriesOfJson(text: string): Entry[] {
  try {
    // It begins with a bracket, so it is a list or no JSON.
    return (JSON.parse(text) as unknown[]).map((value, index) => ({ place: `entry ${index + 1}`, value }));
  } catch (cause) {
    const reason = `\n  --hosts: it is not JSON: ${printable((cause as Error).message)}`;
    throw new AppError('CONFIG_INVALID', { reason }, { cause });
  }
}

function parseEntry(value: unknown): DockerHost {
  if (typeof value === 'string') return parseAddress(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw problem('write a host, or an object');
  const fields = new Map(Object.entries(value));
  const unknown = [...fields.keys()].find((key) => !ENTRY_KEYS.has(key));
  if (unknown !== undefined)
    throw problem(`there is no "${printable(unknown)}"; there are ${[...ENTRY_KEYS].join(', ')}`);
  const textOf = (key: string): string | undefined => {
    const field = fields.get(key);
    if (field === undefined || (typeof field === 'string' && field !== '')) return field;
    throw problem(`"${key}" is no text`);
  };
  const address = textOf('host');
  if (address === undefined) throw problem('it has no "host"');
  return { ...parseAddress(address), certDir: textOf('certDir'), nodeData: textOf('nodeData') };
}

function parseAddress(text: string): DockerHost {
  // As DOCKER_HOST has it.
  const split = splitHostPort(text.replace(/^tcp:\/\//, ''));
  if (split === undefined) throw problem('write a host, as docker-1.example, 192.0.2.7:2376 or [2001:db8::7]:2376');
  const host = parseHostName(split.host.replace(/^\[|\]$/g, ''));
  const port = split.port ?? DOCKER_TLS_PORT;
  const name = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { name, host, port, certDir: undefined, nodeData: undefined };
}

function problem(reason: string): AppError {
  return new AppError('CONFIG_INVALID', { reason });
}

function reasonOf(error: unknown): string {
  if (error instanceof AppError) return String(error.details['reason'] ?? error.message);
  throw error;
}
