import type { Ksf } from '../Models/datagram_fields.ts';
import type { Account } from './account.ts';

/** A user as an administrator sees them. Times are milliseconds since 1970. */
export type ListedUser = Pick<Account, 'id' | 'name' | 'role'> & {
  readonly state: 'active' | 'disabled' | 'deleted';
  readonly createdAtMs: number;
  readonly sessions: number; // that have not ended
  readonly lastSeenMs: number | null; // of those that are still known
};
export type NewPassword = { readonly record: Buffer; readonly ksf: Ksf };

/** What only an administrator does with accounts. Contract: Storage/testing/user_admin_contract.ts. Errors as of Accounts. */
export interface UserAdmin {
  /** All there ever were, by name as it folds. @param after a user's name, or ''; at most 1000 behind it */
  users(after: string): Promise<ListedUser[]>;
  /** By any spelling that folds to the same name; disabled and deleted ones too. */
  user(name: string): Promise<ListedUser | null>;
  /** Ends all sessions when the role is taken away: their tickets still say it. @returns how many */
  setRole(userId: string, role: Account['role'], atMs: number): Promise<number>;
  /** Ends all sessions. Of a deleted user nothing is written. @returns how many */
  resetPassword(userId: string, password: NewPassword, atMs: number): Promise<number>;
  /** The record goes and all sessions end; name and id stay taken, because files belong to the id. @returns how many */
  deleteUser(userId: string, atMs: number): Promise<number>;
  /** A deleted user is back, with another password, as a plain user. Of one who is there nothing is written. */
  restoreUser(userId: string, password: NewPassword): Promise<void>;
}
