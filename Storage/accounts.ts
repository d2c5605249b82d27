import type { Ksf } from '../Models/datagram_fields.ts';

/** All ids are 32 hex digits. Times are milliseconds since 1970 by the daemon's clock. */
export type Account = {
  readonly id: string;
  readonly name: string; // prepared by Models/credentials.ts
  readonly role: 'user' | 'admin';
  readonly disabled: boolean;
  readonly record: Buffer; // OPAQUE registration record, 192 bytes
  readonly ksf: Ksf; // what the client stretched the password with
};

export type SessionState = 'pending' | 'live' | 'ended';
/** A session with what is known of its user. */
export type StoredSession = {
  readonly id: string;
  readonly userId: string;
  readonly userName: string;
  readonly userDisabled: boolean;
  readonly role: 'user' | 'admin';
  readonly deviceId: string;
  readonly state: SessionState;
  readonly createdAtMs: number;
  readonly lastSeenMs: number;
};

export type EndedSession = { readonly sequence: number; readonly id: string; readonly endedAtMs: number };

export type UsersDevice = {
  readonly userId: string;
  readonly deviceId: string;
  readonly name: string;
  readonly signedIn: boolean; // one of its sessions has not ended
};

/** What the HTTP server may know of accounts. The daemon writes, the server only reads. */
export interface AccountsReader {
  /** By any spelling that folds to the same name; `null` also for a disabled user. */
  findUser(name: string): Promise<{ readonly id: string; readonly name: string } | null>;
  /** Names of users that exist, disabled ones too; at most 1000 ids at a time. */
  userNames(ids: readonly string[]): Promise<Map<string, string>>;
  /** All devices of these users, at most 1000 at a time. Two users can have one device id. */
  devicesOf(userIds: readonly string[]): Promise<UsersDevice[]>;
  /**
   * Sessions that ended (logout, lapse, disabled user), in the order of their numbers, each number once and never below one seen before;
   * those that no unexpired ticket can belong to are left out in time. At most 10,000: ask again behind the last one.
   */
  endedSessions(afterSequence: number): Promise<EndedSession[]>;
  close(): Promise<void>;
}

/**
 * Users, their devices and sessions, as the daemon keeps them. Every write is durable when its promise resolves.
 * All methods throw AppError `storage_unavailable`, `storage_full`, `corrupt`. Contract: Storage/testing/accounts_contract.ts.
 */
export interface Accounts extends AccountsReader {
  /** By any spelling that folds to the same name, disabled ones too. */
  findAccount(name: string): Promise<Account | null>;
  /** The same for a login: where nobody has the name it is a disabled account that stands for all of them, found with the same work. */
  accountForLogin(name: string): Promise<Account>;
  /** True once anyone has registered. */
  hasAccounts(): Promise<boolean>;
  accountById(id: string): Promise<Account | null>;
  /** @returns the account with this name: the given one, or the one that has the name already (then nothing is written) */
  addAccount(account: Account, atMs: number): Promise<Account>;
  /** Disabling ends all sessions of the user. */
  setDisabled(userId: string, disabled: boolean, atMs: number): Promise<void>;

  /** Begins a pending session and records its device; the same session once more changes nothing. @returns what is stored under this id now */
  openSession(session: { id: string; userId: string; deviceId: string; deviceName: string; atMs: number }): Promise<StoredSession>;
  session(id: string): Promise<StoredSession | null>;
  /** The client was heard: the session is live, its time starts anew. @returns false (and nothing is written) if it has ended or does not exist */
  touchSession(id: string, atMs: number): Promise<boolean>;
  /** Ending twice, or what does not exist, changes nothing. */
  endSession(id: string, atMs: number): Promise<void>;
  /** Ends pending sessions begun before `pendingBeforeMs` and live ones last seen before `idleBeforeMs`; forgets those ended before `endedBeforeMs`. @returns how many it ended */
  lapseSessions(limits: { pendingBeforeMs: number; idleBeforeMs: number; endedBeforeMs: number; atMs: number }): Promise<number>;
}
