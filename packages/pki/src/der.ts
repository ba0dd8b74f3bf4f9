/** Tags of the few types that a leaf is made of (X.680 §8.6). */
export const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** Primitive, context-specific, number 2 and 6. */
  implicit2: 0x82,
  implicit6: 0x86,
  /** Constructed, context-specific, number 0 and 3. */
  explicit0: 0xa0,
  explicit3: 0xa3,
} as const;

/** One value in DER: tag, length in its shortest form (X.690 §10.1), contents. Only writes; reading is the library's. */
export function encodeDer(tag: (typeof TAG)[keyof typeof TAG], ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  const lengthBytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) lengthBytes.unshift(rest % 256);
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 | lengthBytes.length, ...lengthBytes];
  return Buffer.concat([Buffer.from(head), ...contents], head.length + length);
}

/** A time in whole seconds: `UTCTime` until 2049, `GeneralizedTime` from then on (RFC 5280 §4.1.2.5). */
export function encodeTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '');
  const isShort = Number(digits.slice(0, 4)) < 2050;
  return encodeDer(isShort ? TAG.utcTime : TAG.generalizedTime, Buffer.from(isShort ? digits.slice(2) : digits));
}
