import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import type { Primitives } from './handshake.ts';

const TAG_BYTES = 16;

/** What the handshake needs of cryptography, where Node runs it; a browser would bring its own. */
export const nodePrimitives: Primitives = {
  sha256(...parts) {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return hash.digest();
  },
  hmac(key, ...parts) {
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  },
  hkdf: ({ secret, salt, info, bytes }) => new Uint8Array(hkdfSync('sha256', secret, salt, info, bytes)),
  encrypt({ key, nonce, associated, text }) {
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(associated);
    return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
  },
  decrypt({ key, nonce, associated, text }) {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(associated);
    decipher.setAuthTag(text.subarray(text.length - TAG_BYTES));
    const plain = decipher.update(text.subarray(0, text.length - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      return null; // the tag does not match
    }
    return plain;
  },
};

/** @param publicKey raw, from the network. @returns the 32 shared bytes, or `null` for a point that gives no secret */
export function sharedSecret(privateKey: KeyObject, publicKey: Uint8Array): Uint8Array | null {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'raw-public', asymmetricKeyType: 'x25519' });
    return diffieHellman({ privateKey, publicKey: key });
  } catch {
    return null; // a point of small order
  }
}
