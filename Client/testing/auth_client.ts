import { randomBytes } from 'node:crypto';
import { server as opaqueLibrary, ready as opaqueReady } from '@serenity-kit/opaque';
import { encodeText, KSF_DEFAULT, type Ksf } from '../../Models/datagram_fields.ts';
import { packFields, parseServer, TEXTS, unpackFields } from '../../Models/datagrams.ts';
import { fingerprint } from '../../Models/handshake.ts';
import { encodeInvite, type Invite } from '../../Models/invite_code.ts';
import { nodePrimitives } from '../../Models/node_primitives.ts';
import type { Change } from '../../Models/session_changes.ts';
import { parseAuthAddress } from '../session/auth_address.ts';
import { performChange } from '../session/changes.ts';
import { checkFirstContact, type DaemonPins, type FirstContact } from '../session/daemon_pins.ts';
import { BEGIN_AGAIN, makeContact, requestInBox } from '../session/daemon_requests.ts';
import { type Clock, type Exchange, type ExchangeOptions, exchangeOver, openExchange } from '../session/exchange.ts';
import { type Granted, performBegin, performLogin, performLogout, performRegistration, performRenewal } from '../session/handshake.ts';
import type { OpaqueSteps } from '../session/opaque_steps.ts';
import { type OpaqueThread, openOpaqueThread } from '../session/opaque_thread.ts';
import { performPasswordChange } from '../session/password_change.ts';
import { type LoginOptions, login, type PasswordChange, type RegisterOptions, register, resume, type Session } from '../session/session.ts';

export const fingerprintOf = (key: Uint8Array): string => fingerprint(nodePrimitives, key);
export const makeInvite = (invite: Invite): string => encodeInvite(nodePrimitives, invite);

/** What any test client accepts, however weak. */
const NO_FLOOR: Ksf = { memoryKiB: 1, iterations: 1, parallelism: 1 };

/** The client's sessions, for daemons with cheap stretching. */
export const cheapSessions = {
  register: (options: RegisterOptions): Promise<string> => register({ ...options, insecureKsfFloor: NO_FLOOR }),
  login: (options: LoginOptions): Promise<Session> => login({ ...options, insecureKsfFloor: NO_FLOOR }),
  resume,
  changePassword: (session: Session, change: PasswordChange): Promise<void> =>
    session.changePassword({ ...change, insecureKsfFloor: NO_FLOOR }),
};

/** As a person's program has them. */
export const strictSessions = { register, login };

export type Known = { readonly deviceId: Uint8Array; readonly deviceProof: Uint8Array };
type Credentials = { readonly username: string; readonly password: string; readonly code?: Uint8Array };

const NO_DEVICE: Known = { deviceId: new Uint8Array(16), deviceProof: new Uint8Array(16) };

type LoggedIn = Granted & { readonly pins: DaemonPins };
type Met = Granted & { readonly pins: DaemonPins | null };
type NewPassword = { readonly current: string; readonly next: string; readonly keepOthers?: boolean };

/** Many conversations over one OPAQUE thread and without a profile. */
export type BareClient = AsyncDisposable & {
  exchange(address: string, options?: ExchangeOptions): Promise<Exchange>;
  register(exchange: Exchange, credentials: Credentials, contact?: FirstContact): Promise<DaemonPins>;
  /** What the daemon makes of a KE1 for a name, sent as it is written here. @returns KE2, and the stretching behind it */
  challenge(exchange: Exchange, input: { readonly ke1: Uint8Array; readonly name: string; readonly known?: Known }): Promise<Uint8Array>;
  /** What the daemon answers to the first half of a registration, sent as it is written here. */
  evaluate(exchange: Exchange, input: { readonly request: Uint8Array; readonly name: string }): Promise<Uint8Array>;
  /** From a device of its own unless told. */
  login(exchange: Exchange, credentials: Credentials, known?: Known): Promise<LoggedIn>;
  renew(exchange: Exchange, granted: Granted & { readonly pins?: DaemonPins | null }): Promise<Granted>;
  change(exchange: Exchange, granted: Granted, change: Change): Promise<void>;
  /** The session goes on. */
  changePassword(exchange: Exchange, granted: Met, passwords: NewPassword): Promise<void>;
  begin(exchange: Exchange, granted: Granted): Promise<Granted>;
  logout(exchange: Exchange, granted: Granted): Promise<void>;
};

type BareClientOptions = {
  /** One that others use too, and close. */
  readonly thread?: OpaqueThread;
  /** In place of stretching, where the daemon asks for none. */
  readonly stretch?: () => Promise<void>;
  /** Sees each step of OPAQUE while it is computed. */
  readonly watch?: <Result>(step: Promise<Result>) => Promise<Result>;
};

