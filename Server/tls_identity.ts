import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { AppError } from '../Models/errors.ts';
import { makeDurableFolder, writeDurableFile } from '../Storage/durable_file.ts';
import { forgetReplacementRequest, pinOf, publishServerPins, requestedReplacement } from '../Storage/server_pins.ts';
import { CERTIFICATE_MS, makeCertificate } from './tls_certificate.ts';

/** PEM, as Node takes them. */
export type KeyPair = { readonly key: string; readonly cert: string };
/** Who the server is on HTTPS. Its pins are published before anybody can meet them. */
export type TlsIdentity = {
  current(): KeyPair;
  /** Tells the new pair at once when it takes the place of the present one. */
  onChange(listener: (pair: KeyPair) => void): void;
  /** To be called every second: takes up what was asked for and what has come due. @throws the system's error, `config_invalid`; then all stays as it is */
  refresh(): Promise<void>;
};
export type TlsOptions = {
  readonly dataFolder: string;
  /** Whom the certificate names. */
  readonly names: readonly string[];
  readonly now: () => number;
};

/** A certificate is replaced when less than this is left of it: a third of a year for somebody to see that it did not go well. */
const REPLACE_BEFORE_MS = 97 * 86_400_000;
/** How long a given certificate that changed is announced before it is used; the daemon looks every second. */
const ANNOUNCED_MS = 3000;

const Pem = z.string().startsWith('-----BEGIN ');
const IdentityFile = z.object({ version: z.literal(1), key: Pem, nextKey: Pem, certificate: Pem });
type IdentityFile = z.infer<typeof IdentityFile>;

const newKey = (): string => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
};
const pinOfPem = (key: string): string => pinOf(createPublicKey(key));

/**
 * A key and the one that will follow it, made once and kept in DATA/server/tls.json (0600). Both are announced all the time, so a client that
 * knew the two before a replacement knows the present key after it.
 * @throws AppError `data_folder_unusable`
 */
export async function openOwnIdentity(options: TlsOptions): Promise<TlsIdentity> {
  const { dataFolder, names, now } = options;
  const folder = join(dataFolder, 'server');
  const path = join(folder, 'tls.json');
  const listeners: ((pair: KeyPair) => void)[] = [];

  async function write(key: string, nextKey: string): Promise<IdentityFile> {
    const certificate = await makeCertificate({ key: createPrivateKey(key), names, atMs: now() });
    const file: IdentityFile = { version: 1, key, nextKey, certificate };
    await writeDurableFile(path, `${JSON.stringify(file, null, 2)}\n`, 0o600);
    return file;
  }
  async function publish(): Promise<void> {
    const announced = file;
    if (published === announced) return;
    await publishServerPins(dataFolder, [pinOfPem(announced.key), pinOfPem(announced.nextKey)]);
    published = announced;
  }
  const pair = (): KeyPair => ({ key: file.key, cert: file.certificate });
  const remainingMs = (): number => new X509Certificate(file.certificate).validToDate.getTime() - now();

  /** On disk, then in use, then announced without the old one: whoever was told before knows the new one. */
  async function replace(): Promise<void> {
    file = await write(file.nextKey, newKey());
    for (const listener of listeners) listener(pair());
  }

  async function open(): Promise<IdentityFile> {
    const stored = await readIdentity(path);
    if (stored !== null) return stored;
    await makeDurableFolder(folder, 0o700);
    return write(newKey(), newKey());
  }

  let published: IdentityFile | null = null;
  let file = await open().catch(asUnusable(folder));
  await publish().catch(asUnusable(folder));
  return {
    current: pair,
    onChange: (listener) => void listeners.push(listener),
    async refresh() {
      const left = remainingMs();
      const due = left < REPLACE_BEFORE_MS || left > 2 * CERTIFICATE_MS; // or the clock was wrong when it was made
      const asked = await requestedReplacement(dataFolder);
      if (due || asked === pinOfPem(file.key)) await replace();
      await publish();
      if (asked !== null) await forgetReplacementRequest(dataFolder);
    },
  };
}

/**
 * What an administrator gave; looked at again while the server runs, so that whatever renews it need not restart anything.
 * @throws AppError `config_invalid` when the two do not fit each other or cannot be read
 */
export async function openGivenIdentity(
  given: { readonly certificate: string; readonly key: string },
  { dataFolder, now }: Pick<TlsOptions, 'dataFolder' | 'now'>,
): Promise<TlsIdentity> {
  const listeners: ((pair: KeyPair) => void)[] = [];
  const changedAt = async (): Promise<string> =>
    (await Promise.all([stat(given.certificate), stat(given.key)])).map(({ mtimeMs, ino }) => `${mtimeMs} ${ino}`).join();

  let seen = await changedAt().catch(asInvalid);
  let inUse = await readPair(given).catch(asInvalid);
  let next: { readonly pair: KeyPair; readonly fromMs: number } | null = null;
  await publishServerPins(dataFolder, [pinOfPem(inUse.key)]).catch(asUnusable(dataFolder));
  return {
    current: () => inUse,
    onChange: (listener) => void listeners.push(listener),
    async refresh() {
      const stamp = await changedAt();
      if (stamp !== seen) {
        const pair = await readPair(given); // throws while one of the two has not come yet
        await publishServerPins(dataFolder, [pinOfPem(inUse.key), pinOfPem(pair.key)]);
        next = { pair, fromMs: now() + ANNOUNCED_MS };
        seen = stamp;
      }
      if (next === null || now() < next.fromMs) return;
      inUse = next.pair;
      next = null;
      for (const listener of listeners) listener(inUse);
      await publishServerPins(dataFolder, [pinOfPem(inUse.key)]);
    },
  };
}

async function readPair(given: { readonly certificate: string; readonly key: string }): Promise<KeyPair> {
  const [cert, key] = await Promise.all([readFile(given.certificate, 'utf8'), readFile(given.key, 'utf8')]);
  let privateKey: KeyObject;
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
    privateKey = createPrivateKey(key);
  } catch {
    // the cause could quote the key
    throw new AppError('config_invalid', 'DRIFTLESS_TLS_CERT or DRIFTLESS_TLS_KEY is not PEM, or needs a passphrase');
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new AppError('config_invalid', 'DRIFTLESS_TLS_KEY is not the key of DRIFTLESS_TLS_CERT');
  }
  return { key, cert };
}

async function readIdentity(path: string): Promise<IdentityFile | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const isOpen = ((await stat(path)).mode & 0o077) !== 0 && process.platform !== 'win32'; // which has no such bits
  if (isOpen) throw new AppError('data_folder_unusable', `others may use ${path}: chmod 600 it, and think of who may have read it`);
  try {
    return IdentityFile.parse(JSON.parse(text));
  } catch {
    // the cause would quote the file
    throw new AppError(
      'data_folder_unusable',
      `${path} is damaged: restore it from a backup, or remove it: clients learn the new key when they renew`,
    );
  }
}

function asUnusable(folder: string): (cause: unknown) => never {
  return (cause) => {
    if (cause instanceof AppError) throw cause;
    throw new AppError('data_folder_unusable', `cannot use ${folder}`, { cause });
  };
}

function asInvalid(cause: unknown): never {
  if (cause instanceof AppError) throw cause;
  throw new AppError('config_invalid', 'DRIFTLESS_TLS_CERT or DRIFTLESS_TLS_KEY cannot be read', { cause });
}
