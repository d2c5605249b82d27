import { timingSafeEqual } from 'node:crypto';
import type { AuditKind } from '../Models/audit.ts';
import { prepareDeviceName, prepareDisplayName, prepareEmail } from '../Models/credentials.ts';
import { beforeLast, type ClientDatagram, encodeServer, headerOf } from '../Models/datagrams.ts';
import { AppError } from '../Models/errors.ts';
import { begunSessionId, changeKeys, renewalKey, replyAssociated, replyMac, requestMac, seal, unseal } from '../Models/handshake.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import { type Change, type ChangeKind, type ChangeResult, decodeChange, encodeOutcome } from '../Models/session_changes.ts';
import { encodeEndReason } from '../Models/session_ends.ts';
import type { Accounts } from '../Storage/accounts.ts';
import type { Audit } from '../Storage/audit.ts';
import type { StoredSession } from '../Storage/sessions.ts';
import type { AuthLog } from './auth_log.ts';
import type { Grants } from './grants.ts';
import { isLater, type Later } from './later.ts';
import { type OpeningDeps, openSession } from './session_opening.ts';
import { endOf, lifetimesOf } from './session_rules.ts';
import type { Incoming, Source } from './source.ts';

export type SessionDeps = OpeningDeps & {
  readonly accounts: Pick<Accounts, 'session' | 'touchSession' | 'endSession' | 'changeInSession'>;
  readonly grants: Grants;
  readonly log: AuthLog;
  readonly audit: Pick<Audit, 'record'>;
  readonly now: () => number;
};
export type SessionDatagram = ClientDatagram<'ack' | 'renew' | 'logout' | 'change' | 'begin'>;

const idOf = ({ sessionId }: SessionDatagram): string => Buffer.from(sessionId).toString('hex');

function keysOf(grants: Grants, { sessionId }: SessionDatagram): ReturnType<typeof changeKeys> {
  return changeKeys(p, { renewalSecret: grants.renewalSecret(sessionId), sessionId });
}

function textOf(grants: Grants, datagram: ClientDatagram<'change'>, bytes: Uint8Array): Uint8Array | null {
  const { request } = keysOf(grants, datagram);
  return unseal(p, { key: request, associated: beforeLast('change', bytes), sealed: datagram.sealed });
}

/** Does the sender hold the session's renewal secret? Needs no table: the secret is derived from the session's id. */
export function isProven(grants: Grants, datagram: SessionDatagram, bytes: Uint8Array): boolean {
  if (datagram.kind === 'change') return textOf(grants, datagram, bytes) !== null;
  const renewalSecret = grants.renewalSecret(datagram.sessionId);
  return timingSafeEqual(requestMac(p, { renewalSecret, before: beforeLast(datagram.kind, bytes) }), datagram.mac);
}

/** ENDED with the reason; of a session that was forgotten since, that it lapsed. */
async function over(deps: SessionDeps, datagram: SessionDatagram): Promise<Uint8Array> {
  const { transaction, sessionId } = datagram;
  const session = await deps.accounts.session(idOf(datagram));
  const end = session === null ? null : endOf(session, lifetimesOf(deps.sessionRules), deps.now());
  const reason = encodeEndReason(end ?? 'lapsed');
  const proof = { renewalSecret: deps.grants.renewalSecret(sessionId), header: headerOf('ended', transaction), sessionId, reason };
  return encodeServer('ended', transaction, { reason, mac: replyMac(p, proof) });
}

function confirmation(deps: SessionDeps, kind: 'acked' | 'loggedOut', { transaction, sessionId }: SessionDatagram): Uint8Array {
  const renewalSecret = deps.grants.renewalSecret(sessionId);
  return encodeServer(kind, transaction, { mac: replyMac(p, { renewalSecret, header: headerOf(kind, transaction), sessionId }) });
}

/** The client was heard: the session is live from now, for another 30 days, or as long as a person at a prompt may do nothing. */
function heard(deps: SessionDeps, datagram: SessionDatagram, atMs: number): Promise<StoredSession | null> {
  const lifetimes = lifetimesOf(deps.sessionRules);
  return deps.accounts.touchSession(idOf(datagram), atMs, (session) => endOf(session, lifetimes, atMs) !== null);
}

/** ACK to ACKED: the ticket arrived. */
export async function answerAck(deps: SessionDeps, datagram: SessionDatagram): Promise<Uint8Array> {
  const session = await heard(deps, datagram, deps.now());
  return session === null ? over(deps, datagram) : confirmation(deps, 'acked', datagram);
}

/** RENEW to TICKET, in one round trip: also after sleep, a changed address or a restart of the daemon. */
export async function answerRenew(deps: SessionDeps, { datagram, bytes, source }: Incoming<'renew'>): Promise<Uint8Array> {
  const { sessionId, transaction } = datagram;
  const issuedAtMs = deps.now();
  const session = await heard(deps, datagram, issuedAtMs);
  if (session === null) {
    deps.audit.record({ what: 'renewal', result: 'session_unknown', address: source.address });
    return over(deps, datagram);
  }
  const key = renewalKey(p, { renewalSecret: deps.grants.renewalSecret(sessionId), sessionId });
  return deps.grants.datagram({ session, issuedAtMs, key, transaction, request: bytes });
}

