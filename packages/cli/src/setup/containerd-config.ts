import { formatTomlString, readToml, type TomlDocument, tomlString, tomlStrings } from './toml-document.ts';

/** Where containerd's CRI plugin looks for `hosts.toml`, unless its configuration says otherwise. */
const DEFAULT_CONFIG_PATH = '/etc/containerd/certs.d';

/** What is to be done with containerd's config.toml. */
export interface ContainerdConfig {
  /** The directory of the registries' directories. */
  readonly configPath: string;
  /** Its new text, where it has to change. */
  readonly content: string | undefined;
  readonly notes: readonly string[];
  readonly problems: readonly string[];
}

/**
 * Points the CRI plugin of a config.toml to a directory of `hosts.toml`, unless it or a file that it imports does so already.
 * Throws `CONFIG_INVALID` for a file that cannot be read as TOML.
 */
export function configureContainerd(
  text: string | undefined,
  { importsOf }: { importsOf: (paths: readonly string[]) => readonly string[] },
): ContainerdConfig {
  const main = readToml(text ?? '');
  const imports = main.entries.find(({ path }) => isSame(path, ['imports']))?.value;
  const documents = [main, ...importsOf(imports === undefined ? [] : tomlStrings(imports)).map(readToml)];
  const unchanged = { configPath: DEFAULT_CONFIG_PATH, content: undefined, notes: [], problems: [] };
  if (documents.some(isCriDisabled)) {
    const note = 'The CRI plugin is disabled in config.toml, so only nerdctl and `ctr --hosts-dir` read these files.';
    return { ...unchanged, notes: [note] };
  }
  const problems = documents.flatMap((document) => conflicts(document, registryTable(document)));
  if (problems.length > 0) return { ...unchanged, problems: [...new Set(problems)] };

  // Several directories are divided by colons, of which the first counts most; of several files, the last one.
  const [configPath = ''] =
    documents
      .map(configPathOf)
      .findLast((value) => value !== '')
      ?.split(':') ?? [];
  if (configPath !== '') return { ...unchanged, configPath };
  return { ...unchanged, content: withConfigPath(text ?? '', main) };
}

function isCriDisabled({ entries }: TomlDocument): boolean {
  const disabled = entries.find(({ path }) => isSame(path, ['disabled_plugins']))?.value ?? '';
  return /["'](?:io\.containerd\.grpc\.v1\.)?cri["']/.test(disabled);
}

/**
 * The table of the CRI plugin's registry settings. Its name follows from the version of the file, not of containerd, which
 * reads older ones too: 1 `cri`, 2 (that of containerd 1.x) `io.containerd.grpc.v1.cri`, 3 (2.x) `io.containerd.cri.v1.images`.
 */
function registryTable({ entries, headers }: TomlDocument): readonly string[] {
  const version = entries.find(({ path }) => isSame(path, ['version']))?.value;
  const isEmpty = entries.length === 0 && headers.length === 0;
  const plugin =
    version === '3' ? 'io.containerd.cri.v1.images' : version === '2' || isEmpty ? 'io.containerd.grpc.v1.cri' : 'cri';
  return ['plugins', plugin, 'registry'];
}

function configPathOf(document: TomlDocument): string {
  const path = [...registryTable(document), 'config_path'];
  const setting = document.entries.find((entry) => isSame(entry.path, path));
  return setting === undefined ? '' : tomlString(setting.value);
}

/** What containerd does not take beside `config_path`: its CRI plugin would not start. */
function conflicts({ entries }: TomlDocument, registry: readonly string[]): string[] {
  const below = entries
    .filter(({ path }) => startsWith(path, registry))
    .map((entry) => entry.path.slice(registry.length));
  const problems = [];
  // A table that is begun in one of these ways cannot be opened again.
  const isInline = entries.some(({ path, value }) => value.startsWith('{') && startsWith(registry, path));
  const isDotted = entries.some(({ path, tableDepth }) => startsWith(path, registry) && tableDepth < registry.length);
  if (isInline || isDotted) problems.push('write its registry settings in [tables] of their own first');
  if (below.some(([name, host]) => name === 'mirrors' && host !== undefined)) {
    problems.push(
      'it has registry.mirrors, which containerd does not take beside config_path: move them to hosts.toml files first',
    );
  }
  if (below.some(([name, , kind]) => name === 'configs' && kind === 'tls')) {
    problems.push(
      'it has registry.configs.….tls, which containerd does not take beside config_path: move it to hosts.toml files first',
    );
  }
  return problems;
}

function withConfigPath(text: string, document: TomlDocument): string {
  const registry = registryTable(document);
  const value = formatTomlString(DEFAULT_CONFIG_PATH);
  const table = `[${registry.map(formatKey).join('.')}]\n`;
  const empty = document.entries.find(({ path }) => isSame(path, [...registry, 'config_path']));
  const header = document.headers.find(({ path }) => isSame(path, registry));
  if (empty !== undefined) {
    const line = text.slice(empty.start, empty.end).replace(/(?:""|'')/, () => value);
    return `${text.slice(0, empty.start)}${line}${text.slice(empty.end)}`;
  }
  if (header !== undefined) {
    const indent = /^[ \t]*/.exec(text.slice(header.start))?.[0] ?? '';
    return `${endLine(text.slice(0, header.end))}${indent}  config_path = ${value}\n${text.slice(header.end)}`;
  }
  const isEmpty = document.entries.length === 0 && document.headers.length === 0;
  return `${endLine(text)}${isEmpty ? 'version = 2\n' : ''}\n${table}  config_path = ${value}\n`;
}

function endLine(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

function formatKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : formatTomlString(key);
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && startsWith(a, b);
}

function startsWith(path: readonly string[], prefix: readonly string[]): boolean {
  return prefix.length <= path.length && prefix.every((name, index) => path[index] === name);
}
