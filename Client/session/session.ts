import { KSF_FLOOR, type Ksf } from '../../Models/datagram_fields.ts';
import { AppError } from '../../Models/errors.ts';
import type { Change } from '../../Models/session_changes.ts';
import type { FirstContact } from './daemon_pins.ts';
import { openProfile, type Profile, type StoredLogin } from './profile.ts';

/** A login on this device. Its ticket renews itself; nothing needs to be closed for the login to last. */
export type Session = {
  readonly auth: string; // HOST:PORT of the daemon
  readonly user: { readonly id: string; readonly name: string };
  readonly deviceId: string;
  readonly sessionId: string;
  readonly serverUrl: string;
  /** SHA-256 of the public keys (SPKI) that an HTTPS server may have, base64; none where certificate authorities vouch for it. As of the last ticket. */
  pins(): readonly string[];
  /** The ticket for the next request: kept while it has a minute left, else renewed, once for all who wait. @throws AppError as `refresh` */
  ticket(): Promise<string>;
  /** Renews now, as after `ticket_expired`. @throws AppError `session_unknown`, `server_key_changed`, `protocol_mismatch`, `auth_unreachable`, `busy`, `too_many_requests` */
  refresh(): Promise<string>;
  /** Has something changed by the daemon; durable when it resolves. @throws AppError `not_found`, `name_invalid`, `request_invalid`, `session_unknown`, `auth_unreachable`, `busy` */
  change(change: Change): Promise<void>;
  /** As `Driftless.changePassword`. This session goes on. */
  changePassword(change: PasswordChange): Promise<void>;
  /** Ends the session at the daemon, then forgets it here. @throws AppError `auth_unreachable`, `busy`, `server_key_changed`; then it is still there */
  logout(): Promise<void>;
  /** Of a person at a prompt: it ends when nothing is done in it for so long. `null`: not such a session, or it does not end for that. */
  readonly idleMs: number | null;
  /** Somebody is here. Told to the daemon now and then, in the background; asking for a ticket tells it too. */
  heard(): void;
  /** The last ticket, as good as it is. Asking for it is no sign of anybody. */
  lastTicket(): string;
  /** Another session beside this one, for a person at a prompt, kept in no profile. Its `close` ends it, its `logout` both. @throws AppError as `refresh`, `busy` */
  atPrompt(): Promise<Session>;
  /** Waits for a renewal that is under way. The login stays. */
  close(): Promise<void>;
};

/** `keepOtherSessions`: those on the user's other devices go on. */
export type PasswordChange = Stretching & { readonly current: string; readonly next: string; readonly keepOtherSessions?: boolean };

/** `auth`: HOST:PORT of the daemon; `home`: the folder of the profile. */
type Credentials = {
  readonly auth: string;
  readonly username: string;
  readonly password: string;
  readonly home: string;
  /** The HTTP server that carries datagrams where UDP does not get through; else what the profile knows, or port 4811 of the daemon's host. */
  readonly serverUrl?: string | undefined;
} & FirstContact;
/** For tests alone: what is accepted instead of KSF_FLOOR. */
type Stretching = { readonly insecureKsfFloor?: Ksf };
/** The address and the key in an invitation code go before any other. */
export type RegisterOptions = Omit<Credentials, 'auth'> &
  Stretching & { readonly auth?: string | undefined; readonly invite?: string | undefined };
export type LoginOptions = Credentials & Stretching & { readonly deviceName?: string };

const RENEW_BEFORE_MS = 60_000;
/** How long a request is held up for a new ticket while the old one still does. */
const EARLY_RENEWAL_MS = 3000;
/** What a renewal fails with that says nothing for certain: whoever sees datagrams pass can make it fail so. */
const UNPROVEN: ReadonlySet<string> = new Set(['auth_unreachable', 'busy', 'too_many_requests', 'server_key_changed', 'protocol_mismatch']);

/**
 * Makes an account. Does not log in.
 * @returns HOST:PORT of the daemon
 * @throws AppError `name_taken`, `name_invalid`, `request_invalid` (the password), `registration_closed`, `invite_invalid`, `invite_malformed`,
 *   `server_key_unknown`, `server_key_changed`, `auth_unreachable`, `busy`
 */
export async function register(options: RegisterOptions): Promise<string> {
  const { withPassword } = await import('./password_session.ts');
  return withPassword.register({ ...options, ksfFloor: options.insecureKsfFloor ?? KSF_FLOOR });
}

/** @throws AppError `credentials_wrong`, `name_invalid`, `server_key_unknown`, `server_key_changed`, `protocol_mismatch`, `auth_unreachable`, `busy`, `local_io` */
export async function login(options: LoginOptions): Promise<Session> {
  const { withPassword } = await import('./password_session.ts');
  const stored = await withPassword.login({ ...options, ksfFloor: options.insecureKsfFloor ?? KSF_FLOOR });
  return sessionOf(openProfile(options.home), stored);
}

/**
 * The session of an earlier login, the newest that fits. Sends nothing.
 * @throws AppError `not_logged_in`, `local_io`
 */
