/** Why a session has ended. On the wire it is the place in this list, counted from 1: append only. */
export const END_REASONS = [
  'logout',
  'lapsed',
  'idle',
  'revoked',
  'password_changed',
  'user_disabled',
  'replaced',
  'role_changed',
] as const;
export type EndReason = (typeof END_REASONS)[number];

const END_WORDS: Readonly<Record<EndReason, string>> = {
  logout: 'it was logged out',
  lapsed: 'it was not used for too long',
  idle: 'nothing was done in it',
  revoked: 'it was revoked from another place',
  password_changed: 'the password was changed',
  user_disabled: 'the account is disabled',
  replaced: 'the same device logged in again',
  role_changed: 'the account is no administrator any more',
};

/** For a person. */
export function endText(reason: EndReason): string {
  return `the session has ended: ${END_WORDS[reason]}`;
}

export function isEndReason(value: unknown): value is EndReason {
  return typeof value === 'string' && (END_REASONS as readonly string[]).includes(value);
}

export function encodeEndReason(reason: EndReason): Uint8Array {
  return Uint8Array.of(END_REASONS.indexOf(reason) + 1);
}

/** @returns `null` for one that only a newer daemon knows */
export function decodeEndReason(field: Uint8Array): EndReason | null {
  return END_REASONS[(field[0] ?? 0) - 1] ?? null;
}
