import { LIMITS } from '../Models/limits.ts';
import type { EndReason } from '../Models/session_ends.ts';
import { SESSION } from '../Models/ticket.ts';
import type { SessionLifetimes, SessionLimits, StoredSession } from '../Storage/sessions.ts';

/** What the administrator sets. */
export type SessionRules = {
  readonly idleMs: number | null; // of a person at a prompt; `null`: never ends for that
  readonly max: number; // of all users together
  readonly maxPerUser: number;
};
export const SESSION_RULES: SessionRules = { idleMs: 100_000, max: 100_000, maxPerUser: 1000 };

export function lifetimesOf({ idleMs }: SessionRules): SessionLifetimes {
  return { pendingMs: SESSION.unacknowledgedS * 1000, liveMs: SESSION.lifetimeS * 1000, idleMs };
}

export function limitsOf(rules: SessionRules): SessionLimits {
  return { all: rules.max, perUser: rules.maxPerUser, devices: LIMITS.devicesPerUserMax, lifetimes: lifetimesOf(rules) };
}

/**
 * Why the session is over at this time, whether that was written already or not; `null` while it is not. One that was live is over when that is written,
 * and not before: whoever comes back after a clock that was far ahead, or a daemon that stood still, is still let in.
 */
export function endOf(session: StoredSession, { pendingMs, idleMs }: SessionLifetimes, atMs: number): EndReason | null {
  if (session.state === 'ended') return session.deviceSinceMs > session.createdAtMs ? 'revoked' : (session.endReason ?? 'lapsed');
  if (session.userDisabled) return 'user_disabled';
  if (session.state === 'pending') return atMs > session.createdAtMs + pendingMs ? 'lapsed' : null;
  return session.interactive && idleMs !== null && atMs > session.lastSeenMs + idleMs ? 'idle' : null;
}
