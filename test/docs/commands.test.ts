import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const MAIN = fileURLToPath(new URL('packages/cli/src/main.ts', root));
const pages = [
  ...(await readdir(root)).filter((name) => name.endsWith('.md')),
  ...(await readdir(new URL('docs/', root))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
];

/** The help of a command, `undefined` where there is none of that name. */
const helps = new Map<string, string | undefined>();

function helpOf(command: readonly string[]): string | undefined {
  const key = command.join(' ');
  if (!helps.has(key)) {
    const { stdout, status } = spawnSync(process.execPath, [MAIN, ...command, '--help'], { encoding: 'utf8' });
    // Of a word that is no command, the help is the parent's.
    const isOwn = status === 0 && stdout.startsWith(`Usage: sealift ${key}`);
    helps.set(key, isOwn ? stdout : undefined);
  }
  return helps.get(key);
}

/** What stands in code, in the middle of a text or in a block; a line that ends in a backslash goes on. */
function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].map(([, body = '']) =>
    body.replaceAll('\\\n', ' '),
  );
  const inline = [...text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
  const lines = [...blocks.flatMap((body) => body.split('\n')), ...inline].map((line) => line.trim());
  return lines
    .map((line) => line.replace('setup RUNTIME', 'setup docker|containerd|podman'))
    .map((line) => /^(?:npm run sealift --|sealift) (?<rest>[^#&;>]*)/.exec(line)?.groups?.['rest']?.trim() ?? '')
    .filter((rest) => rest !== '');
}

/** The words before the first that is no command's name, `a|b` taken apart. */
function resolve(words: readonly string[], command: readonly string[] = []): string[][] {
  const [first, ...rest] = words;
  if (first === undefined || !/^[a-z][a-z|-]*$/.test(first)) return [[...command]];
  return first.split('|').flatMap((word) => {
    const longer = [...command, word];
    if (helpOf(longer) === undefined) return [[...command]];
    return resolve(rest, longer);
  });
}

for (const page of pages) {
  const commands = commandsOf(await readFile(new URL(page, root), 'utf8'));
  if (commands.length === 0) continue;
  test(`every command that ${page} names exists, with its options`, () => {
    for (const text of commands) {
      const words = text.split(/\s+/);
      for (const command of resolve(words)) {
        assert.ok(
          command.length > 0 || words[0]?.startsWith('-') || /^[<A-Z…]/.test(words[0] ?? ''),
          `sealift ${text}`,
        );
        const help = helpOf(command) ?? '';
        for (const [flag] of text.matchAll(/(?<=^|\s)--[a-z][a-z-]*/g)) {
          assert.ok(new RegExp(`(?:^|\\s)${flag}(?:[\\s,]|$)`, 'm').test(help), `sealift ${text}: no ${flag}`);
        }
      }
    }
  });
}
