import { DATAGRAM, headerOf, type ServerKind } from './datagrams.ts';

/** The few operations that the platform gives (node:crypto here); all of them synchronous and constant in time where a secret is compared. */
export type Primitives = {
  sha256(...parts: readonly Uint8Array[]): Uint8Array;
  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array; // SHA-256
  hkdf(input: { secret: Uint8Array; salt: Uint8Array; info: string; bytes: number }): Uint8Array; // SHA-256
  /** AES-256-GCM, the tag after the text. */
  encrypt(input: { key: Uint8Array; nonce: Uint8Array; associated: Uint8Array; text: Uint8Array }): Uint8Array;
  decrypt(input: { key: Uint8Array; nonce: Uint8Array; associated: Uint8Array; text: Uint8Array }): Uint8Array | null;
};

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const encoder = new TextEncoder();
const label = (text: string): Uint8Array => encoder.encode(`driftless ${text} 1\0`);
const LABELS = {
  nonce: label('nonce'),
  transcript: label('transcript'),
  request: label('session request'),
  reply: label('session reply'),
} as const;

/**
 * Nonce, text, tag. The nonce is computed from everything that is sealed, so equal input gives equal bytes (a reply that is made again
 * is the same reply) and two texts never share a nonce under one key.
 */
export function seal(p: Primitives, input: { key: Uint8Array; associated: Uint8Array; text: Uint8Array }): Uint8Array {
  const { key, associated, text } = input;
  const lengths = new Uint8Array(4);
  new DataView(lengths.buffer).setUint32(0, associated.length);
  const nonce = p.hmac(key, LABELS.nonce, lengths, associated, text).subarray(0, NONCE_BYTES);
  const encrypted = p.encrypt({ key, nonce, associated, text });
  const bytes = new Uint8Array(NONCE_BYTES + encrypted.length);
  bytes.set(nonce);
  bytes.set(encrypted, NONCE_BYTES);
  return bytes;
}

/** @returns the text, or `null` if it was sealed under another key, for other associated data, or changed */
export function unseal(p: Primitives, input: { key: Uint8Array; associated: Uint8Array; sealed: Uint8Array }): Uint8Array | null {
  const { key, associated, sealed } = input;
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return null;
  return p.decrypt({ key, nonce: sealed.subarray(0, NONCE_BYTES), associated, text: sealed.subarray(NONCE_BYTES) });
}

/** How a public key is shown to people, as OpenSSH does it. */
export function fingerprint(p: Primitives, key: Uint8Array): string {
  return `SHA256:${btoa(String.fromCharCode(...p.sha256(key))).replace(/=+$/, '')}`;
}

/** Keys of a request sealed to the daemon's X25519 key, and of its reply. @param shared the X25519 secret */
export function boxKeys(
  p: Primitives,
  input: { shared: Uint8Array; ephemeral: Uint8Array; daemonKey: Uint8Array },
): { request: Uint8Array; reply: Uint8Array } {
  const salt = p.sha256(input.ephemeral, input.daemonKey);
  const keys = p.hkdf({ secret: input.shared, salt, info: 'driftless box 1', bytes: 64 });
  return { request: keys.subarray(0, 32), reply: keys.subarray(32) };
}

/** Everything both sides saw of a login before FINISH: a changed bit gives other keys. */
export function transcriptOf(p: Primitives, input: { hello: Uint8Array; ke2: Uint8Array; ksf: Uint8Array }): Uint8Array {
  return p.sha256(LABELS.transcript, input.hello, input.ke2, input.ksf);
}

export type LoginKeys = { readonly finish: Uint8Array; readonly ticket: Uint8Array; readonly sessionId: Uint8Array };

/** @param sessionKey OPAQUE's, 64 bytes. The session's id comes from the handshake too, so a repeated FINISH cannot make a second session. `finish` and `ticket` seal whatever follows the CHALLENGE and its answer, each bound to its kind. */
export function loginKeys(p: Primitives, input: { sessionKey: Uint8Array; transcript: Uint8Array }): LoginKeys {
  const keys = p.hkdf({ secret: input.sessionKey, salt: input.transcript, info: 'driftless login 1', bytes: 80 });
  return { finish: keys.subarray(0, 32), ticket: keys.subarray(32, 64), sessionId: keys.subarray(64) };
}

/** Key that seals the TICKET answering a RENEW or BEGIN. */
export function renewalKey(p: Primitives, input: { renewalSecret: Uint8Array; sessionId: Uint8Array }): Uint8Array {
  return p.hkdf({ secret: input.renewalSecret, salt: input.sessionId, info: 'driftless renewal 1', bytes: 32 });
}

/** Id of the session that a BEGIN makes: the same one however often it is said. */
export function begunSessionId(p: Primitives, input: { renewalSecret: Uint8Array; transaction: Uint8Array }): Uint8Array {
  return p.hkdf({ secret: input.renewalSecret, salt: input.transaction, info: 'driftless begin 1', bytes: 16 });
}

/** Keys of a CHANGE and of its reply. */
export function changeKeys(
  p: Primitives,
  input: { renewalSecret: Uint8Array; sessionId: Uint8Array },
): { request: Uint8Array; reply: Uint8Array } {
  const keys = p.hkdf({ secret: input.renewalSecret, salt: input.sessionId, info: 'driftless change 1', bytes: 64 });
  return { request: keys.subarray(0, 32), reply: keys.subarray(32) };
}

/** Proof in ACK, RENEW, LOGOUT and BEGIN. @param input.before everything before the proof in its datagram */
export function requestMac(p: Primitives, input: { renewalSecret: Uint8Array; before: Uint8Array }): Uint8Array {
  return p.hmac(input.renewalSecret, LABELS.request, input.before);
}

/** Proof in ACKED, LOGGED_OUT and ENDED. @param input.reason of ENDED */
export function replyMac(
  p: Primitives,
  input: { renewalSecret: Uint8Array; header: Uint8Array; sessionId: Uint8Array; reason?: Uint8Array },
): Uint8Array {
  return p.hmac(input.renewalSecret, LABELS.reply, input.header, input.sessionId, input.reason ?? new Uint8Array(0));
}

/** What every sealed reply is bound to: its own header and the whole request. */
export function replyAssociated(p: Primitives, input: { kind: ServerKind; transaction: Uint8Array; request: Uint8Array }): Uint8Array {
  const bytes = new Uint8Array(DATAGRAM.headerBytes + 32);
  bytes.set(headerOf(input.kind, input.transaction));
  bytes.set(p.sha256(input.request), DATAGRAM.headerBytes);
  return bytes;
}
