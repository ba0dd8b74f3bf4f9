import path from 'node:path';
import type { ConfigTree } from './runtime-plan.ts';

/** A configuration that is nowhere but here: texts by path, for all to read but for `privateFiles`. */
export function memoryTree(
  files: Readonly<Record<string, string>>,
  { privateFiles = [] }: { privateFiles?: readonly string[] } = {},
): ConfigTree {
  const below = (directory: string): string[] =>
    Object.keys(files)
      .filter((file) => file.startsWith(`${directory}/`))
      .map((file) => path.relative(directory, file).split('/')[0] as string);
  return {
    read: (file) => files[file],
    list: (directory) => [...new Set(below(directory))].sort(),
    isPrivate: (file) => privateFiles.includes(file),
  };
}
