import { hostname } from 'node:os';
import type { Ksf } from '../../Models/datagram_fields.ts';
import { fingerprint } from '../../Models/handshake.ts';
import { type AuthAddress, parseAuthAddress } from './auth_address.ts';
import type { DaemonPins } from './daemon_pins.ts';
import { openExchange } from './exchange.ts';
import { type HandshakeDeps, performLogin, performRegistration } from './handshake.ts';
import { nodePrimitives as p } from './node_primitives.ts';
import { openOpaqueThread } from './opaque_thread.ts';
import { openProfile, type StoredLogin } from './profile.ts';
import { storedLogin } from './stored_session.ts';

type Options = {
  readonly auth: string;
  readonly username: string;
  readonly password: string;
  readonly home: string;
  readonly ksfFloor: Ksf;
  readonly onFirstContact?: ((fingerprint: string) => void) | undefined;
};

const DEVICE_NAME_BYTES_MAX = 64;

/** Each key is told once, however often the handshake begins anew. */
function tellingOnce(tell: Options['onFirstContact']): (daemonKey: Uint8Array) => void {
  const told = new Set<string>();
  return (daemonKey) => {
    const text = fingerprint(p, daemonKey);
    if (!told.has(text)) tell?.(text);
    told.add(text);
  };
}

async function withDaemon<Result>(
  address: AuthAddress,
  { ksfFloor, onFirstContact, pins }: Options & { readonly pins: DaemonPins | undefined },
  body: (deps: HandshakeDeps) => Promise<Result>,
): Promise<Result> {
  const steps = openOpaqueThread();
  try {
    const exchange = await openExchange(address);
    try {
      return await body({ exchange, steps, pins: pins ?? null, ksfFloor, onFirstContact: tellingOnce(onFirstContact) });
    } finally {
      exchange.close();
    }
  } finally {
    await steps.close();
  }
}

function shortened(name: string): string {
  let text = name.toWellFormed();
  while (Buffer.byteLength(text) > DEVICE_NAME_BYTES_MAX) text = [...text].slice(0, -1).join('');
  return text;
}

async function remember(home: string, address: AuthAddress, pins: DaemonPins, login: StoredLogin | null): Promise<void> {
  await openProfile(home).update((data) => {
    data.daemons[address.text] ??= pins;
    if (login === null) return;
    const others = data.sessions.filter((one) => one.auth !== login.auth || one.user.id !== login.user.id);
    data.sessions = [...others, login];
  });
}

/** What needs a password, and the modules that go with it. */
export const withPassword = {
  async register(options: Options): Promise<void> {
    const address = parseAuthAddress(options.auth);
    const { daemons } = await openProfile(options.home).read();
    const pins = await withDaemon(address, { ...options, pins: daemons[address.text] }, (deps) => performRegistration(deps, options));
    await remember(options.home, address, pins, null);
  },

  async login(options: Options & { readonly deviceName?: string }): Promise<StoredLogin> {
    const address = parseAuthAddress(options.auth);
    const { daemons, deviceId } = await openProfile(options.home).update(() => undefined); // from now on this device has its id
    const device = { deviceId: Buffer.from(deviceId, 'hex'), deviceName: shortened(options.deviceName ?? hostname()) };
    const granted = await withDaemon(address, { ...options, pins: daemons[address.text] }, (deps) =>
      performLogin(deps, { ...options, ...device }),
    );
    const login = storedLogin(address, granted, Date.now());
    await remember(options.home, address, granted.pins, login);
    return login;
  },
};
