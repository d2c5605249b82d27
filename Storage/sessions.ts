import type { Change, ChangeOutcome } from '../Models/session_changes.ts';
import type { EndReason } from '../Models/session_ends.ts';

/** Ids are 32 hex digits. Times are milliseconds since 1970 by the daemon's clock. */
export type SessionState = 'pending' | 'live' | 'ended';
/** A session with what is known of its user. */
export type StoredSession = {
  readonly id: string;
  readonly userId: string;
  readonly userName: string;
  readonly userDisabled: boolean;
  readonly role: 'user' | 'admin';
  readonly deviceId: string;
  readonly deviceSinceMs: number; // as of `Accounts.accountForLogin`; later than `createdAtMs` if the device was revoked since
  readonly interactive: boolean; // of a person at a prompt
  readonly state: SessionState;
  readonly endReason: EndReason | null; // of one that has ended
  readonly createdAtMs: number;
  readonly lastSeenMs: number;
};

export type EndedSession = {
  readonly sequence: number;
  readonly id: string;
  readonly endedAtMs: number;
  readonly reason: EndReason;
  readonly deviceRevoked: boolean; // it was revoked, and so was its device, then or since
  readonly userId: string;
  readonly deviceId: string;
};

export type UsersDevice = {
  readonly userId: string;
  readonly deviceId: string;
  readonly name: string;
  readonly signedIn: boolean; // one of its sessions has not ended
};
export type ListedDevice = UsersDevice & {
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  readonly revokedAtMs: number; // the last time; 0: never
};
export type ListedSession = Pick<StoredSession, 'id' | 'deviceId' | 'interactive' | 'createdAtMs' | 'lastSeenMs'> & {
  readonly deviceName: string;
};

/** What the HTTP server may know of sessions and devices. */
export interface SessionsReader {
  /** Those of these devices that there are, at most `LIMITS.devicesAskedMax` at a time. Two users can have one device id. */
  devices(which: readonly Pick<UsersDevice, 'userId' | 'deviceId'>[]): Promise<UsersDevice[]>;
  /** The user's devices, the one seen last first, at most `LIMITS.devicesListedMax`. */
  listDevices(userId: string): Promise<ListedDevice[]>;
  /** The user's sessions that have not ended, the one seen last first, at most `LIMITS.sessionsListedMax`. */
  listSessions(userId: string): Promise<ListedSession[]>;
  /** Why it has ended; `lapsed` for one that is not known, or not any more; `null` while it goes on. */
  endOfSession(id: string): Promise<EndReason | null>;
  /**
   * Sessions that ended, in the order of their numbers, each number once and never below one seen before;
   * those that no unexpired ticket can belong to are left out in time. At most 10,000: ask again behind the last one.
   */
  endedSessions(afterSequence: number): Promise<EndedSession[]>;
}

export type NewSession = {
  readonly id: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly deviceName: string | null; // `null`: as it was told before
  readonly interactive?: boolean;
  readonly limits?: SessionLimits; // none if not given
  readonly provenDigest?: Uint8Array; // SHA-256 of the record that the password was proved with
  readonly from?: string; // another session, without which there shall be none
  readonly atMs: number;
};
/** How long a session lasts of which nothing is heard. */
export type SessionLifetimes = {
  readonly pendingMs: number; // from its beginning, until it is acknowledged
  readonly liveMs: number;
  readonly idleMs: number | null; // of a person at a prompt; `null`: as long as others
};
/** `all`, `perUser`: sessions that have not ended. `devices`: of a user. */
export type SessionLimits = {
  readonly all: number;
  readonly perUser: number;
  readonly devices: number;
  readonly lifetimes: SessionLifetimes;
};
export type ChangeRequest = {
  readonly sessionId: string;
  readonly transaction: string; // 32 hex digits
  readonly number: number;
  readonly change: Change;
  readonly atMs: number;
};

/** Sessions as the daemon keeps them. Every write is durable when its promise resolves. Contract: Storage/testing/sessions_contract.ts. */
export interface Sessions extends SessionsReader {
  /**
   * Begins a pending session and records its device; the same session once more changes nothing. Where there is no place for one more, the session of the
   * same device and kind that was heard of longest ago gives up its own. Above its limit of devices of the user, that one is forgotten that was seen
   * longest ago and of which no session is known any more.
   * @returns what is stored under this id now; `null`, and nothing is written, if the user has another record than the proven one, or the session it is from has ended
   * @throws AppError `busy` with the time until a place may become free; then nothing was written
   */
  openSession(session: NewSession): Promise<StoredSession | null>;
  session(id: string): Promise<StoredSession | null>;
  /**
   * The client was heard: the session is live, its time starts anew.
   * @param isOver whether it is, though that was not written yet
   * @returns the session as it was before; `null` (and nothing is written) if it is over or does not exist
   */
  touchSession(id: string, atMs: number, isOver?: (session: StoredSession) => boolean): Promise<StoredSession | null>;
  /** Ending twice, or what does not exist, changes nothing. @param reason `logout` if not given */
  endSession(id: string, atMs: number, reason?: EndReason): Promise<void>;
  /** All of a user's but one. @returns how many it ended */
  endSessionsOf(userId: string, options: { reason: EndReason; except: string | null; atMs: number }): Promise<number>;
  /**
   * Does what was asked for, if its number is above that of every change before it in the session, and is heard with it. The last one once more (the same
   * number and transaction) does nothing and gives what it gave, whatever became of the session since.
   * @returns `null` if the session has ended or does not exist
   */
  changeInSession(request: ChangeRequest): Promise<ChangeOutcome | null>;
  /**
   * Ends what is over, and forgets what ended before `endedBeforeMs`.
   * @param options.liveShare of all sessions that have not ended; no more than that, and one, of those end that were live and not heard of for `liveMs`: the ones
   *   heard of longest ago. 0: none at all
   * @returns how many it ended
   */
  lapseSessions(options: { lifetimes: SessionLifetimes; liveShare: number; endedBeforeMs: number; atMs: number }): Promise<number>;
}
