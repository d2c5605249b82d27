import type { Accounts } from '../Storage/accounts.ts';
import type { NewSession, StoredSession } from '../Storage/sessions.ts';
import { type Later, orLater } from './later.ts';
import type { RateLimit } from './rate_limit.ts';
import { limitsOf, type SessionRules } from './session_rules.ts';

export type OpeningDeps = {
  readonly accounts: Pick<Accounts, 'openSession'>;
  readonly sessionRules: SessionRules;
  /** By user: sessions that ended are kept for a day, so nobody may begin one after another for ever. */
  readonly sessionWaitMs: RateLimit;
  /** By user, of sessions that are begun from another one. */
  readonly promptWaitMs: RateLimit;
};

/** As `Sessions.openSession`, of a user who has shown that they are this one. */
export async function openSession(deps: OpeningDeps, session: NewSession): Promise<StoredSession | Later | null> {
  // Who has stolen a session has no password, and must leave its owner what it takes to log in and end it.
  const isBegun = session.from !== undefined;
  const retryAfterMs = (isBegun ? deps.promptWaitMs : deps.sessionWaitMs)(session.userId);
  if (retryAfterMs > 0) return { retryAfterMs };
  const { perUser, ...limits } = limitsOf(deps.sessionRules);
  const places = isBegun ? perUser - Math.floor(perUser / 4) : perUser;
  return orLater(deps.accounts.openSession({ ...session, limits: { ...limits, perUser: places } }));
}
