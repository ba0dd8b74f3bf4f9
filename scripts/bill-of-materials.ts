/** What we read of a package's entry in `package-lock.json` (version 3). */
export interface LockEntry {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  /** A workspace: `resolved` is its directory. */
  readonly link?: boolean;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** `package-lock.json`: entries by their directory. */
export interface LockFile {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

/** One package of a {@link BillOfMaterials}. */
export interface Component {
  readonly type: 'library' | 'application';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly scope?: 'required' | 'optional';
  readonly purl: string;
  readonly licenses: readonly { readonly license: { readonly id: string } | { readonly name: string } }[];
  readonly hashes?: readonly { readonly alg: 'SHA-512'; readonly content: string }[];
}

/** The part of CycloneDX 1.5 that we write. */
export interface BillOfMaterials {
  readonly bomFormat: 'CycloneDX';
  readonly specVersion: '1.5';
  readonly version: 1;
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** The package that starts everything: what it needs, directly or not, is what runs. */
const PRODUCT = 'packages/cli';
/** Licences of the lock file that SPDX knows under this very id; others go out as a name. */
const SPDX_IDS = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'Unlicense',
]);
/** Our own packages carry the licence of the repository. */
const OWN_LICENSE = 'Apache-2.0';

/** Lists the product and all that it needs at run time, each with version, licence and, where the lock has one, its hash. */
export function billOfMaterials({ packages }: LockFile): BillOfMaterials {
  const graph = reachableFrom(PRODUCT, packages);
  const refOf = (place: string): string => refOfEntry(place, entryAt(place, packages));
  const components = new Map(
    [...graph.keys()].map((place) => [refOf(place), componentOf(place, entryAt(place, packages))]),
  );
  const product = components.get(refOf(PRODUCT)) as Component;
  components.delete(product['bom-ref']);
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { ...product, type: 'application' } },
    components: [...components.values()].sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1)),
    dependencies: [...graph]
      .map(([place, needed]) => ({ ref: refOf(place), dependsOn: [...new Set(needed.map(refOf))].sort() }))
      .sort((a, b) => (a.ref < b.ref ? -1 : 1)),
  };
}

/** The directories of `start` and of all that it needs, each with those that it needs itself. */
function reachableFrom(start: string, packages: LockFile['packages']): Map<string, readonly string[]> {
  const graph = new Map<string, readonly string[]>();
  const waiting = [start];
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    if (graph.has(place)) continue;
    const { dependencies = {}, optionalDependencies = {} } = entryAt(place, packages);
    const from = place;
    const required = Object.keys(dependencies).flatMap((name) => {
      const found = resolve(name, from, packages);
      if (found === undefined && !(name in optionalDependencies))
        throw new Error(`${from} needs ${name}: not in the lock file`);
      return found ?? [];
    });
    const optional = Object.keys(optionalDependencies).flatMap((name) => resolve(name, from, packages) ?? []);
    const needed = [...new Set([...required, ...optional])];
    graph.set(place, needed);
    waiting.push(...needed);
  }
  return graph;
}

/** Where Node finds `name` from `place`: in the nearest `node_modules` upwards. A workspace is its own directory. */
function resolve(name: string, place: string, packages: LockFile['packages']): string | undefined {
  for (let directory = place; ; directory = directory.slice(0, Math.max(0, directory.lastIndexOf('/')))) {
    const candidate = directory === '' ? `node_modules/${name}` : `${directory}/node_modules/${name}`;
    const entry = packages[candidate];
    if (entry !== undefined) return entry.link === true ? entry.resolved : candidate;
    if (directory === '') return undefined;
  }
}

function entryAt(place: string, packages: LockFile['packages']): LockEntry {
  const entry = packages[place];
  if (entry === undefined) throw new Error(`${place} is not in the lock file`);
  return entry;
}

function componentOf(place: string, entry: LockEntry): Component {
  const isOwn = !place.includes('node_modules/');
  const license = entry.license ?? (isOwn ? OWN_LICENSE : undefined);
  const ref = refOfEntry(place, entry);
  return {
    type: 'library',
    'bom-ref': ref,
    name: nameOf(place, entry),
    version: entry.version ?? '',
    scope: entry.optional === true ? 'optional' : 'required',
    purl: ref,
    licenses: license === undefined ? [] : [{ license: SPDX_IDS.has(license) ? { id: license } : { name: license } }],
    ...(entry.integrity === undefined ? {} : { hashes: [hashOf(entry.integrity)] }),
  };
}

/** The package URL: the scope's `@` is escaped, the slash after it is not. */
function refOfEntry(place: string, entry: LockEntry): string {
  return `pkg:npm/${nameOf(place, entry).replace('@', '%40')}@${entry.version ?? ''}`;
}

function nameOf(place: string, { name }: LockEntry): string {
  if (name !== undefined) return name;
  return (
    place
      .split('node_modules/')
      .at(-1)
      ?.replace(/^stubs\//, '') ?? place
  );
}

/** npm writes the hash in base64 (Subresource Integrity), CycloneDX in hex. */
function hashOf(integrity: string): { alg: 'SHA-512'; content: string } {
  const base64 = /^sha512-(?<hash>[A-Za-z0-9+/=]+)$/.exec(integrity)?.groups?.['hash'];
  if (base64 === undefined) throw new Error('a hash in the lock file is not SHA-512');
  return { alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') };
}
