import { hostname } from 'node:os';
import { prepareUserName } from '../../Models/credentials.ts';
import type { Ksf } from '../../Models/datagram_fields.ts';
import { fingerprint } from '../../Models/handshake.ts';
import { decodeInvite } from '../../Models/invite_code.ts';
import { foldName } from '../../Models/names.ts';
import { nodePrimitives as p } from '../../Models/node_primitives.ts';
import { type AuthAddress, parseAuthAddress } from './auth_address.ts';
import { checkFirstContact, type DaemonPins, type FirstContact } from './daemon_pins.ts';
import { type Exchange, openExchange } from './exchange.ts';
import { type HandshakeDeps, performLogin, performRegistration } from './handshake.ts';
import { rememberServer, waysTo } from './known_server.ts';
import { openOpaqueThread } from './opaque_thread.ts';
import { type PasswordChange, performPasswordChange } from './password_change.ts';
import { openProfile, type Profile, type ProfileData, type StoredLogin } from './profile.ts';
import { storedLogin } from './stored_session.ts';

type Options = {
  readonly auth: string;
  readonly username: string;
  readonly password: string;
  readonly home: string;
  readonly ksfFloor: Ksf;
  readonly serverUrl?: string | undefined;
} & FirstContact;

/** The address and the key of an invitation code go before any other. */
type NewAccount = Omit<Options, 'auth'> & { readonly auth?: string | undefined; readonly invite?: string | undefined };

type PasswordOptions = Pick<PasswordChange, 'current' | 'next' | 'keepOthers' | 'parentId'> & {
  readonly ksfFloor: Ksf;
};

const DEVICE_NAME_BYTES_MAX = 64;

async function withDaemon<Result>(
  address: AuthAddress,
  { ksfFloor, data, serverUrl, ...contact }: FirstContact & Pick<Options, 'ksfFloor' | 'serverUrl'> & { readonly data: ProfileData },
  body: (deps: HandshakeDeps) => Promise<Result>,
): Promise<Result> {
  const pins = data.daemons[address.text];
  await using stack = new AsyncDisposableStack();
  const steps = stack.adopt(openOpaqueThread(), (thread) => thread.close());
  const exchange = stack.adopt(await openExchange(address, waysTo(address, data, serverUrl)), (opened) => opened.close());
  const admitted = new Map<string, Promise<void>>(); // each key is asked about once, however often the handshake begins anew
  const admit = (daemonKey: Uint8Array): Promise<void> => {
    const key = fingerprint(p, daemonKey);
    const met = { fingerprint: key, loopback: exchange.loopback, pinned: pins !== undefined };
    const decided = admitted.get(key) ?? checkFirstContact(contact, met);
    admitted.set(key, decided);
    return decided;
  };
  return await body({ exchange, steps, pins: pins ?? null, ksfFloor, admit });
}

function shortened(name: string): string {
  let text = name.toWellFormed();
  while (Buffer.byteLength(text) > DEVICE_NAME_BYTES_MAX) text = [...text].slice(0, -1).join('');
  return text;
}

type LoggedIn = { readonly login: StoredLogin; readonly deviceProof: string; readonly exchange: Exchange };

/** All spellings of a name are one. */
function proofKey(address: AuthAddress, username: string): string {
  return `${address.text} ${foldName(prepareUserName(username))}`;
}

async function remember(home: string, address: AuthAddress, pins: DaemonPins, loggedIn: LoggedIn | null): Promise<void> {
  await openProfile(home).update((data) => {
    data.daemons[address.text] ??= pins;
    if (loggedIn === null) return;
    const { login, deviceProof, exchange } = loggedIn;
    rememberServer(data, login.auth, login.serverUrl, exchange);
    data.deviceProofs = { ...data.deviceProofs, [proofKey(address, login.user.name)]: deviceProof };
    const others = data.sessions.filter((one) => one.auth !== login.auth || one.user.id !== login.user.id);
    data.sessions = [...others, login];
  });
}

function proofIn(proofs: ProfileData['deviceProofs'], address: AuthAddress, username: string): Uint8Array | null {
  const proof = proofs?.[proofKey(address, username)];
  return proof === undefined ? null : Buffer.from(proof, 'hex');
}

/** What needs a password, and the modules that go with it. */
export const withPassword = {
  /** @returns HOST:PORT of the daemon */
  async register({ auth, invite, ...options }: NewAccount): Promise<string> {
    const invited = invite === undefined ? undefined : decodeInvite(p, invite);
    const address = parseAuthAddress(invited?.auth ?? auth ?? '');
    const data = await openProfile(options.home).read();
    const expectedKey = invited?.key ?? options.expectedKey;
    const pins = await withDaemon(address, { ...options, expectedKey, data }, (deps) =>
      performRegistration(deps, { ...options, code: invited?.secret }),
    );
    await remember(options.home, address, pins, null);
    return address.text;
  },

  async changePassword(profile: Profile, login: StoredLogin, { ksfFloor, ...passwords }: PasswordOptions): Promise<void> {
    const address = parseAuthAddress(login.auth);
    const data = await profile.read();
    const device = { deviceId: Buffer.from(login.deviceId, 'hex'), deviceProof: proofIn(data.deviceProofs, address, login.user.name) };
    const change = { ...passwords, ...device, username: login.user.name, sessionId: Buffer.from(login.sessionId, 'hex') };
    await withDaemon(address, { ksfFloor, data, serverUrl: login.serverUrl }, (deps) => performPasswordChange(deps, change));
  },

  async login(options: Options & { readonly deviceName?: string }): Promise<StoredLogin> {
    const address = parseAuthAddress(options.auth);
    const data = await openProfile(options.home).update(() => undefined); // from now on this device has its id
    const { deviceId, deviceProofs } = data;
    const deviceProof = proofIn(deviceProofs, address, options.username);
    const device = { deviceProof, deviceId: Buffer.from(deviceId, 'hex'), deviceName: shortened(options.deviceName ?? hostname()) };
    return withDaemon(address, { ...options, data }, async (deps) => {
      const granted = await performLogin(deps, { ...options, ...device });
      const login = storedLogin(address, granted, Date.now());
      const deviceProof = Buffer.from(granted.grant.deviceProof).toString('hex');
      await remember(options.home, address, granted.pins, { login, deviceProof, exchange: deps.exchange });
      return login;
    });
  },
};
