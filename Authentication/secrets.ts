import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { TICKET } from '../Models/ticket.ts';
import { makeDurableFolder, writeDurableFile } from '../Storage/durable_file.ts';
import { lockFolder } from '../Storage/folder_lock.ts';
import { encodeSecrets, makeSecrets, makeSigningKey, readSecrets, type SecretContent, stampOf } from './secrets_file.ts';
import { inOrder, isRotating, isRotationDue, publishedKeysAt, ROTATION, type SigningKey, signingKeyAt } from './signing_keys.ts';

/** What only the daemon knows. Without these nobody can log in, so the file belongs to every backup. */
export type Secrets = {
  readonly master: Buffer; // 32 bytes; renewal secrets are derived from it
  readonly opaqueSetup: string; // base64url, 128 bytes
  readonly dummyRecord: Buffer; // registration of a random password, for users that do not exist
  readonly boxKey: KeyObject; // X25519
  readonly boxPublicKey: Buffer; // raw, 32 bytes: what clients pin
  /** The key that signs what is issued at this time. */
  signingKeyAt(issuedAtMs: number): SigningKey;
  /**
   * Takes over keys that were changed by another process, makes a new one when it is time, takes away those that are over. To be called each second.
   * @returns the id of the key that it made, if it made one
   * @throws AppError `data_folder_unusable`; the keys stay what they were
   */
  tend(): Promise<string | null>;
};

const LOCK_WAIT_MS = 10_000;
const LOCK_RETRY_MS = 20;

type Place = { readonly folder: string; readonly secrets: string; readonly published: string };

function placeIn(dataFolder: string): Place {
  const folder = join(dataFolder, 'auth');
  return { folder, secrets: join(folder, 'secrets.json'), published: join(folder, 'ticket_keys.json') };
}

async function locked(folder: string): Promise<Disposable> {
  for (const untilMs = performance.now() + LOCK_WAIT_MS; ; ) {
    try {
      return lockFolder(folder, 'secrets');
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'data_folder_locked' || performance.now() >= untilMs) throw error;
      await setTimeout(LOCK_RETRY_MS);
    }
  }
}

/** A JWKS, with what is public alone, and beside its keys the ids of those that were withdrawn. */
function keySetOf({ ticketKeys, withdrawnKeys }: Pick<SecretContent, 'ticketKeys' | 'withdrawnKeys'>): string {
  const keys = ticketKeys.map(({ id, key }) => ({
    ...createPublicKey(key).export({ format: 'jwk' }),
    kid: id,
    alg: TICKET.algorithm,
    use: 'sig',
  }));
  return `${JSON.stringify({ keys, ...(withdrawnKeys.length > 0 && { withdrawn: withdrawnKeys }) }, null, 2)}\n`;
}

async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Their ids are kept for as long as a stream may flow that began with a ticket of theirs. */
function withoutThoseOver(content: SecretContent, nowMs: number): SecretContent {
  const ticketKeys = publishedKeysAt(content.ticketKeys, nowMs);
  const over = content.ticketKeys.filter((key) => !ticketKeys.includes(key)).map(({ id }) => ({ id, sinceMs: nowMs }));
  const retiredKeys = [...content.retiredKeys.filter(({ sinceMs }) => nowMs < sinceMs + LIMITS.streamTimeoutMs), ...over];
  return { ...content, ticketKeys, retiredKeys };
}

/**
 * The one way in which keys change, by whichever process: read, change, publish, write, with the others locked out. What is published
 * is written first, so that a key never signs before it is known; what was killed in between has published a key that nobody has.
 */
async function revise(
  dataFolder: string,
  change: (content: SecretContent | null) => SecretContent | Promise<SecretContent>,
  nowMs: number,
): Promise<SecretContent> {
  const { folder, secrets, published } = placeIn(dataFolder);
  try {
    await makeDurableFolder(folder, 0o700);
    using _lock = await locked(folder);
    const before = await readSecrets(secrets);
    const changed = await change(before);
    const content = withoutThoseOver(changed, nowMs);
    const keySet = keySetOf(content);
    if ((await textOf(published)) !== keySet) await writeDurableFile(published, keySet, 0o644);
    const text = encodeSecrets(content);
    if ((await textOf(secrets)) !== text) await writeDurableFile(secrets, text, 0o600);
    return content;
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError('data_folder_unusable', `cannot write in ${folder}`, { cause });
  }
}

function existing(dataFolder: string, content: SecretContent | null): SecretContent {
  if (content !== null) return content;
  throw new AppError('data_folder_unusable', `${placeIn(dataFolder).secrets} is missing: restore it from a backup`);
}

async function withNewKey(content: SecretContent, nowMs: number): Promise<SecretContent> {
  return { ...content, ticketKeys: inOrder([...content.ticketKeys, await makeSigningKey(nowMs + ROTATION.aheadMs)]) };
}

