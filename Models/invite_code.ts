import { AppError } from './errors.ts';
import type { Primitives } from './handshake.ts';

/** What an invitation code says: where to register, whom to expect there, and what proves that one was invited. */
export type Invite = {
  readonly auth: string; // HOST:PORT of the daemon
  readonly key: string; // fingerprint of its key, SHA256:…
  readonly secret: Uint8Array; // 16 random bytes
};

const PREFIX = 'dl1_';
const KEY_BYTES = 32;
const SECRET_BYTES = 16;
const CHECK_BYTES = 4;
const AUTH_BYTES_MAX = 255;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

type Hash = Pick<Primitives, 'sha256'>;

const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes)).replace(/=+$/, '');
const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** `dl1_` and, in base64url: hash of the daemon's key 32, secret 16, HOST:PORT, check sum 4. Letters, digits, `-` and `_` only. */
export function encodeInvite({ sha256 }: Hash, { auth, key, secret }: Invite): string {
  const address = encoder.encode(auth);
  const keyHash = fromBase64(key.slice(key.indexOf(':') + 1));
  if (keyHash.length !== KEY_BYTES || secret.length !== SECRET_BYTES || address.length > AUTH_BYTES_MAX) {
    throw new RangeError('the invitation does not fit its fields');
  }
  const content = Uint8Array.of(...keyHash, ...secret, ...address);
  const check = sha256(encoder.encode(PREFIX), content).subarray(0, CHECK_BYTES);
  return (
    PREFIX +
    toBase64(Uint8Array.of(...content, ...check))
      .replaceAll('+', '-')
      .replaceAll('/', '_')
  );
}

function parse(body: string): Invite {
  const bytes = fromBase64(body.slice(PREFIX.length).replaceAll('-', '+').replaceAll('_', '/'));
  return {
    auth: decoder.decode(bytes.subarray(KEY_BYTES + SECRET_BYTES, -CHECK_BYTES)),
    key: `SHA256:${toBase64(bytes.subarray(0, KEY_BYTES))}`,
    secret: bytes.slice(KEY_BYTES, KEY_BYTES + SECRET_BYTES),
  };
}

/** @throws AppError `invite_malformed`: a letter is missing or mistyped, or it is something else */
export function decodeInvite(hash: Hash, text: string): Invite {
  const body = text.trim();
  try {
    const invite = parse(body);
    if (encodeInvite(hash, invite) === body) return invite; // with its check sum, and in its one spelling
  } catch {
    // neither base64 nor UTF-8, or too short
  }
  throw new AppError('invite_malformed', 'this is no invitation code: a part of it is missing or mistyped');
}
