import { decodeTimeMs, encodeUint32, type Ksf } from '../Models/datagram_fields.ts';
import { type ClientDatagram, encodeError, encodeServer, parseClient } from '../Models/datagrams.ts';
import { assertNever } from '../Models/errors.ts';
import { SESSION, TICKET } from '../Models/ticket.ts';
import type { Accounts } from '../Storage/accounts.ts';
import type { AuthLog } from './auth_log.ts';
import { createCookies } from './cookies.ts';
import { createGrants, type ServerPlace } from './grants.ts';
import { answerFinish, answerHello } from './login.ts';
import { createRateLimit, type Rate } from './rate_limit.ts';
import { answerEnrol, answerRegister } from './registration.ts';
import { createReplies } from './reply_cache.ts';
import { createSealedStates } from './sealed_state.ts';
import type { Secrets } from './secrets.ts';
import { answerAck, answerLogout, answerRenew, isProven, type SessionDatagram } from './sessions.ts';
import type { Source } from './source.ts';
import { createWorkQueue } from './work_queue.ts';

export type AuthDaemonDeps = {
  readonly accounts: Accounts;
  readonly secrets: Secrets;
  readonly place: ServerPlace;
  readonly ksf: Ksf; // for new accounts
  readonly rate: Rate; // new datagrams of one kind from one source
  readonly queueMax: number; // requests being worked on
  readonly repliesMax: number; // replies kept for repeats
  readonly log: AuthLog;
  readonly now: () => number; // milliseconds since 1970
};

/** The whole daemon but for the socket. Neither method throws for anything a client does. */
export type AuthDaemon = {
  /** @returns the reply, never longer than the datagram, or `null` for silence */
  receive(bytes: Uint8Array, source: Source): Promise<Uint8Array | null>;
  /** Ends sessions that were never acknowledged or not heard of for 30 days. To be called every few seconds. */
  sweep(): Promise<void>;
};

export const AUTH_DEFAULTS = { rate: { perSecond: 20, burst: 5 }, queueMax: 128, repliesMax: 4096 } as const;

const QUEUE_RETRY_MS = 250;
const STORAGE_RETRY_MS = 1000;
/** How far the time in a proof may be from ours: as long a captured one can be said again. */
const PROOF_AGE_MS = 5 * 60_000;
const ENDED_KEPT_MS = 24 * 3600 * 1000; // far longer than a ticket lives

function isOfSession(datagram: ClientDatagram): datagram is SessionDatagram {
  return datagram.kind === 'ack' || datagram.kind === 'renew' || datagram.kind === 'logout';
}

function busy(transaction: Uint8Array, retryAfterMs: number): Uint8Array {
  return encodeServer('busy', transaction, { retryAfterMs: encodeUint32(retryAfterMs) });
}

export function createAuthDaemon(options: AuthDaemonDeps): AuthDaemon {
  const { accounts, secrets, now, log } = options;
  const cookies = createCookies(now);
  const replies = createReplies(options.repliesMax);
  const waitMs = createRateLimit(options.rate, now);
  const queue = createWorkQueue(options.queueMax);
  const grants = createGrants(secrets, options.place);
  const deps = { ...options, grants, states: createSealedStates(now) };

  /** Cheap, before any curve operation: is the sender where it says, and is it known? @returns a reply that ends the matter, or `null` to go on */
  function doorkeeper(datagram: ClientDatagram, bytes: Uint8Array, source: Source): Uint8Array | null {
    const { transaction, cookie } = datagram;
    const proven = isOfSession(datagram) && isProven(grants, datagram, bytes);
    if (proven && Math.abs(now() - decodeTimeMs(datagram.timeMs)) <= PROOF_AGE_MS) return null;
    // A proof with a good cookie in it is fresh too, whatever the client's clock says.
    if (!cookies.check(source, cookie)) {
      return encodeServer('retry', transaction, { cookie: cookies.make(source), daemonKey: secrets.boxPublicKey });
    }
    return isOfSession(datagram) && !proven ? encodeError(transaction, 'session_unknown') : null;
  }

  function answer(datagram: ClientDatagram, bytes: Uint8Array, source: Source): Promise<Uint8Array | null> {
    switch (datagram.kind) {
      case 'hello':
        return answerHello(deps, { datagram, bytes, source });
      case 'finish':
        return answerFinish(deps, { datagram, bytes, source });
      case 'register':
        return answerRegister(deps, { datagram, bytes, source });
      case 'enrol':
        return answerEnrol(deps, { datagram, bytes, source });
      case 'ack':
        return answerAck(deps, datagram);
      case 'renew':
        return answerRenew(deps, datagram, bytes);
      case 'logout':
        return answerLogout(deps, datagram);
      default:
        return assertNever(datagram);
    }
  }

  async function receive(bytes: Uint8Array, source: Source): Promise<Uint8Array | null> {
    const datagram = parseClient(bytes);
    if (datagram === null) return null;
    const { transaction } = datagram;
    if (datagram.kind === 'other_version') return encodeError(transaction, 'protocol_mismatch');
    const refused = doorkeeper(datagram, bytes, source);
    if (refused !== null) return refused;
    const before = replies.get(bytes);
    if (before !== undefined) return before;
    const retryAfterMs = waitMs(source, datagram.kind);
    if (retryAfterMs > 0) return busy(transaction, retryAfterMs);
    const work = queue.run(() => answer(datagram, bytes, source));
    if (work === null) return busy(transaction, QUEUE_RETRY_MS);
    replies.put(bytes, work);
    try {
      return await work;
    } catch (error) {
      log.error({ err: error, kind: datagram.kind }, 'request failed');
      return busy(transaction, STORAGE_RETRY_MS);
    }
  }

  return {
    receive,
    async sweep() {
      const atMs = now();
      const ended = await accounts.lapseSessions({
        pendingBeforeMs: atMs - SESSION.unacknowledgedS * 1000,
        idleBeforeMs: atMs - SESSION.lifetimeS * 1000,
        endedBeforeMs: atMs - Math.max(ENDED_KEPT_MS, TICKET.lifetimeS * 1000),
        atMs,
      });
      if (ended > 0) log.info({ ended }, 'sessions lapsed');
    },
  };
}
