import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, createReadStream, createWriteStream, mkdirSync, openSync, writeSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

export type Workload = 'small' | 'many' | 'big';

type Tree = { readonly folders: number; readonly filesPerFolder: number; readonly bytesPerFile: number };
const MiB = 1024 * 1024;

export const WORKLOADS: Record<Workload, Tree> = {
  small: { folders: 100, filesPerFolder: 100, bytesPerFile: 4096 },
  many: { folders: 1000, filesPerFolder: 100, bytesPerFile: 1024 },
  big: { folders: 1, filesPerFolder: 1, bytesPerFile: 1024 * MiB },
};

export const BIG_FILE = 'folder-0000/file-0000.bin';

/** Bytes that look random and are the same for the same seed: AES-CTR over zeros. */
function seededBytes(seed: string): (length: number) => Buffer {
  const cipher = createCipheriv('aes-128-ctr', createHash('sha256').update(seed).digest().subarray(0, 16), Buffer.alloc(16));
  return (length) => cipher.update(Buffer.alloc(length));
}

/** Writes a workload's files below `folder`. @param scale 1 for the whole, less for a trial: the number of files, or the size of the one file */
export function makeTree(folder: string, workload: Workload, seed: string, scale: number): void {
  const { folders, filesPerFolder, bytesPerFile } = WORKLOADS[workload];
  const bytes = seededBytes(`${seed} ${workload}`);
  const single = folders * filesPerFolder === 1;
  const folderCount = single ? 1 : Math.max(1, Math.round(folders * scale));
  const fileBytes = single ? Math.round(bytesPerFile * scale) : bytesPerFile;
  for (let f = 0; f < folderCount; f += 1) {
    const inner = join(folder, `folder-${String(f).padStart(4, '0')}`);
    mkdirSync(inner, { recursive: true });
    for (let i = 0; i < filesPerFolder; i += 1) writeFile(join(inner, `file-${String(i).padStart(4, '0')}.bin`), fileBytes, bytes);
  }
}

function writeFile(path: string, length: number, bytes: (length: number) => Buffer): void {
  const file = openSync(path, 'wx');
  for (let left = length; left > 0; left -= MiB) writeSync(file, bytes(Math.min(left, MiB)));
  closeSync(file);
}

/** One byte put in at the head of a file: everything behind it moves by one. */
export async function insertByteAtHead(path: string): Promise<void> {
  const next = `${path}.next`;
  const target = createWriteStream(next, { flags: 'wx' });
  target.write('!');
  await pipeline(createReadStream(path, { highWaterMark: MiB }), target);
  await rename(next, path);
}
