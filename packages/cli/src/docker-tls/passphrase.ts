import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';
import { AppError } from '@sealift/core';
import { readSecretFile } from '@sealift/pki';

/** Shortest passphrase for a new CA, in characters. Eight of a kind are found in an afternoon: OpenSSL stretches little. */
const MIN_LENGTH = 12;
/** Longest line that is read from a terminal, in characters. */
const MAX_LENGTH = 1024;

/** Where a passphrase comes from: a file of mode 0600, or whoever sits at the terminal. */
export interface PassphraseSource {
  readonly passphraseFile: string | undefined;
}

/**
 * The passphrase of a CA key. Asks for it on the terminal where there is one and no file is given; for a new CA twice. Throws
 * `CONFIG_INVALID` where nobody can be asked or a new one is too weak, and `KEY_FILE_UNSAFE` as {@link readSecretFile}.
 */
export async function readPassphrase(
  { passphraseFile }: PassphraseSource,
  { isNew, signal }: { isNew: boolean; signal: AbortSignal },
): Promise<string> {
  const passphrase =
    passphraseFile === undefined
      ? await ask({ isNew, signal })
      : (await readSecretFile(passphraseFile)).replace(/\r?\n$/, '');
  if (isNew && passphrase.length < MIN_LENGTH) {
    refuse(`it has fewer than ${MIN_LENGTH} characters; \`openssl rand -base64 24\` makes a good one`);
  }
  return passphrase;
}

async function ask({ isNew, signal }: { isNew: boolean; signal: AbortSignal }): Promise<string> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    refuse('there is no terminal to ask on; name a file of mode 0600 that holds it');
  }
  // Takes the echo: what is typed must not be seen.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  try {
    const passphrase = await readHidden(terminal, 'Passphrase of the CA key: ', signal);
    if (isNew && (await readHidden(terminal, 'The same again: ', signal)) !== passphrase)
      refuse('the two are not equal');
    return passphrase;
  } finally {
    terminal.close();
  }
}

async function readHidden(terminal: Interface, prompt: string, signal: AbortSignal): Promise<string> {
  process.stderr.write(prompt);
  const ended = new AbortController();
  const line = once(terminal, 'line', { signal: AbortSignal.any([signal, ended.signal]) });
  const end = (): void => ended.abort();
  terminal.once('close', end);
  try {
    const [text] = (await line) as [string];
    if (text.length > MAX_LENGTH) refuse('it is too long');
    return text;
  } catch (cause) {
    // Ctrl-C, Ctrl-D, or a signal from elsewhere.
    throw cause instanceof AppError
      ? cause
      : new AppError('CONFIG_INVALID', { reason: 'no passphrase was given' }, { cause });
  } finally {
    terminal.off('close', end);
    process.stderr.write('\n');
  }
}

function refuse(reason: string): never {
  throw new AppError('CONFIG_INVALID', { reason: `\n  --passphrase-file: ${reason}` });
}
