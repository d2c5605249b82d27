import { prepareNewPassword, preparePassword, prepareUserName } from '../../Models/credentials.ts';
import { decodeGrant, decodeKsf, encodeText, type Grant, KSF_CEILING, type Ksf } from '../../Models/datagram_fields.ts';
import { encodeAuthenticated, headerOf, NEVER_MS, packFields, TEXTS, unpackFields } from '../../Models/datagrams.ts';
import { AppError } from '../../Models/errors.ts';
import { type LoginKeys, loginKeys, renewalKey, replyAssociated, replyMac, seal, transcriptOf, unseal } from '../../Models/handshake.ts';
import { nodePrimitives as p } from '../../Models/node_primitives.ts';
import { checkPin, type DaemonPins } from './daemon_pins.ts';
import {
  BEGIN_AGAIN,
  type BeginAgain,
  type Contact,
  type InSession,
  makeContact,
  refusalIn,
  requestInBox,
  requestInSession,
} from './daemon_requests.ts';
import { type Exchange, waitText } from './exchange.ts';
import type { OpaqueSteps } from './opaque_steps.ts';

export type HandshakeDeps = {
  readonly exchange: Exchange;
  readonly steps: OpaqueSteps;
  readonly pins: DaemonPins | null;
  /** Decides about the daemon's key before the daemon is told anything; asked each time the handshake begins. @throws to stop it */
  readonly admit?: ((daemonKey: Uint8Array) => Promise<void>) | undefined;
  /** The least stretching of the password that is accepted. */
  readonly ksfFloor: Ksf;
};
/** What the daemon gave, and the server's clock minus ours. */
export type Granted = { readonly grant: Grant; readonly clockOffsetMs: number };

const ATTEMPTS = 3;
const NO_DEVICE = { deviceId: new Uint8Array(16), deviceProof: new Uint8Array(16) };
const KSF_KEYS = ['memoryKiB', 'iterations', 'parallelism'] as const;

export function malformed(): AppError {
  return new AppError('protocol_mismatch', 'the authentication daemon answered something this client does not understand');
}

export function checkedKsf(field: Uint8Array, floor: Ksf): Ksf {
  const ksf = decodeKsf(field);
  if (KSF_KEYS.some((key) => ksf[key] < floor[key] || ksf[key] > KSF_CEILING[key])) {
    throw new AppError(
      'protocol_mismatch',
      'the authentication daemon asks for a stretching of the password that this client does not allow',
    );
  }
  return ksf;
}

async function contactOf({ exchange, pins, admit }: HandshakeDeps): Promise<Contact> {
  const contact = await makeContact(exchange, pins);
  await admit?.(contact.daemonKey);
  return contact;
}

/** The daemon may be restarted in the middle; that costs a repeat, not a failure. */
export async function withRepeats<Result>(attempt: () => Promise<Result | BeginAgain>): Promise<Result> {
  for (let n = 0; n < ATTEMPTS; n += 1) {
    const result = await attempt();
    if (result !== BEGIN_AGAIN) return result;
  }
  throw new AppError('busy', 'the authentication daemon forgot the conversation again and again');
}

/** Known devices are a way out for a name that somebody has. */
function asWornOut(error: unknown): never {
  if (!(error instanceof AppError) || error.retryAfterMs !== NEVER_MS) throw error;
  const message = 'too many passwords were tried at this name: take another one, or ask the administrator to make the account';
  throw new AppError(error.code, message, { retryAfterMs: NEVER_MS });
}

type NewAccount = { readonly username: string; readonly password: string; readonly code?: Uint8Array | undefined };
const NO_CODE = new Uint8Array(16);

