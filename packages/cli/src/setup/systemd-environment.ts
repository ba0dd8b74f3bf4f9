/**
 * The environment that systemd gives a service, as far as its unit files say (systemd.exec(5), systemd.syntax(7)): the lines
 * `Environment=` of the unit and its drop-ins in their order, and over them the files of `EnvironmentFile=`; and what it starts.
 */
export interface UnitEnvironment {
  readonly variables: ReadonlyMap<string, string>;
  /** Paths as they are written, without the `-` of those that may be missing. */
  readonly files: readonly string[];
  /** Command lines of `ExecStart=`, with variables as they are written. */
  readonly commands: readonly string[];
}

/** Reads unit files in the order in which systemd does: the unit, then its drop-ins. */
export function unitEnvironment(units: readonly string[]): UnitEnvironment {
  const variables = new Map<string, string>();
  const files: string[] = [];
  const commands: string[] = [];
  for (const { name, value } of units.flatMap(serviceSettings)) {
    if (name === 'EnvironmentFile') {
      if (value === '') files.length = 0;
      else files.push(value.replace(/^-/, ''));
    }
    if (name === 'ExecStart') {
      if (value === '') commands.length = 0;
      else commands.push(value);
    }
    if (name !== 'Environment') continue;
    if (value === '') variables.clear();
    for (const assignment of splitWords(value)) assign(variables, assignment);
  }
  return { variables, files, commands };
}

/** The assignments of a file that `EnvironmentFile=` names. */
export function fileEnvironment(text: string): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  for (const line of logicalLines(text)) {
    // systemd ignores a leading `export`: such a line assigns nothing.
    const [, name, value = ''] = /^([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) variables.set(name, splitWords(value).join(' '));
  }
  return variables;
}

/** Writes one assignment for an `Environment=` line. */
export function formatAssignment(name: string, value: string): string {
  // `%` begins a specifier of systemd.
  const text = `${name}=${value}`.replaceAll('%', '%%').replace(/[\\"]/g, '\\$&');
  return `Environment="${text}"`;
}

function serviceSettings(unit: string): { name: string; value: string }[] {
  const settings: { name: string; value: string }[] = [];
  let section = '';
  for (const line of logicalLines(unit)) {
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    const [, name, value] = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (section === 'Service' && name !== undefined && value !== undefined) settings.push({ name, value });
  }
  return settings;
}

/** Lines without comments, those that end in a backslash joined with the next. */
function logicalLines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !/^\s*[#;]/.test(line))
    .join('\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** Splits at spaces that are not quoted, and takes quotes and backslashes off. */
function splitWords(text: string): string[] {
  const words = text.match(/(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\.|[^\s"'\\])+/g) ?? [];
  return words.map((word) =>
    word.replace(
      /"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|\\(.)/g,
      (_, double?: string, single?: string, bare?: string) => (double ?? single ?? bare ?? '').replace(/\\(.)/g, '$1'),
    ),
  );
}

function assign(variables: Map<string, string>, assignment: string): void {
  const separator = assignment.indexOf('=');
  if (separator > 0)
    variables.set(assignment.slice(0, separator), assignment.slice(separator + 1).replaceAll('%%', '%'));
}
