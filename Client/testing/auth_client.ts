import { randomBytes } from 'node:crypto';
import { encodeText, type Ksf } from '../../Models/datagram_fields.ts';
import { packFields, parseServer, TEXTS, unpackFields } from '../../Models/datagrams.ts';
import { parseAuthAddress } from '../session/auth_address.ts';
import type { DaemonPins } from '../session/daemon_pins.ts';
import { BEGIN_AGAIN, makeContact, requestInBox } from '../session/daemon_requests.ts';
import { type Exchange, openExchange } from '../session/exchange.ts';
import { type Granted, performLogin, performLogout, performRegistration, performRenewal } from '../session/handshake.ts';
import { openOpaqueThread } from '../session/opaque_thread.ts';
import { type LoginOptions, login, type RegisterOptions, register, resume, type Session } from '../session/session.ts';

/** What any test client accepts, however weak. */
const NO_FLOOR: Ksf = { memoryKiB: 1, iterations: 1, parallelism: 1 };

/** The client's sessions, for daemons with cheap stretching. */
export const cheapSessions = {
  register: (options: RegisterOptions): Promise<void> => register({ ...options, insecureKsfFloor: NO_FLOOR }),
  login: (options: LoginOptions): Promise<Session> => login({ ...options, insecureKsfFloor: NO_FLOOR }),
  resume,
};

/** As a person's program has them. */
export const strictSessions = { register, login };

type Credentials = { readonly username: string; readonly password: string };

/** Many conversations over one OPAQUE thread and without a profile. */
export type BareClient = AsyncDisposable & {
  exchange(address: string): Promise<Exchange>;
  register(exchange: Exchange, credentials: Credentials): Promise<DaemonPins>;
  /** What the daemon makes of a KE1 for a name, sent as it is written here. @returns KE2 */
  challenge(exchange: Exchange, input: { readonly ke1: Uint8Array; readonly name: string }): Promise<Uint8Array>;
  login(exchange: Exchange, credentials: Credentials): Promise<Granted>;
  renew(exchange: Exchange, granted: Granted): Promise<Granted>;
  logout(exchange: Exchange, granted: Granted): Promise<void>;
};

export function openBareClient(): BareClient {
  const steps = openOpaqueThread();
  const common = { steps, pins: null, ksfFloor: NO_FLOOR };
  return {
    exchange: (address) => openExchange(parseAuthAddress(address)),
    register: (exchange, credentials) => performRegistration({ ...common, exchange }, credentials),
    async challenge(exchange, { ke1, name }) {
      const answer = await requestInBox(
        exchange,
        await makeContact(exchange, null),
        'hello',
        packFields(TEXTS.hello, { ke1, name: encodeText(name) }),
      );
      const fields = answer === BEGIN_AGAIN ? null : unpackFields(TEXTS.challenge, answer.text);
      if (fields === null) throw new Error('no challenge');
      return fields.ke2;
    },
    login: (exchange, credentials) => {
      const device = { deviceId: randomBytes(16), deviceName: 'test' };
      return performLogin({ ...common, exchange }, { ...credentials, ...device });
    },
    renew: (exchange, { grant, clockOffsetMs }) => performRenewal(exchange, { proof: grant, clockOffsetMs, pins: null }),
    logout: (exchange, { grant, clockOffsetMs }) => performLogout(exchange, { proof: grant, clockOffsetMs, pins: null }),
    [Symbol.asyncDispose]: () => steps.close(),
  };
}

/** Datagrams handed over by a function call. A request that gets no believable answer fails at once. */
export function directExchange(deliver: (datagram: Uint8Array) => Promise<Uint8Array | null>): Exchange {
  return {
    async request(datagram, accept) {
      const bytes = await deliver(datagram);
      const reply = bytes === null ? null : parseServer(bytes);
      const result = bytes === null || reply === null ? null : accept(reply, bytes);
      if (result === null) throw new Error('no believable answer');
      return result;
    },
    close: () => undefined,
  };
}
