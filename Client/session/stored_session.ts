import type { Change } from '../../Models/session_changes.ts';
import { TICKET } from '../../Models/ticket.ts';
import { type AuthAddress, parseAuthAddress, urlHost } from './auth_address.ts';
import { performChange } from './changes.ts';
import type { InSession } from './daemon_requests.ts';
import { type Exchange, openExchange } from './exchange.ts';
import { type Granted, performBegin, performHeard, performLogout, performRenewal } from './handshake.ts';
import { rememberServer, waysTo } from './known_server.ts';
import type { Profile, ProfileData, StoredLogin } from './profile.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What is kept of a TICKET. */
export function storedLogin(address: AuthAddress, { grant, clockOffsetMs }: Granted, loggedInAtMs: number): StoredLogin {
  const pins = grant.fingerprints.map((pin) => Buffer.from(pin).toString('base64'));
  return {
    auth: address.text,
    user: { id: hex(grant.userId), name: grant.userName },
    deviceId: hex(grant.deviceId),
    sessionId: hex(grant.sessionId),
    renewalSecret: Buffer.from(grant.renewalSecret).toString('base64url'),
    ticket: grant.ticket,
    ticketExpiresAtMs: (Math.floor(grant.serverTimeMs / 1000) + TICKET.lifetimeS) * 1000,
    clockOffsetMs,
    serverUrl: grant.publicUrl ?? `${pins.length > 0 ? 'https' : 'http'}://${urlHost(address.host)}:${grant.httpPort}`,
    pins,
    loggedInAtMs,
  };
}

function inSession(login: StoredLogin, { daemons }: ProfileData): InSession {
  const proof = { sessionId: Buffer.from(login.sessionId, 'hex'), renewalSecret: Buffer.from(login.renewalSecret, 'base64url') };
  return { proof, clockOffsetMs: login.clockOffsetMs, pins: daemons[login.auth] ?? null };
}

function without(data: ProfileData, sessionId: string): StoredLogin[] {
  return data.sessions.filter((one) => one.sessionId !== sessionId);
}

/** A new ticket for the session, kept in the profile unless the session was logged out meanwhile. @throws AppError as `performRenewal` */
export async function renewed(profile: Profile, login: StoredLogin, patience: { giveUpMs?: number }): Promise<StoredLogin> {
  const address = parseAuthAddress(login.auth);
  const renew = async (exchange: Exchange, session: InSession) => ({ exchange, granted: await performRenewal(exchange, session) });
  const { exchange, granted } = await inConversation(profile, login, renew, patience);
  const next = storedLogin(address, granted, login.loggedInAtMs);
  await profile.update((data) => {
    const at = data.sessions.findIndex((one) => one.sessionId === login.sessionId);
    if (at < 0) return;
    data.sessions[at] = next;
    rememberServer(data, next.auth, next.serverUrl, exchange);
  });
  return next;
}

async function inConversation<Result>(
  profile: Profile,
  login: StoredLogin,
  body: (exchange: Exchange, session: InSession) => Promise<Result>,
  patience: { giveUpMs?: number } = {},
): Promise<Result> {
  const address = parseAuthAddress(login.auth);
  const data = await profile.read();
  const session = inSession(login, data);
  const exchange = await openExchange(address, { ...waysTo(address, data, login.serverUrl), ...patience });
  try {
    return await body(exchange, session);
  } finally {
    exchange.close();
  }
}

/** Has something changed in the session. @throws AppError as `performChange` */
export function changeInSession(profile: Profile, login: StoredLogin, change: Change): Promise<void> {
  return inConversation(profile, login, (exchange, session) => performChange(exchange, session, change));
}

/** The session lives on. @throws AppError as `performHeard` */
export function keepAlive(profile: Profile, login: StoredLogin): Promise<void> {
  return inConversation(profile, login, performHeard);
}

/**
 * Another session beside this one, for a person at a prompt. It is kept nowhere.
 * @returns `idleMs`: after so long without a word it ends; `null`: it does not
 * @throws AppError as `performBegin`
 */
export async function beginAtPrompt(
  profile: Profile,
  login: StoredLogin,
  patience: { giveUpMs?: number },
): Promise<{ readonly login: StoredLogin; readonly idleMs: number | null }> {
  const granted = await inConversation(profile, login, performBegin, patience);
  const { idleS } = granted.grant;
  return { login: storedLogin(parseAuthAddress(login.auth), granted, Date.now()), idleMs: idleS === 0 ? null : idleS * 1000 };
}

/** Ends the session at the daemon, which proves it, then forgets it. @throws AppError as `performLogout` */
export async function endSession(profile: Profile, login: StoredLogin, patience: { giveUpMs?: number } = {}): Promise<void> {
  await inConversation(profile, login, performLogout, patience);
  await profile.update((data) => {
    data.sessions = without(data, login.sessionId);
  });
}