/**
 * Makes a key that signs tickets from a minute on.
 * @throws AppError `busy` while the last one that was made does not sign yet, `data_folder_unusable`, `data_folder_locked`
 */
export async function rotateKeys(dataFolder: string, nowMs: number): Promise<readonly SigningKey[]> {
  const change = (content: SecretContent | null): Promise<SecretContent> => {
    const current = existing(dataFolder, content);
    if (isRotating(current.ticketKeys, nowMs)) throw new AppError('busy', 'a key was made within the last minute and does not sign yet');
    return withNewKey(current, nowMs);
  };
  return (await revise(dataFolder, change, nowMs)).ticketKeys;
}

/** More than one command names: of a day a key each minute, the fastest at which they are made. */
const WITHDRAWN_MAX = 2000;

function withdrawing(content: SecretContent, keys: readonly Pick<SigningKey, 'id'>[]): Pick<SecretContent, 'withdrawnKeys'> {
  return { withdrawnKeys: [...content.withdrawnKeys, ...keys.map(({ id }) => id)].slice(-WITHDRAWN_MAX) };
}

/**
 * For when somebody may have the keys: one that signs at once takes their place, and what they signed is good for nothing, wherever it is in use. The
 * daemon takes over the new key between the two steps, so that nobody is given a ticket that is refused. Killed between them, only what has not signed yet
 * is withdrawn.
 * @param taken resolves when a daemon that runs has had time to look
 * @throws AppError `data_folder_unusable`, `data_folder_locked`
 */
export async function withdrawKeys(dataFolder: string, now: () => number, taken: () => Promise<void>): Promise<readonly SigningKey[]> {
  const made = await makeSigningKey(now());
  const addNow = (content: SecretContent | null): SecretContent => {
    const current = existing(dataFolder, content);
    // the daemon has signed nothing yet with a key that will sign, but a thief does not wait
    const early = current.ticketKeys.filter(({ signsFromMs }) => signsFromMs > made.signsFromMs);
    const ticketKeys = [...current.ticketKeys.filter((key) => !early.includes(key)), made];
    return { ...current, ticketKeys, ...withdrawing(current, early) };
  };
  const leaveAlone = (content: SecretContent | null): SecretContent => {
    const current = existing(dataFolder, content);
    const others = [...current.retiredKeys, ...current.ticketKeys].filter(({ id }) => id !== made.id);
    return { ...current, ticketKeys: [made], retiredKeys: [], ...withdrawing(current, others) };
  };
  await revise(dataFolder, addNow, made.signsFromMs);
  await taken();
  return (await revise(dataFolder, leaveAlone, now())).ticketKeys;
}

/** As they are now; changes nothing. @throws AppError `data_folder_unusable` */
export async function readSecretContent(dataFolder: string): Promise<SecretContent> {
  return existing(dataFolder, await readSecrets(placeIn(dataFolder).secrets));
}

/**
 * Reads DATA/auth/secrets.json, or makes it, and publishes the ticket keys in DATA/auth/ticket_keys.json (a JWKS).
 * @param options.mayCreate false once there are accounts: new secrets would lock everyone out
 * @param options.now milliseconds since 1970
 * @throws AppError `data_folder_unusable`, `data_folder_locked`
 */
export async function openSecrets(dataFolder: string, options: { mayCreate: boolean; now?: () => number }): Promise<Secrets> {
  const { mayCreate, now = Date.now } = options;
  const path = placeIn(dataFolder).secrets;
  let stamp = (await stampOf(path)) ?? 'none yet';
  const made = (content: SecretContent | null) => (content === null && mayCreate ? makeSecrets(now()) : existing(dataFolder, content));
  const { ticketKeys, withdrawnKeys: _, retiredKeys: __, ...lasting } = await revise(dataFolder, made, now());
  let keys = ticketKeys;
  return {
    ...lasting,
    boxPublicKey: Buffer.from(createPublicKey(lasting.boxKey).export({ format: 'jwk' }).x ?? '', 'base64url'),
    signingKeyAt: (issuedAtMs) => signingKeyAt(keys, issuedAtMs),
    async tend() {
      const atMs = now();
      const found = (await stampOf(path)) ?? 'gone';
      if (found === stamp && !isRotationDue(keys, atMs) && publishedKeysAt(keys, atMs).length === keys.length) return null;
      let isMade = false;
      const change = (content: SecretContent | null): SecretContent | Promise<SecretContent> => {
        const current = existing(dataFolder, content);
        isMade = isRotationDue(current.ticketKeys, atMs);
        return isMade ? withNewKey(current, atMs) : current;
      };
      keys = (await revise(dataFolder, change, atMs)).ticketKeys;
      stamp = found; // of before: what was written meanwhile, also by this, is looked at the next time
      return isMade ? (keys.at(-1)?.id ?? null) : null;
    },
  };
}
