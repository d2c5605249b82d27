import { timingSafeEqual } from 'node:crypto';
import { beforeLast, type ClientDatagram, encodeError, encodeServer, headerOf } from '../Models/datagrams.ts';
import { renewalKey, replyMac, requestMac } from '../Models/handshake.ts';
import { SESSION } from '../Models/ticket.ts';
import type { Accounts, StoredSession } from '../Storage/accounts.ts';
import type { AuthLog } from './auth_log.ts';
import type { Grants } from './grants.ts';
import { nodePrimitives as p } from './node_primitives.ts';

export type SessionDeps = {
  readonly accounts: Pick<Accounts, 'session' | 'touchSession' | 'endSession'>;
  readonly grants: Grants;
  readonly log: AuthLog;
  readonly now: () => number;
};
export type SessionDatagram = ClientDatagram<'ack' | 'renew' | 'logout'>;

/** Does the sender hold the session's renewal secret? Needs no table: the secret is derived from the session's id. */
export function isProven(grants: Grants, { kind, sessionId, mac }: SessionDatagram, bytes: Uint8Array): boolean {
  const renewalSecret = grants.renewalSecret(sessionId);
  return timingSafeEqual(requestMac(p, { renewalSecret, before: beforeLast(kind, bytes) }), mac);
}

function isAlive(session: StoredSession | null, atMs: number): session is StoredSession {
  if (session === null || session.userDisabled || session.state === 'ended') return false;
  return session.state === 'pending'
    ? atMs - session.createdAtMs <= SESSION.unacknowledgedS * 1000
    : atMs - session.lastSeenMs <= SESSION.lifetimeS * 1000;
}

function sessionUnknown(datagram: SessionDatagram): Uint8Array {
  return encodeError(datagram.transaction, 'session_unknown');
}

function confirmation(deps: SessionDeps, kind: 'acked' | 'loggedOut', { transaction, sessionId }: SessionDatagram): Uint8Array {
  const renewalSecret = deps.grants.renewalSecret(sessionId);
  return encodeServer(kind, transaction, { mac: replyMac(p, { renewalSecret, header: headerOf(kind, transaction), sessionId }) });
}

/** The client was heard: the session is live from now, for another 30 days. */
async function heard(deps: SessionDeps, datagram: SessionDatagram, atMs: number): Promise<StoredSession | null> {
  const id = Buffer.from(datagram.sessionId).toString('hex');
  const session = await deps.accounts.session(id);
  if (!isAlive(session, atMs)) return null;
  return (await deps.accounts.touchSession(id, atMs)) ? session : null;
}

/** ACK to ACKED: the ticket arrived. */
export async function answerAck(deps: SessionDeps, datagram: SessionDatagram): Promise<Uint8Array> {
  const session = await heard(deps, datagram, deps.now());
  return session === null ? sessionUnknown(datagram) : confirmation(deps, 'acked', datagram);
}

/** RENEW to TICKET, in one round trip: also after sleep, a changed address or a restart of the daemon. */
export async function answerRenew(deps: SessionDeps, datagram: SessionDatagram, bytes: Uint8Array): Promise<Uint8Array> {
  const { sessionId, transaction } = datagram;
  const issuedAtMs = deps.now();
  const session = await heard(deps, datagram, issuedAtMs);
  if (session === null) return sessionUnknown(datagram);
  const key = renewalKey(p, { renewalSecret: deps.grants.renewalSecret(sessionId), sessionId });
  return deps.grants.datagram({ session, issuedAtMs, key, transaction, request: bytes });
}

/** LOGOUT to LOGGED_OUT: the session has ended, however often it is said. */
export async function answerLogout(deps: SessionDeps, datagram: SessionDatagram): Promise<Uint8Array> {
  const id = Buffer.from(datagram.sessionId).toString('hex');
  await deps.accounts.endSession(id, deps.now());
  deps.log.info({ session: id }, 'logout');
  return confirmation(deps, 'loggedOut', datagram);
}