/** @throws AppError `name_invalid`, `request_invalid`, `name_taken`, `too_many_requests`, `registration_closed`, `invite_invalid`, `server_key_changed`, `auth_unreachable`, `busy` */
export async function performRegistration(deps: HandshakeDeps, account: NewAccount): Promise<DaemonPins> {
  const { exchange, steps, pins, ksfFloor } = deps;
  const name = encodeText(prepareUserName(account.username));
  const password = prepareNewPassword(account.password);
  const code = account.code ?? NO_CODE;
  const made = await withRepeats(async () => {
    const contact = await contactOf(deps);
    const { state, request } = await steps.startRegistration(password);
    const answer = await requestInBox(exchange, contact, 'register', packFields(TEXTS.register, { request, name, code })).catch(asWornOut);
    if (answer === BEGIN_AGAIN) return BEGIN_AGAIN;
    const fields = unpackFields(TEXTS.registration, answer.text);
    if (fields === null) throw malformed();
    const finished = await steps.finishRegistration({ password, state, response: fields.response, ksf: checkedKsf(fields.ksf, ksfFloor) });
    const own = { key: checkPin(pins, 'key', contact.daemonKey), opaqueKey: checkPin(pins, 'opaqueKey', finished.serverKey) };
    return { record: finished.record, ksf: fields.ksf, pins: own };
  });
  const text = packFields(TEXTS.enrol, { record: made.record, ksf: made.ksf, name, code });
  // Repeated with the same record: if the answer was lost with the daemon, the name must not seem to be taken by somebody else.
  await withRepeats(async () => requestInBox(exchange, await makeContact(exchange, made.pins), 'enrol', text));
  return made.pins;
}

function openTicket(input: { sealed: Uint8Array; key: Uint8Array; transaction: Uint8Array; request: Uint8Array }): Grant | null {
  const { sealed, key, transaction, request } = input;
  const text = unseal(p, { key, associated: replyAssociated(p, { kind: 'ticket', transaction, request }), sealed });
  return text === null ? null : decodeGrant(Uint8Array.from(text));
}

type LoginInput = {
  readonly username: string;
  readonly password: string;
  readonly deviceId: Uint8Array;
  readonly deviceName: string;
  /** What the last TICKET for this user had, if it is still there. */
  readonly deviceProof: Uint8Array | null;
};

/**
 * The whole login: the daemon never learns the password, and proves that it knows this account's record before it learns anything else.
 * The session is live when this resolves.
 * @throws AppError `credentials_wrong`, `too_many_requests`, `name_invalid`, `server_key_changed`, `protocol_mismatch`, `auth_unreachable`, `busy`
 */
export function performLogin(deps: HandshakeDeps, input: LoginInput): Promise<Granted & { readonly pins: DaemonPins }> {
  const username = prepareUserName(input.username);
  const password = preparePassword(input.password);
  return withRepeats(() => attemptLogin(deps, { ...input, username, password }));
}

/** The password was right: what is too much is one more session. */
function asFull(error: unknown): never {
  if (!(error instanceof AppError) || error.code !== 'too_many_requests' || error.retryAfterMs === undefined) throw error;
  const { retryAfterMs } = error;
  const message = `there is no place for one more session; one may become free in ${waitText(retryAfterMs)}, or when a session is ended`;
  throw new AppError('busy', message, { retryAfterMs });
}

/** Both sides have proved the password to each other; the daemon does not know it yet. */
export type ProvenPassword = {
  readonly transaction: Uint8Array;
  readonly keys: LoginKeys;
  readonly pins: DaemonPins;
  readonly challengedAtMs: number; // the ticket carries the daemon's time of this moment
  /** A datagram that shows it to the daemon, and says `text` so that nobody else reads it. */
  say(kind: 'finish' | 'newPassword' | 'changePassword', text: Uint8Array): Uint8Array;
};
type Known = Pick<LoginInput, 'username' | 'password' | 'deviceId' | 'deviceProof'>;

/** @param input prepared. @returns `null` for a wrong password (or user, or daemon: they look alike). @throws AppError as `performLogin` */
export async function provePassword(deps: HandshakeDeps, input: Known): Promise<ProvenPassword | null | BeginAgain> {
  const { exchange, steps, pins } = deps;
  const { password } = input;
  const contact = await contactOf(deps);
  const { state, ke1 } = await steps.startLogin(password);
  const known = input.deviceProof === null ? NO_DEVICE : { deviceId: input.deviceId, deviceProof: input.deviceProof };
  const helloText = packFields(TEXTS.hello, { ke1, name: encodeText(input.username), ...known });
  const hello = await requestInBox(exchange, contact, 'hello', helloText);
  if (hello === BEGIN_AGAIN) return BEGIN_AGAIN;
  const challengedAtMs = Date.now();
  const challenge = unpackFields(TEXTS.challenge, hello.text);
  if (challenge === null) throw malformed();
  const { ke2, ksf } = challenge;
  const finished = await steps.finishLogin({ password, state, ke2, ksf: checkedKsf(ksf, deps.ksfFloor) });
  if (finished === null) return null;
  const opaqueKey = checkPin(pins, 'opaqueKey', finished.serverKey);
  const keys = loginKeys(p, { sessionKey: finished.sessionKey, transcript: transcriptOf(p, { hello: hello.request, ke2, ksf }) });
  const { transaction } = hello;
  const fields = { cookie: contact.cookie, state: challenge.state, ke3: finished.ke3 };
  return {
    transaction,
    keys,
    pins: { key: checkPin(pins, 'key', contact.daemonKey), opaqueKey },
    challengedAtMs,
    say: (kind, text) => encodeAuthenticated(kind, transaction, fields, (associated) => seal(p, { key: keys.finish, associated, text })),
  };
}

