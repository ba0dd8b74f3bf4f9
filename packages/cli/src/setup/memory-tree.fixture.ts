import path from 'node:path';
import type { ConfigTree } from './runtime-plan.ts';

/** A configuration that is nowhere but here: texts by path. */
export function memoryTree(files: Readonly<Record<string, string>>): ConfigTree {
  const below = (directory: string): string[] =>
    Object.keys(files)
      .filter((file) => file.startsWith(`${directory}/`))
      .map((file) => path.relative(directory, file).split('/')[0] as string);
  return { read: (file) => files[file], list: (directory) => [...new Set(below(directory))].sort() };
}
