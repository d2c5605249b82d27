import type { AuditKind } from '../Models/audit.ts';
import { decodeTimeMs, encodeUint32, type Ksf } from '../Models/datagram_fields.ts';
import { type ClientDatagram, encodeError, encodeServer, NEVER_MS, parseClient } from '../Models/datagrams.ts';
import { assertNever } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { TICKET } from '../Models/ticket.ts';
import type { Accounts } from '../Storage/accounts.ts';
import type { Audit } from '../Storage/audit.ts';
import type { AuthLog } from './auth_log.ts';
import { createCookies } from './cookies.ts';
import { createGrants, type ServerPlace } from './grants.ts';
import { createGuessLimit, GUESS_LIMITS, type GuessLimits } from './guess_limit.ts';
import { isLater, type Later } from './later.ts';
import { answerFinish, answerHello } from './login.ts';
import type { OpaqueServer } from './opaque_server.ts';
import { answerChangePassword, answerNewPassword } from './password_change.ts';
import { createPlausibleKsf } from './plausible_ksf.ts';
import { createRateLimit, type Rate } from './rate_limit.ts';
import { createRecentWork } from './recent_work.ts';
import { answerEnrol, answerRegister, type RegistrationMode } from './registration.ts';
import { createSealedStates } from './sealed_state.ts';
import type { Secrets } from './secrets.ts';
import { lifetimesOf, SESSION_RULES, type SessionRules } from './session_rules.ts';
import { answerAck, answerBegin, answerChange, answerLogout, answerRenew, isProven, type SessionDatagram } from './sessions.ts';
import { type Source, sourceGroup } from './source.ts';
import { createUnfinishedLogins } from './unfinished_logins.ts';
import { createWorkQueue } from './work_queue.ts';

export type AuthDaemonDeps = {
  readonly accounts: Accounts;
  readonly secrets: Secrets;
  readonly opaque: OpaqueServer;
  readonly place: ServerPlace;
  readonly ksf: Ksf; // for new accounts
  readonly registration: RegistrationMode;
  readonly rate: Rate; // new datagrams of one kind from one source
  readonly beginRate: Rate; // logins and registrations begun by all sources
  readonly sessionRate: Rate; // sessions begun by one user with the password
  readonly promptRate: Rate; // and from another session
  readonly accountRate: Rate; // made from one source elsewhere, without a code
  readonly guessLimits: GuessLimits; // for each name and known device
  readonly sessionRules: SessionRules;
  readonly queueMax: number; // requests being worked on
  readonly repliesMax: number; // replies kept for repeats
  readonly log: AuthLog;
  readonly audit: Pick<Audit, 'record'>;
  readonly now: () => number; // milliseconds since 1970
};

/** The whole daemon but for the socket. Neither method throws for anything a client does. */
export type AuthDaemon = {
  /** @returns the reply, never longer than the datagram, or `null` for silence */
  receive(bytes: Uint8Array, source: Source): Promise<Uint8Array | null>;
  /** Datagrams that were let through to work: every curve operation is for one of these. */
  admitted(): number;
  /** Ends sessions that were never acknowledged or not heard of for 30 days. To be called every few seconds. */
  sweep(): Promise<void>;
};

export const AUTH_DEFAULTS = {
  rate: { perSecond: 20, burst: 5 },
  beginRate: { perSecond: LIMITS.loginsPerSecondMax, burst: 128 },
  sessionRate: { perSecond: 1000 / LIMITS.sessionRestoreMs, burst: LIMITS.sessionsBegunMax },
  promptRate: { perSecond: 1000 / LIMITS.sessionRestoreMs, burst: LIMITS.promptsBegunMax },
  accountRate: { perSecond: 1000 / LIMITS.accountRestoreMs, burst: LIMITS.accountsMadeMax },
  guessLimits: GUESS_LIMITS,
  sessionRules: SESSION_RULES,
  queueMax: 128,
  repliesMax: 4096,
} as const;

/** What costs curve operations without being part of what was begun. */
const BEGINNINGS: ReadonlySet<ClientDatagram['kind']> = new Set(['hello', 'register', 'enrol']);
const QUEUE_RETRY_MS = 250;
const STORAGE_RETRY_MS = 1000;
const KSF_COUNT_MS = 600_000;
const FAILURE_TOLD_MS = 1000;
/** How far the time in a proof may be from ours: as long a captured one can be said again. */
const PROOF_AGE_MS = 5 * 60_000;
const ENDED_KEPT_MS = 24 * 3600 * 1000; // far longer than a ticket lives

/** What a datagram that was turned away is written down as. */
const AUDITED = {
  hello: 'login',
  finish: 'login',
  register: 'registration',
  enrol: 'registration',
  ack: 'renewal',
  renew: 'renewal',
  logout: 'logout',
  change: 'renewal',
  newPassword: 'password_changed',
  changePassword: 'password_changed',
  begin: 'login',
} as const satisfies Record<ClientDatagram['kind'], AuditKind>;

const SESSION_KINDS: ReadonlySet<ClientDatagram['kind']> = new Set<SessionDatagram['kind']>(['ack', 'renew', 'logout', 'change', 'begin']);

function isOfSession(datagram: ClientDatagram): datagram is SessionDatagram {
  return SESSION_KINDS.has(datagram.kind);
}

function busy(transaction: Uint8Array, retryAfterMs: number): Uint8Array {
  return encodeServer('busy', transaction, { retryAfterMs: encodeUint32(Math.min(NEVER_MS, Math.ceil(retryAfterMs))) });
}