async function attemptLogin(deps: HandshakeDeps, input: LoginInput): Promise<(Granted & { pins: DaemonPins }) | BeginAgain> {
  const { exchange } = deps;
  const proven = await provePassword(deps, input);
  if (proven === BEGIN_AGAIN) return BEGIN_AGAIN;
  if (proven === null) throw new AppError('credentials_wrong', 'wrong user name or password');
  const { transaction, keys, pins } = proven;
  const finish = proven.say('finish', packFields(TEXTS.finish, { deviceId: input.deviceId, deviceName: encodeText(input.deviceName) }));
  const granting = exchange.request<Grant | BeginAgain>(finish, (reply) => {
    if (reply.kind === 'retry') return BEGIN_AGAIN;
    if (reply.kind !== 'ticket') return refusalIn(reply);
    return openTicket({ sealed: reply.rest, key: keys.ticket, transaction, request: finish });
  });
  const grant = await granting.catch(asFull);
  if (grant === BEGIN_AGAIN) return BEGIN_AGAIN;
  const clockOffsetMs = grant.serverTimeMs - proven.challengedAtMs;
  await confirm(exchange, 'ack', { proof: grant, clockOffsetMs, pins });
  return { grant, clockOffsetMs, pins };
}

/** ACK or LOGOUT, repeated until the daemon confirms it. */
function confirm(exchange: Exchange, kind: 'ack' | 'logout', session: InSession): Promise<true> {
  const expected = kind === 'ack' ? 'acked' : 'loggedOut';
  return requestInSession(exchange, { ...session, kind }, (reply, _, transaction) => {
    if (reply.kind !== expected) return null;
    const mac = replyMac(p, { ...session.proof, header: headerOf(expected, transaction) });
    return Buffer.compare(mac, reply.mac) === 0 ? true : null;
  });
}

/** Tells that somebody is here: the session lives on. @throws AppError `session_unknown`, `server_key_changed`, `auth_unreachable`, `busy` */
export async function performHeard(exchange: Exchange, session: InSession): Promise<void> {
  await confirm(exchange, 'ack', session);
}

/** Another session of the same device, for a person at a prompt. It is live when this resolves. @throws AppError as `performRenewal`, `busy` also when there is no place */
export async function performBegin(exchange: Exchange, session: InSession): Promise<Granted> {
  const granted = await grantedFor(exchange, session, 'begin').catch(asFull);
  await confirm(exchange, 'ack', { ...session, proof: granted.grant, clockOffsetMs: granted.clockOffsetMs });
  return granted;
}

/** Resolves when the daemon has proved that the session has ended. @throws AppError `server_key_changed`, `auth_unreachable`, `busy` */
export async function performLogout(exchange: Exchange, session: InSession): Promise<void> {
  await confirm(exchange, 'logout', session);
}

/** @throws AppError `session_unknown`, `server_key_changed`, `protocol_mismatch`, `auth_unreachable`, `busy`, `too_many_requests` */
export function performRenewal(exchange: Exchange, session: InSession): Promise<Granted> {
  return grantedFor(exchange, session, 'renew');
}

async function grantedFor(exchange: Exchange, session: InSession, kind: 'renew' | 'begin'): Promise<Granted> {
  const key = renewalKey(p, session.proof);
  const grant = await requestInSession(exchange, { ...session, kind }, (reply, request, transaction) =>
    reply.kind === 'ticket' ? openTicket({ sealed: reply.rest, key, transaction, request }) : null,
  );
  return { grant, clockOffsetMs: grant.serverTimeMs - Date.now() };
}
