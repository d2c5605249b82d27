import { createHash, type KeyObject } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeDurableFolder, writeDurableFile } from './durable_file.ts';

/**
 * What the server tells the daemon of its certificates, and what an administrator asks of it: two small files in DATA/server. Nothing in them is
 * secret. A *pin* is the SHA-256 of a public key (SPKI, DER) in base64, as curl's `--pinnedpubkey sha256//…` takes it.
 */
const Pin = z.base64().length(44);
const PinsFile = z.object({ version: z.literal(1), pins: z.array(Pin).min(1).max(4) });
const RequestFile = z.object({ version: z.literal(1), replace: Pin });

const folderOf = (dataFolder: string): string => join(dataFolder, 'server');
const pinsPath = (dataFolder: string): string => join(folderOf(dataFolder), 'tls_pins.json');
const requestPath = (dataFolder: string): string => join(folderOf(dataFolder), 'replace_key.json');
const textOf = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** @param publicKey of a certificate, or of the private key it was made with */
export function pinOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ format: 'der', type: 'spki' }))
    .digest('base64');
}

/** @returns the keys a client may meet, the present one first; none before the server first ran. @throws the system's error, or of what is damaged */
export async function readServerPins(dataFolder: string): Promise<readonly string[]> {
  return (await readJson(pinsPath(dataFolder), PinsFile))?.pins ?? [];
}

export async function publishServerPins(dataFolder: string, pins: readonly string[]): Promise<void> {
  await makeDurableFolder(folderOf(dataFolder), 0o700);
  await writeDurableFile(pinsPath(dataFolder), textOf({ version: 1, pins }), 0o644);
}

/**
 * Asks the server to put its next key in the place of the present one; a server that runs does so within two seconds, another when it starts.
 * @returns the key that is to go, or `null` where there is no next one: the server has none of its own, or none yet
 */
export async function requestKeyReplacement(dataFolder: string): Promise<string | null> {
  const [replace, next] = await readServerPins(dataFolder);
  if (replace === undefined || next === undefined) return null;
  await writeDurableFile(requestPath(dataFolder), textOf({ version: 1, replace }), 0o600);
  return replace;
}

/** @returns the key that somebody asked to be replaced: a request that was carried out already names another than the present one */
export async function requestedReplacement(dataFolder: string): Promise<string | null> {
  return (await readJson(requestPath(dataFolder), RequestFile))?.replace ?? null;
}

export function forgetReplacementRequest(dataFolder: string): Promise<void> {
  return rm(requestPath(dataFolder), { force: true });
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
