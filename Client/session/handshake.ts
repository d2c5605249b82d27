import { prepareNewPassword, preparePassword, prepareUserName } from '../../Models/credentials.ts';
import { decodeGrant, decodeKsf, encodeText, type Grant, KSF_CEILING, type Ksf } from '../../Models/datagram_fields.ts';
import { encodeAuthenticated, headerOf, packFields, TEXTS, unpackFields } from '../../Models/datagrams.ts';
import { AppError } from '../../Models/errors.ts';
import { loginKeys, renewalKey, replyAssociated, replyMac, seal, transcriptOf, unseal } from '../../Models/handshake.ts';
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
import type { Exchange } from './exchange.ts';
import { nodePrimitives as p } from './node_primitives.ts';
import type { OpaqueSteps } from './opaque_steps.ts';

export type HandshakeDeps = {
  readonly exchange: Exchange;
  readonly steps: OpaqueSteps;
  readonly pins: DaemonPins | null;
  /** Told the daemon's key before it is told anything, when there are no pins to compare it with; each time the handshake begins. */
  readonly onFirstContact?: ((daemonKey: Uint8Array) => void) | undefined;
  /** The least stretching of the password that is accepted. */
  readonly ksfFloor: Ksf;
};
/** What the daemon gave, and the server's clock minus ours. */
export type Granted = { readonly grant: Grant; readonly clockOffsetMs: number };

const ATTEMPTS = 3;
const KSF_KEYS = ['memoryKiB', 'iterations', 'parallelism'] as const;

function malformed(): AppError {
  return new AppError('protocol_mismatch', 'the authentication daemon answered something this client does not understand');
}

function checkedKsf(field: Uint8Array, floor: Ksf): Ksf {
  const ksf = decodeKsf(field);
  if (KSF_KEYS.some((key) => ksf[key] < floor[key] || ksf[key] > KSF_CEILING[key])) {
    throw new AppError(
      'protocol_mismatch',
      'the authentication daemon asks for a stretching of the password that this client does not allow',
    );
  }
  return ksf;
}

async function contactOf({ exchange, pins, onFirstContact }: HandshakeDeps): Promise<Contact> {
  const contact = await makeContact(exchange, pins);
  if (pins === null) onFirstContact?.(contact.daemonKey);
  return contact;
}

/** The daemon may be restarted in the middle; that costs a repeat, not a failure. */
async function withRepeats<Result>(attempt: () => Promise<Result | BeginAgain>): Promise<Result> {
  for (let n = 0; n < ATTEMPTS; n += 1) {
    const result = await attempt();
    if (result !== BEGIN_AGAIN) return result;
  }
  throw new AppError('busy', 'the authentication daemon forgot the conversation again and again');
}

/** @throws AppError `name_invalid`, `request_invalid`, `name_taken`, `registration_closed`, `server_key_changed`, `auth_unreachable`, `busy` */
export async function performRegistration(deps: HandshakeDeps, credentials: { username: string; password: string }): Promise<DaemonPins> {
  const { exchange, steps, pins, ksfFloor } = deps;
  const name = encodeText(prepareUserName(credentials.username));
  const password = prepareNewPassword(credentials.password);
  const made = await withRepeats(async () => {
    const contact = await contactOf(deps);
    const { state, request } = await steps.startRegistration(password);
    const answer = await requestInBox(exchange, contact, 'register', packFields(TEXTS.register, { request, name }));
    if (answer === BEGIN_AGAIN) return BEGIN_AGAIN;
    const fields = unpackFields(TEXTS.registration, answer.text);
    if (fields === null) throw malformed();
    const finished = await steps.finishRegistration({ password, state, response: fields.response, ksf: checkedKsf(fields.ksf, ksfFloor) });
    const own = { key: checkPin(pins, 'key', contact.daemonKey), opaqueKey: checkPin(pins, 'opaqueKey', finished.serverKey) };
    return { record: finished.record, ksf: fields.ksf, pins: own };
  });
  const text = packFields(TEXTS.enrol, { record: made.record, ksf: made.ksf, name });
  // Repeated with the same record: if the answer was lost with the daemon, the name must not seem to be taken by somebody else.
  await withRepeats(async () => requestInBox(exchange, await makeContact(exchange, made.pins), 'enrol', text));
  return made.pins;
}