export function createAuthDaemon(options: AuthDaemonDeps): AuthDaemon {
  const { accounts, secrets, now, log, audit } = options;
  const cookies = createCookies(now);
  const replies = createRecentWork<Uint8Array | Later | null>(options.repliesMax, (reply) => !isLater(reply));
  const waitMs = createRateLimit(options.rate, now);
  const beginWaitMs = createRateLimit(options.beginRate, now);
  const queue = createWorkQueue(options.queueMax);
  let admitted = 0;
  let failureToldAtMs = Number.NEGATIVE_INFINITY;
  let untold = 0; // failures since
  let ksfCountedAtMs = Number.NEGATIVE_INFINITY;
  let lapsedAtMs = now(); // one that is started again and again must not end more than one that runs
  const grants = createGrants(secrets, options.place, options.sessionRules.idleMs);
  const unfinished = createUnfinishedLogins(audit, now);
  const guessLimit = createGuessLimit({ guesses: accounts.guesses, master: secrets.master, limits: options.guessLimits, now });
  const sessionWaitMs = createRateLimit(options.sessionRate, now);
  const promptWaitMs = createRateLimit(options.promptRate, now);
  const accountWaitMs = createRateLimit(options.accountRate, now);
  const plausibleKsf = createPlausibleKsf({ accounts, master: secrets.master, standard: options.ksf });
  const waits = { sessionWaitMs, promptWaitMs, accountWaitMs };
  const deps = { ...options, ...waits, plausibleKsf, grants, guessLimit, states: createSealedStates(now), unfinished };

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

  function answer(datagram: ClientDatagram, bytes: Uint8Array, source: Source): Promise<Uint8Array | Later | null> {
    switch (datagram.kind) {
      case 'hello':
        return answerHello(deps, { datagram, bytes, source });
      case 'finish':
        return answerFinish(deps, { datagram, bytes, source });
      case 'register':
        return answerRegister(deps, { datagram, bytes, source });
      case 'enrol':
        return answerEnrol(deps, { datagram, bytes, source });
      case 'newPassword':
        return answerNewPassword(deps, { datagram, bytes, source });
      case 'changePassword':
        return answerChangePassword(deps, { datagram, bytes, source });
      case 'ack':
        return answerAck(deps, datagram);
      case 'renew':
        return answerRenew(deps, { datagram, bytes, source });
      case 'logout':
        return answerLogout(deps, { datagram, source });
      case 'change':
        return answerChange(deps, { datagram, bytes, source });
      case 'begin':
        return answerBegin(deps, { datagram, bytes, source });
      default:
        return assertNever(datagram);
    }
  }

  /** What fails for one may fail for all, as fast as they ask. */
  function tellFailure(err: unknown, kind: ClientDatagram['kind']): void {
    const atMs = now();
    if (Math.abs(atMs - failureToldAtMs) < FAILURE_TOLD_MS) {
      untold += 1;
      return;
    }
    log.error({ err, kind, untold }, 'request failed');
    failureToldAtMs = atMs;
    untold = 0;
  }

  async function receive(bytes: Uint8Array, source: Source): Promise<Uint8Array | null> {
    const datagram = parseClient(bytes);
    if (datagram === null) return null;
    const { transaction } = datagram;
    if (datagram.kind === 'other_version') return encodeError(transaction, 'protocol_mismatch');
    const refused = doorkeeper(datagram, bytes, source);
    if (refused !== null) return refused;
    const said = (reply: Uint8Array | Later | null): Uint8Array | null => (isLater(reply) ? busy(transaction, reply.retryAfterMs) : reply);
    const before = replies.get(bytes);
    if (before !== undefined) return before.then(said);
    const retryAfterMs = waitMs(`${datagram.kind} ${sourceGroup(source)}`);
    if (retryAfterMs > 0) {
      audit.record({ what: AUDITED[datagram.kind], result: 'too_many_requests', address: source.address });
      return busy(transaction, retryAfterMs);
    }
    const mayBegin = !BEGINNINGS.has(datagram.kind) || beginWaitMs('all') === 0;
    const work = mayBegin ? queue.run(() => answer(datagram, bytes, source)) : null;
    if (work === null) return busy(transaction, QUEUE_RETRY_MS);
    admitted += 1;
    replies.put(bytes, work);
    try {
      return said(await work);
    } catch (error) {
      tellFailure(error, datagram.kind);
      return busy(transaction, STORAGE_RETRY_MS);
    }
  }

  return {
    receive,
    admitted: () => admitted,
    async sweep() {
      unfinished.sweep();
      const atMs = now();
      const lapses = Math.abs(atMs - lapsedAtMs) >= LIMITS.lapsePauseMs;
      if (lapses) lapsedAtMs = atMs;
      const ended = await accounts.lapseSessions({
        lifetimes: lifetimesOf(options.sessionRules),
        liveShare: lapses ? LIMITS.lapsedShare : 0,
        endedBeforeMs: atMs - Math.max(ENDED_KEPT_MS, TICKET.lifetimeS * 1000),
        atMs,
      });
      if (ended > 0) {
        log.info({ ended }, 'sessions lapsed');
        audit.record({ what: 'session_ended', result: 'ok', detail: `${ended} lapsed` });
      }
      const forgotten = await accounts.guesses.trim(LIMITS.guessCountersMax);
      if (Math.abs(atMs - ksfCountedAtMs) >= KSF_COUNT_MS) {
        await plausibleKsf.refresh();
        ksfCountedAtMs = atMs;
      }
      if (forgotten > 0) log.warn({ forgotten }, 'very many names were tried: counters of guesses were given up');
    },
  };
}
