import { hostname } from 'node:os';
import type { Ksf } from '../../Models/datagram_fields.ts';
import { type AuthAddress, parseAuthAddress } from './auth_address.ts';
import type { DaemonPins } from './daemon_pins.ts';
import { openExchange } from './exchange.ts';
import { type HandshakeDeps, performLogin, performRegistration } from './handshake.ts';
import { openOpaqueThread } from './opaque_thread.ts';
import { openProfile, type StoredLogin } from './profile.ts';
import { storedLogin } from './stored_session.ts';

type Options = {
  readonly auth: string;
  readonly username: string;
  readonly password: string;
  readonly home: string;
  readonly ksfFloor: Ksf;
};

const DEVICE_NAME_BYTES_MAX = 64;

async function withDaemon<Result>(
  address: AuthAddress,
  deps: Pick<HandshakeDeps, 'pins' | 'ksfFloor'>,
  body: (deps: HandshakeDeps) => Promise<Result>,
): Promise<Result> {
  const steps = openOpaqueThread();
  try {
    const exchange = await openExchange(address);
    try {
      return await body({ ...deps, exchange, steps });
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
    const known = { pins: daemons[address.text] ?? null, ksfFloor: options.ksfFloor };
    const pins = await withDaemon(address, known, (deps) => performRegistration(deps, options));
    await remember(options.home, address, pins, null);
  },

  async login(options: Options & { readonly deviceName?: string }): Promise<StoredLogin> {
    const address = parseAuthAddress(options.auth);
    const { daemons, deviceId } = await openProfile(options.home).update(() => undefined); // from now on this device has its id
    const known = { pins: daemons[address.text] ?? null, ksfFloor: options.ksfFloor };
    const device = { deviceId: Buffer.from(deviceId, 'hex'), deviceName: shortened(options.deviceName ?? hostname()) };
    const granted = await withDaemon(address, known, (deps) => performLogin(deps, { ...options, ...device }));
    const login = storedLogin(address, granted, Date.now());
    await remember(options.home, address, granted.pins, login);
    return login;
  },
};
