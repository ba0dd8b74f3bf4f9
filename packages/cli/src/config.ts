import { AppError, isAppError } from '@sealift/core';

interface OptionBase {
  /** The flag, for example `--data`; the environment variable follows from it, `SEALIFT_DATA`. */
  readonly flag: `--${string}`;
  readonly help: string;
}

/** An option with one value. */
export interface ValueOption<T> extends OptionBase {
  readonly kind: 'value';
  readonly placeholder: string;
  readonly parse: (text: string) => T;
  /** In the form an operator would write it. */
  readonly fallback: string | undefined;
  readonly isRequired: boolean;
}

/** An option that may stand several times; in the environment its values are separated by commas. */
export interface ListOption<T> extends OptionBase {
  readonly kind: 'list';
  readonly placeholder: string;
  readonly parse: (text: string) => T;
  readonly isRequired: boolean;
}

/** An option that is there or not; in the environment `1` or `0`. */
export interface ToggleOption extends OptionBase {
  readonly kind: 'toggle';
}

export type Option = ValueOption<unknown> | ListOption<unknown> | ToggleOption;
export type OptionTable = Readonly<Record<string, Option>>;

/** What a table of options parses to. */
export type ConfigOf<Table extends OptionTable> = {
  readonly [Key in keyof Table]: Table[Key] extends ToggleOption
    ? boolean
    : Table[Key] extends ListOption<infer T>
      ? readonly T[]
      : Table[Key] extends RequiredValue<infer T>
        ? T
        : Table[Key] extends ValueOption<infer T>
          ? T | undefined
          : never;
};

type RequiredValue<T> = ValueOption<T> & { readonly hasValue: true };
type Help = { readonly placeholder: string; readonly help: string };

/** An option that must be given. */
export function required<T>(flag: `--${string}`, parse: (text: string) => T, help: Help): RequiredValue<T> {
  return { kind: 'value', flag, parse, ...help, fallback: undefined, isRequired: true, hasValue: true };
}

/** An option with a default. */
export function defaulted<T>(
  flag: `--${string}`,
  parse: (text: string) => T,
  { fallback, ...help }: Help & { readonly fallback: string },
): RequiredValue<T> {
  return { kind: 'value', flag, parse, ...help, fallback, isRequired: false, hasValue: true };
}

/** An option that may be left out. */
export function optional<T>(flag: `--${string}`, parse: (text: string) => T, help: Help): ValueOption<T> {
  return { kind: 'value', flag, parse, ...help, fallback: undefined, isRequired: false };
}

/** An option that may be given several times, or must be at least once. */
export function list<T>(
  flag: `--${string}`,
  parse: (text: string) => T,
  { isRequired = false, ...help }: Help & { readonly isRequired?: boolean },
): ListOption<T> {
  return { kind: 'list', flag, parse, ...help, isRequired };
}

/** An option without a value. */
export function toggle(flag: `--${string}`, help: string): ToggleOption {
  return { kind: 'toggle', flag, help };
}

/** The environment variable of an option. */
export function variableOf({ flag }: OptionBase): string {
  return `SEALIFT_${flag.slice(2).toUpperCase().replaceAll('-', '_')}`;
}

/** Values of the command line by option name, as the command-line parser gives them. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/**
 * Reads a table of options from flags, environment and defaults, in that order. Pure. Throws one `CONFIG_INVALID` that
 * names every problem at once. A `SEALIFT_` variable that no command knows is a problem too: a typo must not switch a
 * protection off.
 */
export function parseConfig<Table extends OptionTable>(
  table: Table,
  flags: FlagValues,
  environment: Readonly<Record<string, string | undefined>>,
  knownVariables: ReadonlySet<string>,
): ConfigOf<Table> {
  const problems = Object.keys(environment)
    .filter((name) => name.startsWith('SEALIFT_') && !knownVariables.has(name))
    .map((name) => `${name}: no such setting; docs/configuration.md names all of them`);
  const config: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(table)) {
    const [fromFlag, fromEnvironment] = [flags[key], environment[variableOf(option)]];
    const source = fromFlag === undefined && fromEnvironment !== undefined ? variableOf(option) : option.flag;
    try {
      config[key] = readOption(option, fromFlag ?? fromEnvironment);
    } catch (error) {
      problems.push(`${source}: ${reasonOf(error)}`);
    }
  }
  if (problems.length > 0) throw new AppError('CONFIG_INVALID', { reason: `\n  ${problems.join('\n  ')}` });
  return Object.freeze(config) as ConfigOf<Table>;
}

function readOption(option: Option, given: string | boolean | readonly string[] | undefined): unknown {
  if (option.kind === 'toggle') return readToggle(given);
  if (option.kind === 'list') {
    const texts =
      typeof given === 'string' ? given.split(',').map((text) => text.trim()) : ((given ?? []) as readonly string[]);
    if (option.isRequired && texts.length === 0) throw missing(option);
    return Object.freeze(texts.map((text) => option.parse(text)));
  }
  const text = given ?? option.fallback;
  if (text === undefined && option.isRequired) throw missing(option);
  return text === undefined ? undefined : option.parse(String(text));
}

function readToggle(given: string | boolean | readonly string[] | undefined): boolean {
  if (given === undefined || given === false || given === '0') return false;
  if (given === true || given === '1') return true;
  throw new AppError('CONFIG_INVALID', { reason: 'use 1 or 0' });
}

function missing(option: ValueOption<unknown> | ListOption<unknown>): AppError {
  const reason = `it is required; give ${option.flag} ${option.placeholder}, or set ${variableOf(option)}`;
  return new AppError('CONFIG_INVALID', { reason });
}

function reasonOf(error: unknown): string {
  if (!isAppError(error)) throw error;
  return String(error.details['reason'] ?? error.details['advice'] ?? error.message);
}
