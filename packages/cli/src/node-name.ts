import { hostname } from 'node:os';

/** What a node is called that was not given a name: its host, as the tracker takes names; what it does not allow becomes a hyphen. */
export function defaultNodeName(): string {
  const name = hostname()
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63);
  return name === '' ? 'node' : name;
}
