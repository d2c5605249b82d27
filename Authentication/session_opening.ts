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
};

/** As `Sessions.openSession`, of a user who has shown that they are this one. */
export async function openSession(deps: OpeningDeps, session: NewSession): Promise<StoredSession | Later | null> {
  const retryAfterMs = deps.sessionWaitMs(session.userId);
  return retryAfterMs > 0 ? { retryAfterMs } : orLater(deps.accounts.openSession({ ...session, limits: limitsOf(deps.sessionRules) }));
}