function openTicket(input: { sealed: Uint8Array; key: Uint8Array; transaction: Uint8Array; request: Uint8Array }): Grant | null {
  const { sealed, key, transaction, request } = input;
  const text = unseal(p, { key, associated: replyAssociated(p, { kind: 'ticket', transaction, request }), sealed });
  return text === null ? null : decodeGrant(Uint8Array.from(text));
}

type LoginInput = { readonly username: string; readonly password: string; readonly deviceId: Uint8Array; readonly deviceName: string };

/**
 * The whole login: the daemon never learns the password, and proves that it knows this account's record before it learns anything else.
 * The session is live when this resolves.
 * @throws AppError `credentials_wrong`, `name_invalid`, `server_key_changed`, `protocol_mismatch`, `auth_unreachable`, `busy`
 */
export function performLogin(deps: HandshakeDeps, input: LoginInput): Promise<Granted & { readonly pins: DaemonPins }> {
  const username = prepareUserName(input.username);
  const password = preparePassword(input.password);
  return withRepeats(() => attemptLogin(deps, { ...input, username, password }));
}

async function attemptLogin(deps: HandshakeDeps, input: LoginInput): Promise<(Granted & { pins: DaemonPins }) | BeginAgain> {
  const { exchange, steps, pins } = deps;
  const { password } = input;
  const contact = await contactOf(deps);
  const { state, ke1 } = await steps.startLogin(password);
  const hello = await requestInBox(exchange, contact, 'hello', packFields(TEXTS.hello, { ke1, name: encodeText(input.username) }));
  if (hello === BEGIN_AGAIN) return BEGIN_AGAIN;
  const challengedAtMs = Date.now(); // the ticket carries the daemon's time of this moment
  const challenge = unpackFields(TEXTS.challenge, hello.text);
  if (challenge === null) throw malformed();
  const { ke2 } = challenge;
  const finished = await steps.finishLogin({ password, state, ke2, ksf: checkedKsf(challenge.ksf, deps.ksfFloor) });
  if (finished === null) throw new AppError('credentials_wrong', 'wrong user name or password');
  const opaqueKey = checkPin(pins, 'opaqueKey', finished.serverKey);
  const transcript = transcriptOf(p, { hello: hello.request, ke2, ksf: challenge.ksf });
  const keys = loginKeys(p, { sessionKey: finished.sessionKey, transcript });
  const text = packFields(TEXTS.finish, { deviceId: input.deviceId, deviceName: encodeText(input.deviceName) });
  const { transaction } = hello;
  const fields = { cookie: contact.cookie, state: challenge.state, ke3: finished.ke3 };
  const finish = encodeAuthenticated('finish', transaction, fields, (associated) => seal(p, { key: keys.finish, associated, text }));
  const grant = await exchange.request<Grant | BeginAgain>(finish, (reply) => {
    if (reply.kind === 'retry') return BEGIN_AGAIN;
    if (reply.kind !== 'ticket') return refusalIn(reply);
    return openTicket({ sealed: reply.rest, key: keys.ticket, transaction, request: finish });
  });
  if (grant === BEGIN_AGAIN) return BEGIN_AGAIN;
  const own = { key: checkPin(pins, 'key', contact.daemonKey), opaqueKey };
  const clockOffsetMs = grant.serverTimeMs - challengedAtMs;
  await confirm(exchange, 'ack', { proof: grant, clockOffsetMs, pins: own });
  return { grant, clockOffsetMs, pins: own };
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

/** Resolves when the daemon has proved that the session has ended. @throws AppError `server_key_changed`, `auth_unreachable`, `busy` */
export async function performLogout(exchange: Exchange, session: InSession): Promise<void> {
  await confirm(exchange, 'logout', session);
}

/** @throws AppError `session_unknown`, `server_key_changed`, `auth_unreachable`, `busy` */
export async function performRenewal(exchange: Exchange, session: InSession): Promise<Granted> {
  const key = renewalKey(p, session.proof);
  const grant = await requestInSession(exchange, { ...session, kind: 'renew' }, (reply, request, transaction) =>
    reply.kind === 'ticket' ? openTicket({ sealed: reply.rest, key, transaction, request }) : null,
  );
  return { grant, clockOffsetMs: grant.serverTimeMs - Date.now() };
}
