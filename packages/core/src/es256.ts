import { type KeyObject, sign, verify } from 'node:crypto';

/** Bytes of an ES256 signature: r and s, 32 bytes each (IEEE P1363; RFC 7518 §3.4). */
export const ES256_LENGTH = 64;

/** Bytes of one of the two numbers of a P-256 signature. */
const NUMBER_LENGTH = ES256_LENGTH / 2;
/** Tags of DER (X.690 §8.3, §8.9). */
const INTEGER = 0x02;
const SEQUENCE = 0x30;

/**
 * Signs with ES256, `privateKey` being of P-256: {@link ES256_LENGTH} bytes.
 *
 * We turn the signature out of DER ourselves, though `sign` can do it: it would need its key within options, and tells such
 * an object from a key by errors that it throws and catches, at a tenth of what a join costs.
 */
export function signEs256(bytes: Uint8Array, privateKey: KeyObject): Buffer {
  return sideBySide(sign('sha256', bytes, privateKey));
}

/** Whether `signature` is that of the owner of `publicKey`, of P-256, under `bytes`. Throws nothing, whatever its length. */
export function verifyEs256(bytes: Uint8Array, publicKey: KeyObject, signature: Uint8Array): boolean {
  return signature.length === ES256_LENGTH && verify('sha256', bytes, publicKey, inSequence(signature));
}

/** The two numbers of a P-256 signature in DER (RFC 3279 §2.2.3), 32 bytes each (RFC 7518 §3.4). */
function sideBySide(der: Buffer): Buffer {
  const numbers = Buffer.alloc(ES256_LENGTH);
  // All lengths are below 128, so each is one byte, after that of the type.
  let at = 2;
  for (const end of [NUMBER_LENGTH, ES256_LENGTH]) {
    const length = der.readUInt8(at + 1);
    at += 2 + length;
    // One byte longer if the first bit is set, since the numbers of DER have a sign, and shorter if it begins with zeros.
    const number = der.subarray(at - Math.min(length, NUMBER_LENGTH), at);
    numbers.set(number, end - number.length);
  }
  return numbers;
}

/** The way back: two numbers of 32 bytes each in DER, each as short as it can be and with a first bit of zero. */
function inSequence(numbers: Uint8Array): Buffer {
  const der = [SEQUENCE, 0];
  for (const start of [0, NUMBER_LENGTH]) {
    let first = start;
    while (first < start + NUMBER_LENGTH - 1 && numbers[first] === 0) first += 1;
    const hasSign = (numbers[first] ?? 0) >= 0x80;
    der.push(INTEGER, start + NUMBER_LENGTH - first + (hasSign ? 1 : 0));
    if (hasSign) der.push(0);
    der.push(...numbers.subarray(first, start + NUMBER_LENGTH));
  }
  der[1] = der.length - 2;
  return Buffer.from(der);
}
