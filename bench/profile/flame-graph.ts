import type { CallTree } from './call-tree.ts';

const WIDTH = 1400;
const ROW_HEIGHT = 17;
const HEAD_HEIGHT = 34;
/** Average width of a character at the font size below, in pixels. */
const CHARACTER_WIDTH = 6.2;
/** Narrower frames are left out: nobody can see them, and they would be most of the file. */
const MIN_WIDTH = 0.7;

interface Box {
  readonly name: string;
  readonly x: number;
  readonly width: number;
  readonly depth: number;
  readonly micros: number;
}

/**
 * Draws a call tree as a flame graph: the width of a box is the time in a function and below, callees stand on their
 * callers. The full name and the time of a box show under the pointer. Needs no script to be looked at.
 */
export function formatFlameGraph(tree: CallTree, { title }: { title: string }): string {
  const boxes: Box[] = [];
  place(tree, { x: 0, depth: 0, scale: WIDTH / Math.max(1, tree.totalMicros) }, boxes);
  const rows = Math.max(...boxes.map(({ depth }) => depth)) + 1;
  const height = HEAD_HEIGHT + rows * ROW_HEIGHT + 4;
  const body = boxes.map((box) => formatBox(box, tree.totalMicros, height)).join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="monospace" font-size="10">
<title>${escapeXml(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="8" y="21" font-size="14">${escapeXml(title)}</text>
${body}
</svg>
`;
}

function place(tree: CallTree, { x, depth, scale }: { x: number; depth: number; scale: number }, boxes: Box[]): void {
  const width = tree.totalMicros * scale;
  if (width < MIN_WIDTH) return;
  boxes.push({ name: tree.name, x, width, depth, micros: tree.totalMicros });
  let next = x;
  for (const callee of [...tree.callees.values()].sort((a, b) => b.totalMicros - a.totalMicros)) {
    place(callee, { x: next, depth: depth + 1, scale }, boxes);
    next += callee.totalMicros * scale;
  }
}

function formatBox({ name, x, width, depth, micros }: Box, total: number, height: number): string {
  const y = height - (depth + 1) * ROW_HEIGHT - 2;
  const percent = ((100 * micros) / Math.max(1, total)).toFixed(1);
  const title = `${name}: ${(micros / 1000).toFixed(0)} ms, ${percent} %`;
  const box = `<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.5, width - 0.5).toFixed(1)}" height="${ROW_HEIGHT - 1}" fill="${colorOf(name)}"/>`;
  const room = Math.floor((width - 4) / CHARACTER_WIDTH);
  const label =
    room < 3 ? '' : `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escapeXml(name.slice(0, room))}</text>`;
  return `<g><title>${escapeXml(title)}</title>${box}${label}</g>`;
}

/** Our own code in warm colours, Node's in green, what is no JavaScript in grey. */
function colorOf(name: string): string {
  if (name.includes(' packages/')) return '#f4a259';
  if (name.includes(' node:')) return '#9bc995';
  return name.startsWith('(') ? '#c9c9c9' : '#d6c8e0';
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