export function openBareClient(options: BareClientOptions = {}): BareClient {
  const { stretch, watch = (step) => step } = options;
  const thread = options.thread ?? openOpaqueThread();
  const steps: OpaqueSteps = {
    startRegistration: (password) => watch(thread.startRegistration(password)),
    finishRegistration: (input) => watch(thread.finishRegistration(input)),
    startLogin: (password) => watch(thread.startLogin(password)),
    async finishLogin(input) {
      await stretch?.();
      return watch(thread.finishLogin(input));
    },
  };
  const common = { steps, pins: null, ksfFloor: NO_FLOOR };
  return {
    exchange: (address, options) => openExchange(parseAuthAddress(address), options),
    register: (exchange, credentials, contact) => {
      const met = { loopback: exchange.loopback, pinned: false };
      const admit = (key: Uint8Array): Promise<void> => checkFirstContact(contact ?? {}, { ...met, fingerprint: fingerprintOf(key) });
      return performRegistration({ ...common, exchange, admit }, credentials);
    },
    async challenge(exchange, { ke1, name, known = NO_DEVICE }) {
      const answer = await requestInBox(
        exchange,
        await makeContact(exchange, null),
        'hello',
        packFields(TEXTS.hello, { ke1, name: encodeText(name), ...known }),
      );
      const fields = answer === BEGIN_AGAIN ? null : unpackFields(TEXTS.challenge, answer.text);
      if (fields === null) throw new Error('no challenge');
      return Buffer.concat([fields.ke2, fields.ksf]);
    },
    async evaluate(exchange, { request, name }) {
      const text = packFields(TEXTS.register, { request, name: encodeText(name), code: new Uint8Array(16) });
      const answer = await requestInBox(exchange, await makeContact(exchange, null), 'register', text);
      const fields = answer === BEGIN_AGAIN ? null : unpackFields(TEXTS.registration, answer.text);
      if (fields === null) throw new Error('no registration');
      return fields.response;
    },
    login: (exchange, credentials, known) => {
      const device = { deviceId: randomBytes(16), deviceName: 'test', deviceProof: null, ...known };
      return performLogin({ ...common, exchange }, { ...credentials, ...device });
    },
    renew: (exchange, { grant, clockOffsetMs, pins = null }) => performRenewal(exchange, { proof: grant, clockOffsetMs, pins }),
    change: (exchange, { grant, clockOffsetMs }, change) => performChange(exchange, { proof: grant, clockOffsetMs, pins: null }, change),
    changePassword: (exchange, { grant, pins }, passwords) => {
      const { userName: username, deviceId, deviceProof, sessionId } = grant;
      const who = { username, deviceId, deviceProof, sessionId, parentId: null };
      return performPasswordChange({ ...common, exchange, pins }, { keepOthers: false, ...passwords, ...who });
    },
    begin: (exchange, { grant, clockOffsetMs }) => performBegin(exchange, { proof: grant, clockOffsetMs, pins: null }),
    logout: (exchange, { grant, clockOffsetMs }) => performLogout(exchange, { proof: grant, clockOffsetMs, pins: null }),
    [Symbol.asyncDispose]: async () => (options.thread === undefined ? thread.close() : undefined),
  };
}

/** The client's thread, for several of them. */
export function openSharedThread(): OpaqueThread {
  return openOpaqueThread();
}

/** A conversation at a time of its own, over what stands for a socket. */
export function exchangeAt(clock: Clock, socket: Pick<Parameters<typeof exchangeOver>[0], 'send' | 'listen'>): Exchange {
  const address = { host: '192.0.2.1', port: 1, text: 'a link' };
  return exchangeOver({ ...socket, loopback: false, hint: () => null, close: () => undefined }, address, { clock });
}

/** Datagrams handed over by a function call. A request that gets no believable answer fails at once. */
export function directExchange(deliver: (datagram: Uint8Array) => Promise<Uint8Array | null>): Exchange {
  return {
    loopback: true,
    way: () => 'udp',
    async request(datagram, accept) {
      const bytes = await deliver(datagram);
      const parsed = bytes === null ? null : parseServer(bytes);
      const reply = parsed !== null && Buffer.compare(parsed.transaction, datagram.subarray(4, 20)) === 0 ? parsed : null;
      const result = bytes === null || reply === null ? null : accept(reply, bytes);
      if (result === null) throw new Error('no believable answer');
      return result;
    },
    close: () => undefined,
  };
}

/** What stretching a password costs this machine, with what the daemon asks of new accounts: median of some, in milliseconds. */
export async function measureStretchingMs(): Promise<number> {
  const password = 'correct horse battery';
  await opaqueReady;
  const setup = opaqueLibrary.createSetup();
  const thread = openOpaqueThread();
  try {
    const times: number[] = [];
    for (let n = 0; n < 7; n += 1) {
      const { state, request } = await thread.startRegistration(password);
      const registrationRequest = Buffer.from(request).toString('base64url');
      const { registrationResponse } = opaqueLibrary.createRegistrationResponse({
        serverSetup: setup,
        userIdentifier: 'A',
        registrationRequest,
      });
      const response = Buffer.from(registrationResponse, 'base64url');
      const begun = performance.now();
      await thread.finishRegistration({ password, state, response, ksf: KSF_DEFAULT });
      times.push(performance.now() - begun);
    }
    return times.toSorted((one, other) => one - other)[3] ?? Number.NaN;
  } finally {
    await thread.close();
  }
}
