/** A line of the audit log. */
export interface AuditEntry {
  /** In ms. */
  readonly time: number;
  readonly event: string;
  readonly fields: ReadonlyMap<string, unknown>;
}

/** Which lines are wanted; all that is given must hold. */
export interface AuditFilter {
  readonly events: readonly string[];
  /** A node that did it, or that it was done to. */
  readonly node: string | undefined;
  readonly repository: string | undefined;
  /** The first moment, in ms. */
  readonly since: number;
}

/** Reads a line; `undefined` for one that a crash has cut short, or anything else that is none of ours. */
export function parseAuditEntry(line: string): AuditEntry | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const fields = new Map(Object.entries(value));
    const [time, event] = [fields.get('time'), fields.get('event')];
    if (typeof time !== 'string' || typeof event !== 'string' || Number.isNaN(Date.parse(time))) return undefined;
    return { time: Date.parse(time), event, fields };
  } catch {
    // Expected of the last line before a power cut.
    return undefined;
  }
}

/** Whether a line is among those wanted. */
export function isWanted(
  { time, event, fields }: AuditEntry,
  { events, node, repository, since }: AuditFilter,
): boolean {
  return (
    time >= since &&
    (events.length === 0 || events.includes(event)) &&
    (node === undefined || fields.get('nodeId') === node || fields.get('reportedId') === node) &&
    (repository === undefined || fields.get('repository') === repository)
  );
}

/** The line for people: time, event, then each field. Values are shown so that none can give orders to a terminal. */
export function formatAuditEntry({ event, fields }: AuditEntry): string {
  const rest = [...fields].filter(([name]) => name !== 'time' && name !== 'event');
  const time = String(fields.get('time'));
  return [plain(time), plain(event).padEnd(20), ...rest.map(([name, value]) => `${plain(name)}=${plain(value)}`)].join(
    ' ',
  );
}

function plain(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (/^[\x21\x23-\x7e]+$/.test(text)) return text;
  return JSON.stringify(text).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
