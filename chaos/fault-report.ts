import { type FaultRow, isClean } from './fault.ts';

/** The row of a fault that could not be played to its end, which proves nothing; its problem says what was waited for. */
export function brokenRow(fault: string, error: unknown): FaultRow {
  const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    fault,
    pulls: 0,
    failed: 0,
    digestsRight: true,
    extraRegistryBytes: 0,
    slowestSeconds: 0,
    figures: {},
    problems: [problem],
  };
}

/** A row for people. */
export function summaryOf(row: FaultRow): string {
  const { fault, pulls, failed, extraRegistryBytes, slowestSeconds, figures, problems } = row;
  const more = Object.entries(figures).map(([name, value]) => `, ${name} ${value}`);
  const line = `${isClean(row) ? 'ok  ' : 'FAIL'} ${fault}: ${pulls} pulls, ${failed} failed, slowest ${slowestSeconds} s, ${extraRegistryBytes} extra bytes${more.join('')}`;
  return [line, ...problems.map((problem) => `       ${problem}`)].join('\n');
}