export async function resume(options: { home: string; auth?: string; username?: string }): Promise<Session> {
  const profile = openProfile(options.home);
  const { sessions } = await profile.read();
  const auth = options.auth === undefined ? undefined : (await import('./auth_address.ts')).parseAuthAddress(options.auth).text;
  const name = options.username === undefined ? undefined : (await import('../../Models/credentials.ts')).prepareUserName(options.username);
  const fitting = sessions.filter((one) => (auth === undefined || one.auth === auth) && (name === undefined || one.user.name === name));
  const newest = fitting.sort((one, other) => other.loggedInAtMs - one.loggedInAtMs)[0];
  if (newest === undefined) throw new AppError('not_logged_in', 'not logged in');
  return sessionOf(profile, newest);
}

function remainingMs(login: StoredLogin): number {
  return login.ticketExpiresAtMs - (Date.now() + login.clockOffsetMs);
}

/** So many times within the time that nothing may be done is it told that somebody is here. */
const HEARD_PARTS = 20;
/** How long the beginning of a session at a prompt may hold a person up, and its end. */
const BEGIN_MS = 8000;
const LEAVE_MS = 3000;
type AtPrompt = { readonly parent: Session; readonly idleMs: number | null };

function sessionOf(profile: Profile, login: StoredLogin, prompt: AtPrompt | null = null): Session {
  const idleMs = prompt?.idleMs ?? null;
  let current = login;
  let heardAtMs = performance.now();
  let renewing: Promise<string> | null = null;

  /** Another process may have renewed the ticket already. */
  async function reread(): Promise<void> {
    const { sessions } = await profile.read();
    const stored = sessions.find((one) => one.sessionId === current.sessionId);
    if (stored !== undefined && stored.ticketExpiresAtMs > current.ticketExpiresAtMs) current = stored;
  }
  async function renew(patience: { giveUpMs?: number } = {}): Promise<string> {
    const { renewed } = await import('./stored_session.ts');
    current = await renewed(profile, current, patience);
    return current.ticket;
  }
  async function renewIfNeeded(): Promise<string> {
    await reread();
    if (remainingMs(current) > RENEW_BEFORE_MS) return current.ticket;
    try {
      return await renew(remainingMs(current) > EARLY_RENEWAL_MS ? { giveUpMs: EARLY_RENEWAL_MS } : {});
    } catch (error) {
      const stillGood = remainingMs(current) > 0 && error instanceof AppError && UNPROVEN.has(error.code);
      if (stillGood) return current.ticket;
      throw error;
    }
  }
  function once(work: () => Promise<string>): Promise<string> {
    renewing ??= work().finally(() => {
      renewing = null;
    });
    return renewing;
  }

  function heard(): void {
    const nowMs = performance.now();
    if (idleMs === null || nowMs - heardAtMs < idleMs / HEARD_PARTS) return;
    heardAtMs = nowMs;
    // Whether it has ended is seen by the request that this goes with.
    void import('./stored_session.ts').then(({ keepAlive }) => keepAlive(profile, current)).catch(() => undefined);
  }
  async function end(patience: { giveUpMs?: number } = {}): Promise<void> {
    await renewing?.catch(() => undefined);
    const { endSession } = await import('./stored_session.ts');
    await endSession(profile, current, patience);
  }

  return {
    auth: login.auth,
    user: login.user,
    deviceId: login.deviceId,
    sessionId: login.sessionId,
    get serverUrl() {
      return current.serverUrl;
    },
    pins: () => current.pins ?? [],
    async ticket() {
      heard();
      return remainingMs(current) > RENEW_BEFORE_MS ? current.ticket : once(renewIfNeeded);
    },
    refresh: () => once(() => renew()),
    async change(change) {
      const { changeInSession } = await import('./stored_session.ts');
      await changeInSession(profile, current, change);
    },
    async changePassword({ current: password, next, keepOtherSessions = false, insecureKsfFloor }) {
      const { withPassword } = await import('./password_session.ts');
      const ksfFloor = insecureKsfFloor ?? KSF_FLOOR;
      const parentId = prompt === null ? null : Buffer.from(prompt.parent.sessionId, 'hex');
      const change = { current: password, next, keepOthers: keepOtherSessions, parentId, ksfFloor };
      await withPassword.changePassword(profile, login, change);
    },
    idleMs,
    heard,
    lastTicket: () => current.ticket,
    async atPrompt() {
      const { beginAtPrompt } = await import('./stored_session.ts');
      const begun = await beginAtPrompt(profile, current, { giveUpMs: BEGIN_MS });
      return sessionOf(profile, begun.login, { parent: this, idleMs: begun.idleMs });
    },
    async logout() {
      await prompt?.parent.logout();
      await end();
    },
    async close() {
      await renewing?.catch(() => undefined);
      if (prompt !== null) await end({ giveUpMs: LEAVE_MS }).catch(() => undefined); // else it ends by itself
    },
  };
}
