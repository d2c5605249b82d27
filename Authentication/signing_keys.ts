import type { KeyObject } from 'node:crypto';
import { TICKET } from '../Models/ticket.ts';

/** An Ed25519 key that signs tickets from a moment on, until the next one does. */
export type SigningKey = {
  readonly id: string; // the ticket's `kid`
  readonly key: KeyObject;
  readonly signsFromMs: number; // milliseconds since 1970
};

const SECOND_MS = 1000;
const CLOCK_SKEW_MS = 5 * 60 * SECOND_MS;

export const ROTATION = {
  /** A new key is published for so long before it signs: the server reads the published ones each second. */
  aheadMs: 60 * SECOND_MS,
  /** The one before it stays published for so long after its last ticket was issued: none of them can be good any more. */
  overlapMs: (TICKET.lifetimeS + TICKET.leewayS) * SECOND_MS + CLOCK_SKEW_MS,
  /** Then the daemon makes a new one by itself. */
  everyMs: 90 * 24 * 3600 * SECOND_MS,
} as const;

/**
 * All that is known of a key is when it begins to sign, so all else follows from the list and the time.
 * @param keys by `signsFromMs`, at least one
 * @returns the one that signs what is issued at this time; the same for as long as such a ticket is good. The oldest for a clock that was set far back
 */
export function signingKeyAt(keys: readonly SigningKey[], issuedAtMs: number): SigningKey {
  const key = keys.findLast(({ signsFromMs }) => signsFromMs <= issuedAtMs) ?? keys[0];
  if (key === undefined) throw new RangeError('there is no signing key');
  return key;
}

/** Those that a ticket that is still good may be signed with, and those that will sign. */
export function publishedKeysAt(keys: readonly SigningKey[], atMs: number): readonly SigningKey[] {
  return keys.filter((_, at) => {
    const next = keys[at + 1];
    return next === undefined || atMs < next.signsFromMs + ROTATION.overlapMs;
  });
}

/** What a key does at a time, for people. */
export function stateOfKey(keys: readonly SigningKey[], key: SigningKey, atMs: number): 'signs' | 'will sign' | 'checks' {
  if (signingKeyAt(keys, atMs).id === key.id) return 'signs';
  return key.signsFromMs > atMs ? 'will sign' : 'checks';
}

/** A key of the future, made while the clock was wrong, is no reason to wait for it. */
export function isRotationDue(keys: readonly SigningKey[], atMs: number): boolean {
  return !keys.some(({ signsFromMs }) => signsFromMs > atMs - ROTATION.everyMs && signsFromMs <= atMs + ROTATION.aheadMs);
}

/** Whether there is a key that will sign within the next minute. */
export function isRotating(keys: readonly SigningKey[], atMs: number): boolean {
  return keys.some(({ signsFromMs }) => signsFromMs > atMs && signsFromMs <= atMs + ROTATION.aheadMs);
}

export function inOrder(keys: readonly SigningKey[]): readonly SigningKey[] {
  return keys.toSorted((a, b) => a.signsFromMs - b.signsFromMs);
}
