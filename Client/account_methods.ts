import type { PasswordChange, Session } from './session/session.ts';

/** The account itself. Errors as of `Driftless`; what else, each says. */
export type AccountMethods = {
  /**
   * Sets another password, with proof of the current one. The user's other sessions end unless `keepOtherSessions`; this one goes on. When it throws, the current
   * password holds; only after `auth_unreachable` or `busy` it may be the new one, and the message says so: log in to see which.
   * @throws AppError `credentials_wrong` (`current`), `request_invalid` (`next` is too short or long), `too_many_requests`, `server_key_changed`, `protocol_mismatch`
   */
  changePassword(change: Pick<PasswordChange, 'current' | 'next' | 'keepOtherSessions'>): Promise<void>;
};

export function accountMethods(session: Session): AccountMethods {
  return { changePassword: (change) => session.changePassword(change) };
}
