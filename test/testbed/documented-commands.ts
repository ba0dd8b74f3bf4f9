import { readFile } from 'node:fs/promises';

/**
 * The shell blocks of a section of a page in `docs`, in their order, indentation taken off: so that a test runs what a reader would
 * type. Throws if there is no such section.
 */
export async function documentedBlocks(page: string, heading: string): Promise<string[]> {
  const text = await readFile(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
  const level = /^#+/.exec(heading)?.[0].length ?? 0;
  const start = text.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`${page} has no section "${heading}"`);
  const rest = text.slice(start + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'));
  const section = end === -1 ? rest : rest.slice(0, end);
  return [...section.matchAll(/^(?<indent> *)```sh\n(?<body>[\s\S]*?)^ *```$/gm)].map(({ groups }) =>
    (groups?.['body'] ?? '').replaceAll(new RegExp(`^${groups?.['indent']}`, 'gm'), ''),
  );
}