/**
 * BEGIN to TICKET: a session of its own, on the same device, for a person at a prompt. Its id comes from the datagram, so doing it again gives the same one.
 */
export async function answerBegin(deps: SessionDeps, { datagram, bytes, source }: Incoming<'begin'>): Promise<Uint8Array | Later> {
  const { sessionId, transaction } = datagram;
  const atMs = deps.now();
  const parent = await heard(deps, datagram, atMs);
  if (parent === null) return over(deps, datagram);
  const renewalSecret = deps.grants.renewalSecret(sessionId);
  const id = Buffer.from(begunSessionId(p, { renewalSecret, transaction })).toString('hex');
  const { userId, userName, deviceId } = parent;
  const wanted = { id, from: parent.id, userId, deviceId, deviceName: null, interactive: true, atMs };
  const session = await openSession(deps, wanted);
  if (session === null) return over(deps, datagram);
  if (isLater(session)) {
    deps.audit.record({ what: 'login', result: 'busy', userId, userName, deviceId, address: source.address });
    return session;
  }
  if (session.state === 'ended') return over(deps, datagram);
  const key = renewalKey(p, { renewalSecret, sessionId });
  return deps.grants.datagram({ session, issuedAtMs: session.createdAtMs, key, transaction, request: bytes });
}

/** The change with its text in the form in which it is kept. @throws AppError `name_invalid`, `request_invalid` */
function inForm(change: Change): Change {
  switch (change.kind) {
    case 'renameDevice':
      return { ...change, name: prepareDeviceName(change.name) };
    case 'setDisplayName':
      return { ...change, displayName: prepareDisplayName(change.displayName) };
    case 'setEmail':
      return { ...change, email: prepareEmail(change.email) };
    default:
      return change;
  }
}

/** What is asked for, or why it cannot be done. */
function prepared(change: Change | null): Change | ChangeResult {
  if (change === null) return 'protocol_mismatch';
  try {
    return inForm(change);
  } catch (error) {
    if (error instanceof AppError && (error.code === 'name_invalid' || error.code === 'request_invalid')) return error.code;
    throw error;
  }
}

const AUDITED: Readonly<Record<ChangeKind, AuditKind>> = {
  renameDevice: 'device_renamed',
  revokeDevice: 'device_revoked',
  endSession: 'session_ended',
  setDisplayName: 'profile_changed',
  setEmail: 'profile_changed',
};

function recordChange(
  deps: SessionDeps,
  { userId, userName, deviceId }: StoredSession,
  { change, result, source }: { change: Change; result: Exclude<ChangeResult, 'stale'>; source: Source },
): void {
  const { kind, ...asked } = change;
  deps.audit.record({
    what: AUDITED[kind],
    result: result === 'done' ? 'ok' : result,
    ...{ userId, userName, deviceId, address: source.address },
    // that a user changed what they say of themself, not what that is
    detail: AUDITED[kind] === 'profile_changed' ? kind : Object.values(asked).join(' '),
  });
}

/** CHANGE to CHANGED. Done once, however often it is said; the session has been heard of with it. @returns `null` (silence) for what no client of ours sends */
export async function answerChange(deps: SessionDeps, { datagram, bytes, source }: Incoming<'change'>): Promise<Uint8Array | null> {
  const atMs = deps.now();
  const text = textOf(deps.grants, datagram, bytes);
  const asked = text === null ? null : decodeChange(text);
  if (asked === null) return null;
  const session = await deps.accounts.session(idOf(datagram));
  if (session === null || (session.state !== 'ended' && endOf(session, lifetimesOf(deps.sessionRules), atMs) !== null))
    return over(deps, datagram);
  const { number } = asked;
  const change = prepared(asked.change);
  const transaction = Buffer.from(datagram.transaction).toString('hex');
  const request = { sessionId: session.id, transaction, number, atMs };
  const outcome = typeof change === 'string' ? { result: change, number } : await deps.accounts.changeInSession({ ...request, change });
  if (outcome === null) return over(deps, datagram);
  if (asked.change !== null && outcome.result !== 'stale')
    recordChange(deps, session, { change: asked.change, result: outcome.result, source });
  const associated = replyAssociated(p, { kind: 'changed', transaction: datagram.transaction, request: bytes });
  const sealed = seal(p, { key: keysOf(deps.grants, datagram).reply, associated, text: encodeOutcome(outcome) });
  return encodeServer('changed', datagram.transaction, { sealed });
}

/** LOGOUT to LOGGED_OUT: the session has ended, however often it is said. */
export async function answerLogout(
  deps: SessionDeps,
  { datagram, source }: { datagram: SessionDatagram; source: Source },
): Promise<Uint8Array> {
  const id = idOf(datagram);
  const session = await deps.accounts.session(id);
  // said again it costs nothing, and is no news
  if (session !== null && session.state !== 'ended') {
    await deps.accounts.endSession(id, deps.now());
    const { userId, userName, deviceId } = session;
    deps.audit.record({ what: 'logout', result: 'ok', userId, userName, deviceId, address: source.address });
    deps.log.info({ session: id }, 'logout');
  }
  return confirmation(deps, 'loggedOut', datagram);
}
