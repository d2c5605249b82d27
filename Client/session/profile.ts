import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Low } from 'lowdb';
import { AppError } from '../../Models/errors.ts';
import type { DaemonPins } from './daemon_pins.ts';
import { privateFile, waitForLock } from './private_file.ts';

/** A login as it is kept between runs. Ids are 32 hex digits. */
export type StoredLogin = {
  readonly auth: string; // HOST:PORT of the daemon
  readonly user: { readonly id: string; readonly name: string };
  readonly deviceId: string;
  readonly sessionId: string;
  readonly renewalSecret: string; // base64url
  readonly ticket: string;
  readonly ticketExpiresAtMs: number; // by the server's clock
  readonly clockOffsetMs: number; // the server's clock minus ours
  readonly serverUrl: string;
  readonly pins?: readonly string[]; // of the server's keys, base64
  readonly loggedInAtMs: number;
};
export type ProfileData = {
  version: 1;
  deviceId: string; // made once for each profile
  daemons: Record<string, DaemonPins>; // by HOST:PORT
  sessions: StoredLogin[]; // one for each daemon and user
  /** By HOST:PORT and folded user name, 32 hex digits: this device is known there, also when it is logged out. */
  deviceProofs?: Record<string, string>;
  /** By HOST:PORT of the daemon. `way`: datagrams got there only over HTTP the last time. */
  servers?: Record<string, { readonly url: string; readonly way?: 'http' }>;
};

/** The client's profile: HOME/profile.json, a small file a person may open. It holds secrets, so it is for its owner only. */
export type Profile = {
  /** @throws AppError `local_io` when it cannot be read or is damaged */
  read(): Promise<ProfileData>;
  /** Changes what is on disk now, whatever another process wrote in between; durable when it resolves. @throws AppError `local_io` */
  update(change: (data: ProfileData) => void): Promise<ProfileData>;
};

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
const isText = (value: unknown): value is string => typeof value === 'string';
const isId = (value: unknown): value is string => isText(value) && /^[0-9a-f]{32}$/.test(value);

function isLogin(value: unknown): value is StoredLogin {
  if (!isRecord(value) || !isRecord(value.user)) return false;
  const texts = [value.auth, value.user.name, value.renewalSecret, value.ticket, value.serverUrl];
  const numbers = [value.ticketExpiresAtMs, value.clockOffsetMs, value.loggedInAtMs];
  const { pins = [] } = value;
  if (!Array.isArray(pins) || !pins.every(isText)) return false;
  return texts.every(isText) && numbers.every(Number.isFinite) && [value.user.id, value.deviceId, value.sessionId].every(isId);
}

function isPins(value: unknown): value is DaemonPins {
  return isRecord(value) && isText(value.key) && isText(value.opaqueKey);
}

function isServer(value: unknown): boolean {
  return isRecord(value) && isText(value.url) && URL.canParse(value.url) && (value.way === undefined || value.way === 'http');
}

/** Checked by hand: a schema library would take longer to load than the rest of a command's start. */
function isProfile(value: unknown): value is ProfileData {
  return (
    isRecord(value) &&
    value.version === 1 &&
    isId(value.deviceId) &&
    isRecord(value.daemons) &&
    Object.values(value.daemons).every(isPins) &&
    (value.deviceProofs === undefined || (isRecord(value.deviceProofs) && Object.values(value.deviceProofs).every(isId))) &&
    (value.servers === undefined || (isRecord(value.servers) && Object.values(value.servers).every(isServer))) &&
    Array.isArray(value.sessions) &&
    value.sessions.every(isLogin)
  );
}

function parseProfile(text: string, path: string): ProfileData {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // the cause would quote the file
  }
  if (!isProfile(value)) throw new AppError('local_io', `${path} is damaged; move it away and log in again`);
  return value;
}

function asLocal(home: string): (error: unknown) => never {
  return (cause) => {
    if (cause instanceof AppError) throw cause;
    throw new AppError('local_io', `cannot use the profile in ${home}`, { cause });
  };
}

function emptyProfile(): ProfileData {
  return { version: 1, deviceId: randomBytes(16).toString('hex'), daemons: {}, sessions: [] };
}

/** @param home a folder; made with mode 0700 when something is first written */
export function openProfile(home: string): Profile {
  const path = join(home, 'profile.json');
  const fresh = (): Low<ProfileData> =>
    new Low(
      privateFile(path, (text) => parseProfile(text, path)),
      emptyProfile(),
    );
  async function update(change: (data: ProfileData) => void): Promise<ProfileData> {
    await mkdir(home, { recursive: true, mode: 0o700 });
    using _held = await waitForLock(join(home, 'profile.lock'));
    const file = fresh();
    await file.read();
    await file.update(change);
    return file.data;
  }
  return {
    async read() {
      const file = fresh();
      await file.read().catch(asLocal(home));
      return file.data;
    },
    update: (change) => update(change).catch(asLocal(home)),
  };
}
