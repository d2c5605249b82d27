import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { client, ready, server } from '@serenity-kit/opaque';
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint';
import { z } from 'zod';
import { AppError } from '../Models/errors.ts';
import { inOrder, type SigningKey } from './signing_keys.ts';

/** What is in DATA/auth/secrets.json. */
export type SecretContent = {
  readonly master: Buffer; // 32 bytes
  readonly opaqueSetup: string; // base64url, 128 bytes
  readonly dummyRecord: Buffer; // 192 bytes
  readonly boxKey: KeyObject; // X25519
  readonly ticketKeys: readonly SigningKey[]; // by `signsFromMs`, at least one
  /** Ids of keys that somebody else may have: what they signed is good for nothing. The newest are last. */
  readonly withdrawnKeys: readonly string[];
  /** Of keys that are over: what was begun with a ticket of theirs may be under way for a day more. */
  readonly retiredKeys: readonly RetiredKey[];
};
export type RetiredKey = { readonly id: string; readonly sinceMs: number };

const Base64url = z.string().regex(/^[A-Za-z0-9_-]+$/);
const Lasting = { master: Base64url.length(43), opaqueSetup: Base64url.length(171), dummyRecord: Base64url.length(256), boxKey: Base64url };
const TicketKey = z.object({ key: Base64url, signsFromMs: z.int().min(0) }); // PKCS #8 DER, as the box key
const Gone = {
  withdrawnKeys: z.array(z.string()).default([]),
  retiredKeys: z.array(z.object({ id: z.string(), sinceMs: z.int() })).default([]),
};
/** The first version had one ticket key, as old as the file. */
const SecretsFile = z.discriminatedUnion('version', [
  z.object({ version: z.literal(1), ...Lasting, ticketKey: Base64url }),
  z.object({ version: z.literal(2), ...Lasting, ticketKeys: z.array(TicketKey).min(1), ...Gone }),
]);

const derOf = (key: KeyObject): string => key.export({ format: 'der', type: 'pkcs8' }).toString('base64url');
const keyOf = (der: string): KeyObject => createPrivateKey({ key: Buffer.from(der, 'base64url'), format: 'der', type: 'pkcs8' });

async function signingKey(key: KeyObject, signsFromMs: number): Promise<SigningKey> {
  const thumbprint = await calculateJwkThumbprint(createPublicKey(key).export({ format: 'jwk' }));
  return { id: thumbprint.slice(0, 8), key, signsFromMs };
}

export function makeSigningKey(signsFromMs: number): Promise<SigningKey> {
  return signingKey(generateKeyPairSync('ed25519').privateKey, signsFromMs);
}

/** The stretching makes no difference here: nobody knows the password, and the record looks like any other. */
function makeDummyRecord(opaqueSetup: string): Buffer {
  const password = randomBytes(32).toString('base64url');
  const { clientRegistrationState, registrationRequest } = client.startRegistration({ password });
  const { registrationResponse } = server.createRegistrationResponse({
    serverSetup: opaqueSetup,
    userIdentifier: 'nobody',
    registrationRequest,
  });
  const keyStretching = { 'argon2id-custom': { iterations: 1, memory: 64, parallelism: 1 } };
  const made = client.finishRegistration({ password, registrationResponse, clientRegistrationState, keyStretching });
  return Buffer.from(made.registrationRecord, 'base64url');
}

export async function makeSecrets(atMs: number): Promise<SecretContent> {
  await ready;
  const opaqueSetup = server.createSetup();
  return {
    master: randomBytes(32),
    opaqueSetup,
    dummyRecord: makeDummyRecord(opaqueSetup),
    boxKey: generateKeyPairSync('x25519').privateKey,
    ticketKeys: [await makeSigningKey(atMs)],
    withdrawnKeys: [],
    retiredKeys: [],
  };
}

export function encodeSecrets(content: SecretContent): string {
  const file: z.input<typeof SecretsFile> = {
    version: 2,
    master: content.master.toString('base64url'),
    opaqueSetup: content.opaqueSetup,
    dummyRecord: content.dummyRecord.toString('base64url'),
    boxKey: derOf(content.boxKey),
    ticketKeys: content.ticketKeys.map(({ key, signsFromMs }) => ({ key: derOf(key), signsFromMs })),
    withdrawnKeys: [...content.withdrawnKeys],
    retiredKeys: [...content.retiredKeys],
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

async function decodeSecrets(text: string, madeAtMs: number): Promise<SecretContent> {
  const file = SecretsFile.parse(JSON.parse(text));
  const stored = file.version === 1 ? [{ key: file.ticketKey, signsFromMs: madeAtMs }] : file.ticketKeys;
  const ticketKeys = await Promise.all(stored.map(({ key, signsFromMs }) => signingKey(keyOf(key), signsFromMs)));
  return {
    master: Buffer.from(file.master, 'base64url'),
    opaqueSetup: file.opaqueSetup,
    dummyRecord: Buffer.from(file.dummyRecord, 'base64url'),
    boxKey: keyOf(file.boxKey),
    ticketKeys: inOrder(ticketKeys),
    withdrawnKeys: file.version === 1 ? [] : file.withdrawnKeys,
    retiredKeys: file.version === 1 ? [] : file.retiredKeys,
  };
}

/** Changes whenever the file was replaced; `null` when there is none. */
export async function stampOf(path: string): Promise<string | null> {
  try {
    const { mtimeMs, ino, size } = await stat(path);
    return `${mtimeMs} ${ino} ${size}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AppError('data_folder_unusable', `cannot read ${path}`, { cause: error });
  }
}

/** @returns `null` when there is no file. @throws AppError `data_folder_unusable`: unreadable, open to others, damaged */
export async function readSecrets(path: string): Promise<SecretContent | null> {
  let text: string;
  let status: Awaited<ReturnType<typeof stat>>;
  try {
    status = await stat(path);
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AppError('data_folder_unusable', `cannot read ${path}`, { cause });
  }
  const isOpen = (status.mode & 0o077) !== 0 && process.platform !== 'win32'; // which has no such bits
  if (isOpen) throw new AppError('data_folder_unusable', `others may use ${path}: chmod 600 it, and think of who may have read it`);
  try {
    return await decodeSecrets(text, Math.floor(status.mtimeMs));
  } catch {
    // the cause would quote the file
    throw new AppError('data_folder_unusable', `${path} is damaged: restore it from a backup`);
  }
}
