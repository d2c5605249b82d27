import { decodeTimeMs, encodeTimeMs } from '../Models/datagram_fields.ts';
import { type Fields, headerOf, packFields, TEXTS, unpackFields } from '../Models/datagrams.ts';
import { seal, unseal } from '../Models/handshake.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import { rotatingKeys } from './rotating_keys.ts';
import { addressBytes, type Source } from './source.ts';

const LIFETIME_MS = 60_000;

/** A half-open login. The daemon keeps none: it is sealed to itself, carried by the client, and bound to its address and transaction; not to the way it came, so that it can go on over HTTP. */
export type HalfOpenLogin = {
  readonly issuedAtMs: number;
  readonly userId: Uint8Array; // 16 zeros for the account that does not exist
  readonly counter: Uint8Array; // of guesses: where this one was counted, 16 bytes
  readonly record: Uint8Array; // SHA-256 of the record it was begun with
  readonly transcript: Uint8Array;
  readonly opaque: Uint8Array; // OPAQUE server login state, 128 bytes
};
export type SealedStates = {
  seal(login: HalfOpenLogin, transaction: Uint8Array, source: Source): Uint8Array;
  /** @returns `null` when it is older than 60 s, of an earlier daemon, another client's, or changed */
  open(sealed: Uint8Array, transaction: Uint8Array, source: Source): HalfOpenLogin | null;
};

function associated(transaction: Uint8Array, source: Source): Uint8Array {
  return Buffer.concat([headerOf('finish', transaction), addressBytes(source)]);
}

function halfOpen(fields: Fields<typeof TEXTS.state>): HalfOpenLogin {
  return { ...fields, issuedAtMs: decodeTimeMs(fields.issuedAtMs) };
}

export function createSealedStates(now: () => number): SealedStates {
  const keys = rotatingKeys({ periodMs: LIFETIME_MS, now });
  return {
    seal(login, transaction, source) {
      const { userId, counter, record, transcript, opaque } = login;
      const text = packFields(TEXTS.state, { issuedAtMs: encodeTimeMs(login.issuedAtMs), userId, counter, record, transcript, opaque });
      return seal(p, { key: keys.newest(), associated: associated(transaction, source), text });
    },
    open(sealed, transaction, source) {
      for (const key of keys.all()) {
        const text = unseal(p, { key, associated: associated(transaction, source), sealed });
        const fields = text === null ? null : unpackFields(TEXTS.state, text);
        if (fields === null) continue;
        const login = halfOpen(fields);
        return Math.abs(now() - login.issuedAtMs) <= LIFETIME_MS ? login : null;
      }
      return null;
    },
  };
}
