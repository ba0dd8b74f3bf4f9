/** Control characters, marks that change the direction of text, and what is no character at all. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** `text` such that it cannot give orders to a terminal, in one line: for what strangers have written. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
