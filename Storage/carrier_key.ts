import { randomBytes } from 'node:crypto';
import { link, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../Models/errors.ts';
import { makeDurableFolder, syncFolder, writeDurableFile } from './durable_file.ts';

const KEY_BYTES = 32;
const ANEW = 'remove it and start the authentication daemon and the file server again, a new one will be made';

/**
 * The key that daemon and server know each other by, DATA/auth/carrier_key (hex, 0640: the two may run as two users of a group). Whoever comes first makes it; nothing but what is under way
 * depends on it. Each reads it once: with another key both must be started again, until when what is carried gets no answer.
 * @throws AppError `data_folder_unusable`
 */
export async function openCarrierKey(dataFolder: string): Promise<Uint8Array> {
  const folder = join(dataFolder, 'auth');
  const path = join(folder, 'carrier_key');
  try {
    return (await readKey(path)) ?? (await makeKey(folder, path));
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError('data_folder_unusable', `cannot use ${path}`, { cause });
  }
}

async function readKey(path: string): Promise<Uint8Array | null> {
  let text: string;
  try {
    if (((await stat(path)).mode & 0o027) !== 0 && process.platform !== 'win32') {
      throw new AppError('data_folder_unusable', `others may use ${path}: ${ANEW}`);
    }
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const key = Buffer.from(text.trim(), 'hex');
  if (key.length !== KEY_BYTES) throw new AppError('data_folder_unusable', `${path} is damaged: ${ANEW}`);
  return key;
}

/** Two processes that both make one end up with the same: a name can be linked once. */
async function makeKey(folder: string, path: string): Promise<Uint8Array> {
  await makeDurableFolder(folder, 0o700);
  const own = `${path}.${randomBytes(8).toString('hex')}`;
  await writeDurableFile(own, `${randomBytes(KEY_BYTES).toString('hex')}\n`, 0o640);
  try {
    await link(own, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(own, { force: true });
  }
  await syncFolder(folder);
  const key = await readKey(path);
  if (key === null) throw new Error('the key that was just made is not there');
  return key;
}
