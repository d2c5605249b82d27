import type { Ksf } from '../Models/datagram_fields.ts';
import type { Account } from './account.ts';
import type { Guesses } from './guesses.ts';
import type { InviteCodes, InvitedReader } from './invite_codes.ts';
import type { Passwords } from './passwords.ts';
import type { ProfilesReader } from './profiles.ts';
import type { Sessions, SessionsReader } from './sessions.ts';
import type { UserAdmin } from './user_admin.ts';

/** What the HTTP server may know of accounts. The daemon writes, the server only reads. */
export interface AccountsReader extends SessionsReader, InvitedReader, ProfilesReader {
  /** By any spelling that folds to the same name; `null` also for a disabled user. */
  findUser(name: string): Promise<{ readonly id: string; readonly name: string } | null>;
  /** Names of users that exist, disabled ones too; at most 1000 ids at a time. */
  userNames(ids: readonly string[]): Promise<Map<string, string>>;
  close(): Promise<void>;
}

/**
 * Users, their devices and sessions, as the daemon keeps them. Every write is durable when its promise resolves.
 * All methods throw AppError `storage_unavailable`, `storage_full`, `corrupt`. Contract: Storage/testing/accounts_contract.ts.
 */
export interface Accounts extends AccountsReader, InviteCodes, Passwords, Sessions, UserAdmin {
  /** By any spelling that folds to the same name, disabled ones too. */
  findAccount(name: string): Promise<Account | null>;
  /**
   * The same for a login, with the device that it may be from: where nobody has the name it is a disabled account that stands for all of them, found with
   * the same work. `deviceSinceMs`: when the device was first seen, or revoked the last time: what it was given before to prove itself with is worth nothing;
   * `null`: the user has no such device.
   */
  accountForLogin(name: string, deviceId: string): Promise<{ readonly account: Account; readonly deviceSinceMs: number | null }>;
  /** True once anyone has registered. */
  hasAccounts(): Promise<boolean>;
  accountById(id: string): Promise<Account | null>;
  /** By which stretching how many users have their passwords, the cheapest first; without those who were deleted. */
  ksfShares(): Promise<{ readonly ksf: Ksf; readonly users: number }[]>;
  /** @returns the account with this name: the given one, or the one that has the name already (then nothing is written) */
  addAccount(account: Account, atMs: number): Promise<Account>;
  readonly guesses: Guesses;
  /** Disabling ends all sessions of the user; a deleted one stays disabled. */
  setDisabled(userId: string, disabled: boolean, atMs: number): Promise<void>;
}
