import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { encodeTimeMs } from '../../Models/datagram_fields.ts';
import {
  type ClientKind,
  decodeWireError,
  encodeAuthenticated,
  headerOf,
  type ServerDatagram,
  type ServerKind,
  type WireError,
} from '../../Models/datagrams.ts';
import { AppError, type ErrorCode } from '../../Models/errors.ts';
import { boxKeys, replyAssociated, replyMac, requestMac, seal, unseal } from '../../Models/handshake.ts';
import { nodePrimitives as p, sharedSecret } from '../../Models/node_primitives.ts';
import { decodeEndReason, endText } from '../../Models/session_ends.ts';
import { checkPin, type DaemonPins, pinFailure } from './daemon_pins.ts';
import type { Exchange } from './exchange.ts';

/** The daemon lost what this conversation stood on (it was restarted, or the time is over): begin again. */
export const BEGIN_AGAIN = 'begin_again';
export type BeginAgain = typeof BEGIN_AGAIN;

const MESSAGES: Record<WireError, string> = {
  credentials_wrong: 'wrong user name or password',
  name_taken: 'this user name is taken',
  name_invalid: 'this user name is not allowed',
  registration_closed: 'registration is not open to this address, or only with an invitation code',
  session_unknown: 'the session has ended: log in again',
  protocol_mismatch: 'the authentication daemon speaks another version of the protocol',
  login_expired: 'the authentication daemon forgot this login',
  invite_invalid: 'the invitation code is not good: unknown, used up or expired',
};

const newTransaction = (): Uint8Array => randomBytes(16);
const NO_COOKIE = new Uint8Array(16);

/** @throws AppError for an `error` reply. @returns `BEGIN_AGAIN` for `login_expired`, `null` for every other kind of reply */
export function refusalIn(reply: ServerDatagram): BeginAgain | null {
  if (reply.kind !== 'error') return null;
  const error = decodeWireError(reply.error);
  if (error === null) throw new AppError('protocol_mismatch', MESSAGES.protocol_mismatch);
  if (error === 'login_expired') return BEGIN_AGAIN;
  throw new AppError(error satisfies ErrorCode, MESSAGES[error]);
}

/** What an unproven reply to a request of a session would mean if it were the daemon's. A daemon says no ERROR but that of another version unproven. */
function claimIn(reply: ServerDatagram, pins: DaemonPins | null): AppError | null {
  if (reply.kind === 'retry') return pinFailure(pins, 'key', reply.daemonKey);
  if (reply.kind !== 'error') return null;
  const error = decodeWireError(reply.error);
  return error === null || error === 'protocol_mismatch' ? new AppError('protocol_mismatch', MESSAGES.protocol_mismatch) : null;
}

export type Contact = { readonly cookie: Uint8Array; readonly daemonKey: Uint8Array };

/** Asks for a cookie and the daemon's key, with an empty HELLO. @throws AppError `server_key_changed` and as `Exchange.request` */
export function makeContact(exchange: Exchange, pins: DaemonPins | null): Promise<Contact> {
  const nothing = { cookie: NO_COOKIE, ephemeral: new Uint8Array(32) };
  const empty = encodeAuthenticated('hello', newTransaction(), nothing, () => new Uint8Array(0));
  return exchange.request(empty, (reply) => {
    refusalIn(reply);
    if (reply.kind !== 'retry') return null;
    checkPin(pins, 'key', reply.daemonKey);
    return { cookie: Uint8Array.from(reply.cookie), daemonKey: Uint8Array.from(reply.daemonKey) };
  });
}

type BoxKind = 'hello' | 'register' | 'enrol';
const BOX_REPLY = { hello: 'challenge', register: 'registration', enrol: 'enrolled' } as const satisfies Record<BoxKind, ServerKind>;
export type BoxAnswer = { readonly text: Uint8Array; readonly request: Uint8Array; readonly transaction: Uint8Array };

