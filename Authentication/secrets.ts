import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { client, ready, server } from '@serenity-kit/opaque';
import { calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { AppError } from '../Models/errors.ts';
import { makeDurableFolder, writeDurableFile } from '../Storage/durable_file.ts';

/** What only the daemon knows. Without these nobody can log in, so the file belongs to every backup. */
export type Secrets = {
  readonly master: Buffer; // 32 bytes; renewal secrets are derived from it
  readonly opaqueSetup: string; // base64url, 128 bytes
  readonly dummyRecord: Buffer; // registration of a random password, for users that do not exist
  readonly boxKey: KeyObject; // X25519
  readonly boxPublicKey: Buffer; // raw, 32 bytes: what clients pin
  readonly ticketKey: KeyObject; // Ed25519
  readonly ticketKeyId: string;
};

const Base64url = z.string().regex(/^[A-Za-z0-9_-]+$/);
const SecretsFile = z.object({
  version: z.literal(1),
  master: Base64url.length(43),
  opaqueSetup: Base64url.length(171),
  dummyRecord: Base64url.length(256),
  boxKey: Base64url, // PKCS #8 DER
  ticketKey: Base64url,
});
type SecretsFile = z.infer<typeof SecretsFile>;

/** The stretching makes no difference here: nobody knows the password, and the record looks like any other. */
function dummyRecord(opaqueSetup: string): string {
  const password = randomBytes(32).toString('base64url');
  const { clientRegistrationState, registrationRequest } = client.startRegistration({ password });
  const name = 'nobody';
  const { registrationResponse } = server.createRegistrationResponse({
    serverSetup: opaqueSetup,
    userIdentifier: name,
    registrationRequest,
  });
  const keyStretching = { 'argon2id-custom': { iterations: 1, memory: 64, parallelism: 1 } };
  return client.finishRegistration({ password, registrationResponse, clientRegistrationState, keyStretching }).registrationRecord;
}

function createSecrets(): SecretsFile {
  const der = (key: KeyObject): string => key.export({ format: 'der', type: 'pkcs8' }).toString('base64url');
  const opaqueSetup = server.createSetup();
  return {
    version: 1,
    master: randomBytes(32).toString('base64url'),
    opaqueSetup,
    dummyRecord: dummyRecord(opaqueSetup),
    boxKey: der(generateKeyPairSync('x25519').privateKey),
    ticketKey: der(generateKeyPairSync('ed25519').privateKey),
  };
}

async function readSecrets(path: string): Promise<SecretsFile | null> {
  let text: string;
  let mode: number;
  try {
    mode = (await stat(path)).mode;
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AppError('data_folder_unusable', `cannot read ${path}`, { cause });
  }
  const isOpen = (mode & 0o077) !== 0 && process.platform !== 'win32'; // which has no such bits
  if (isOpen) throw new AppError('data_folder_unusable', `others may use ${path}: chmod 600 it, and think of who may have read it`);
  try {
    return SecretsFile.parse(JSON.parse(text));
  } catch {
    // the cause would quote the file
    throw new AppError('data_folder_unusable', `${path} is damaged: restore it from a backup`);
  }
}

/**
 * Reads DATA/auth/secrets.json, or makes it, and publishes the ticket key in DATA/auth/ticket_keys.json (a JWKS).
 * @param mayCreate false once there are accounts: new secrets would lock everyone out
 * @throws AppError `data_folder_unusable`
 */
export async function openSecrets(dataFolder: string, options: { mayCreate: boolean }): Promise<Secrets> {
  await ready;
  const folder = join(dataFolder, 'auth');
  const path = join(folder, 'secrets.json');
  let file = await readSecrets(path);
  try {
    if (file === null) {
      if (!options.mayCreate) throw new AppError('data_folder_unusable', `${path} is missing: restore it from a backup`);
      file = createSecrets();
      await makeDurableFolder(folder, 0o700);
      await writeDurableFile(path, `${JSON.stringify(file, null, 2)}\n`, 0o600);
    }
    const secrets = await secretsOf(file);
    const jwk = { ...createPublicKey(secrets.ticketKey).export({ format: 'jwk' }), kid: secrets.ticketKeyId, alg: 'EdDSA', use: 'sig' };
    await writeDurableFile(join(folder, 'ticket_keys.json'), `${JSON.stringify({ keys: [jwk] }, null, 2)}\n`, 0o644);
    return secrets;
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError('data_folder_unusable', `cannot write in ${folder}`, { cause });
  }
}

async function secretsOf(file: SecretsFile): Promise<Secrets> {
  const key = (der: string): KeyObject => createPrivateKey({ key: Buffer.from(der, 'base64url'), format: 'der', type: 'pkcs8' });
  const boxKey = key(file.boxKey);
  const ticketKey = key(file.ticketKey);
  const publicBox = createPublicKey(boxKey).export({ format: 'jwk' }).x ?? '';
  return {
    master: Buffer.from(file.master, 'base64url'),
    opaqueSetup: file.opaqueSetup,
    dummyRecord: Buffer.from(file.dummyRecord, 'base64url'),
    boxKey,
    boxPublicKey: Buffer.from(publicBox, 'base64url'),
    ticketKey,
    ticketKeyId: (await calculateJwkThumbprint(createPublicKey(ticketKey).export({ format: 'jwk' }))).slice(0, 8),
  };
}
