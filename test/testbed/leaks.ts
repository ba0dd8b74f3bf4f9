import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** A secret where it must not be: which one is told by its number in the list, never by its text. */
export interface Leak {
  readonly where: string;
  readonly what: string;
}

/** Shorter texts are no secrets, but would be found everywhere. */
const MIN_SECRET_LENGTH = 16;
/** The start of any JWT, and of any PEM private key, whoever made it. */
const SHAPES = ['eyJhbGciOi', 'eyJ0eXAiOi', 'PRIVATE KEY-----'];

/** All forms in which a secret may turn up: as it is, its signature alone, its Basic form, percent-encoded. */
export function formsOf(secrets: readonly string[], userNames: readonly string[] = []): string[] {
  const forms = secrets.flatMap((secret) => {
    const basic = userNames.map((name) => Buffer.from(`${name}:${secret}`).toString('base64'));
    const signature = secret.split('.')[2] ?? '';
    return [secret, signature, encodeURIComponent(secret), Buffer.from(secret).toString('base64'), ...basic];
  });
  return [...new Set(forms)].filter((form) => form.length >= MIN_SECRET_LENGTH);
}

/** Looks for secrets in each file below a directory. */
export async function findInDirectory(directory: string, needles: readonly string[]): Promise<Leak[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const leaks: Leak[] = [];
  for (const entry of entries) {
    if (entry.isFile()) leaks.push(...(await findInFile(path.join(entry.parentPath, entry.name), needles)));
  }
  return leaks;
}

/** Looks for secrets in a log, and for whatever has the shape of one. */
export async function findInLog(file: string, needles: readonly string[]): Promise<Leak[]> {
  return await findInFile(file, [...needles, ...SHAPES]);
}

/** Looks for secrets in what every user of a machine can see of a process, and in its environment. */
export async function findInProcess(pid: number, needles: readonly string[]): Promise<Leak[]> {
  const texts = await Promise.all(['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`)));
  return texts.flatMap((text) => findInBytes(text, needles, `arguments or environment of process ${pid}`));
}

async function findInFile(file: string, needles: readonly string[]): Promise<Leak[]> {
  const longest = Math.max(0, ...needles.map((needle) => needle.length));
  const found: Leak[] = [];
  let tail = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    const bytes = Buffer.concat([tail, chunk]);
    found.push(...findInBytes(bytes, needles, file));
    // A secret may lie across two chunks.
    tail = bytes.subarray(Math.max(0, bytes.length - longest));
  }
  return found;
}

function findInBytes(bytes: Buffer, needles: readonly string[], where: string): Leak[] {
  return needles
    .map((needle, index) => ({ where, what: SHAPES.includes(needle) ? needle : `secret ${index}`, needle }))
    .filter(({ needle }) => bytes.includes(needle, 0, 'latin1'))
    .map(({ what }) => ({ where, what }));
}