function sealBox(
  kind: BoxKind,
  contact: Contact,
  text: Uint8Array,
): { datagram: Uint8Array; transaction: Uint8Array; replyKey: Uint8Array } {
  const own = generateKeyPairSync('x25519');
  const shared = sharedSecret(own.privateKey, contact.daemonKey);
  if (shared === null) throw new AppError('protocol_mismatch', 'the authentication daemon has no valid key');
  const ephemeral = Buffer.from(own.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const keys = boxKeys(p, { shared, ephemeral, daemonKey: contact.daemonKey });
  const transaction = newTransaction();
  const datagram = encodeAuthenticated(kind, transaction, { cookie: contact.cookie, ephemeral }, (associated) =>
    seal(p, { key: keys.request, associated, text }),
  );
  return { datagram, transaction, replyKey: keys.reply };
}

/** A request that only the daemon can read, and its answer, which only the daemon can have made. @throws AppError as `refusalIn`, `Exchange.request` */
export function requestInBox(exchange: Exchange, contact: Contact, kind: BoxKind, text: Uint8Array): Promise<BoxAnswer | BeginAgain> {
  const { datagram, transaction, replyKey } = sealBox(kind, contact, text);
  const wanted = BOX_REPLY[kind];
  return exchange.request<BoxAnswer | BeginAgain>(datagram, (reply) => {
    if (reply.kind === 'retry') return BEGIN_AGAIN; // the cookie is of an earlier daemon
    if (reply.kind !== wanted) return refusalIn(reply);
    const associated = replyAssociated(p, { kind: wanted, transaction, request: datagram });
    const opened = unseal(p, { key: replyKey, associated, sealed: reply.sealed });
    return opened === null ? null : { text: opened, request: datagram, transaction };
  });
}

export type SessionProof = { readonly sessionId: Uint8Array; readonly renewalSecret: Uint8Array };
export type InSession = {
  readonly proof: SessionProof;
  readonly clockOffsetMs: number; // the daemon's clock minus ours, as far as it is known
  readonly pins: DaemonPins | null;
};

/** A wrong clock, or a daemon that knows no such proof, costs one round more, for a cookie. */
const ROUNDS_MAX = 3;

/** How long the daemon is waited for once another key or another version has been claimed. */
const CLAIMED_MS = 10_000;

type SessionKind = ClientKind & ('ack' | 'renew' | 'logout' | 'change' | 'begin');

/** @throws AppError `session_unknown` with the reason, if it is the daemon who says that the session has ended */
function endIn(reply: ServerDatagram, { sessionId, renewalSecret }: SessionProof): void {
  if (reply.kind !== 'ended') return;
  const { reason, mac, transaction } = reply;
  const proof = replyMac(p, { renewalSecret, header: headerOf('ended', transaction), sessionId, reason });
  if (Buffer.compare(proof, mac) !== 0) return;
  const why = decodeEndReason(reason);
  if (why === null) throw new AppError('session_unknown', MESSAGES.session_unknown);
  throw new AppError('session_unknown', endText(why), { reason: why });
}

/**
 * A request of a session. That the daemon has another key than the pinned one, or speaks another version, stands in datagrams that anybody can send, and
 * nothing of ours is sent to whoever did: so the daemon is waited for, and it is believed only if it stays silent.
 * @param prove makes the last field from what stands before it; the proof of all but CHANGE if not given
 * @param accept opens the reply; `null` when it is not authentic
 * @throws AppError `session_unknown`, `server_key_changed`, `protocol_mismatch` and as `Exchange.request`
 */
export async function requestInSession<Result>(
  exchange: Exchange,
  {
    kind,
    proof,
    clockOffsetMs,
    pins,
    prove,
  }: InSession & { readonly kind: SessionKind; readonly prove?: (before: Uint8Array) => Uint8Array },
  accept: (reply: ServerDatagram, request: Uint8Array, transaction: Uint8Array) => Result | null,
): Promise<Result> {
  const { sessionId, renewalSecret } = proof;
  let cookie: Uint8Array = NO_COOKIE;
  let claimed: { readonly error: AppError; readonly atMs: number } | null = null;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const transaction = newTransaction();
    const timeMs = encodeTimeMs(Math.max(0, Math.round(Date.now() + clockOffsetMs)));
    const fields = { cookie, timeMs, sessionId };
    const datagram = encodeAuthenticated(kind, transaction, fields, prove ?? ((before) => requestMac(p, { renewalSecret, before })));
    const asking = exchange.request<{ readonly result: Result } | { readonly cookie: Uint8Array }>(datagram, (reply) => {
      const claim = claimIn(reply, pins);
      if (claim !== null) {
        claimed ??= { error: claim, atMs: performance.now() };
        if (performance.now() - claimed.atMs >= CLAIMED_MS) throw claimed.error;
        return null;
      }
      if (reply.kind === 'retry') return { cookie: Uint8Array.from(reply.cookie) };
      if (reply.kind === 'error') return null; // a daemon that holds this session's secret proves what became of it
      endIn(reply, proof);
      const result = accept(reply, datagram, transaction);
      return result === null ? null : { result };
    });
    const answer = await asking.catch((error: unknown) => {
      const isSilence = error instanceof AppError && (error.code === 'auth_unreachable' || error.code === 'busy');
      throw isSilence && claimed !== null ? claimed.error : error;
    });
    if ('result' in answer) return answer.result;
    cookie = answer.cookie;
  }
  throw new AppError('busy', 'the authentication daemon asked for a new beginning again and again');
}
