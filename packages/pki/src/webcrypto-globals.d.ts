// The types of @peculiar/x509 name WebCrypto as the DOM library does. Without that library and with skipLibCheck those
// names would silently be `any`, so we declare them from Node's own types.
import type { webcrypto } from 'node:crypto';

declare global {
  type BufferSource = ArrayBufferView | ArrayBuffer;
  type Algorithm = webcrypto.Algorithm;
  type AlgorithmIdentifier = webcrypto.AlgorithmIdentifier;
  type KeyUsage = webcrypto.KeyUsage;
  type EcKeyGenParams = webcrypto.EcKeyGenParams;
  type EcKeyImportParams = webcrypto.EcKeyImportParams;
  type EcdsaParams = webcrypto.EcdsaParams;
  type RsaHashedImportParams = webcrypto.RsaHashedImportParams;
  type CryptoKeyPair = webcrypto.CryptoKeyPair;
  interface CryptoKey extends webcrypto.CryptoKey {}
  interface Crypto extends webcrypto.Crypto {}
}
