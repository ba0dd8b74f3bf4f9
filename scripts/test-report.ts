import type { TestEvent } from 'node:test/reporters';

/** What `scripts/test.ts` reads of a test file's run, a JSON line each. */
export type ReportLine =
  | { readonly kind: 'started' | 'passed' | 'failed'; readonly name: string }
  | { readonly kind: 'skipped'; readonly name: string; readonly reason: string };

/** A reporter of node:test, beside the one for people. */
// biome-ignore lint/style/noDefaultExport: node:test takes a reporter from the default export only.
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    const line = lineOf(event);
    if (line !== undefined) yield `${JSON.stringify(line)}\n`;
  }
}

function lineOf(event: TestEvent): ReportLine | undefined {
  if (event.type === 'test:dequeue') return { kind: 'started', name: event.data.name };
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return undefined;
  const { name, details, skip } = event.data;
  // Suites count through their tests, but a skipped one has none.
  if (skip !== undefined && skip !== false)
    return { kind: 'skipped', name, reason: skip === true ? 'no reason' : skip };
  if (details.type === 'suite') return undefined;
  return { kind: event.type === 'test:pass' ? 'passed' : 'failed', name };
}
