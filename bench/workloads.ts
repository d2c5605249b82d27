import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, createReadStream, createWriteStream, mkdirSync, openSync, writeSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

export type Workload = 'small' | 'many' | 'big' | 'million';

type Tree = { readonly folders: number; readonly filesPerFolder: number; readonly bytesPerFile: number };
const MiB = 1024 * 1024;

export const WORKLOADS: Record<Workload, Tree> = {
  small: { folders: 100, filesPerFolder: 100, bytesPerFile: 4096 },
  many: { folders: 1000, filesPerFolder: 100, bytesPerFile: 1024 },
  million: { folders: 1000, filesPerFolder: 1000, bytesPerFile: 16 },
  big: { folders: 1, filesPerFolder: 1, bytesPerFile: 1024 * MiB },
};

export const BIG_FILE = 'folder-0000/file-0000.bin';

/** Bytes that look random and are the same for the same seed: AES-CTR over zeros. */
function seededBytes(seed: string): (length: number) => Buffer {
  const cipher = createCipheriv('aes-128-ctr', createHash('sha256').update(seed).digest().subarray(0, 16), Buffer.alloc(16));
  return (length) => cipher.update(Buffer.alloc(length));
}

/**
 * Writes a workload's files below `folder`.
 * @param scale 1 for the whole, less for a trial: the number of files, or the size of the one file
 * @returns the paths of the files below `folder`, in order
 */
export function makeTree(folder: string, workload: Workload, seed: string, scale: number): string[] {
  const { folders, filesPerFolder, bytesPerFile } = WORKLOADS[workload];
  const bytes = seededBytes(`${seed} ${workload}`);
  const single = folders * filesPerFolder === 1;
  const folderCount = single ? 1 : Math.max(1, Math.round(folders * scale));
  const fileBytes = single ? Math.round(bytesPerFile * scale) : bytesPerFile;
  const paths: string[] = [];
  for (let f = 0; f < folderCount; f += 1) {
    const inner = `folder-${String(f).padStart(4, '0')}`;
    mkdirSync(join(folder, inner), { recursive: true });
    for (let i = 0; i < filesPerFolder; i += 1) {
      const path = join(inner, `file-${String(i).padStart(4, '0')}.bin`);
      writeFile(join(folder, path), fileBytes, bytes);
      paths.push(path);
    }
  }
  return paths;
}

function writeFile(path: string, length: number, bytes: (length: number) => Buffer): void {
  const file = openSync(path, 'wx');
  for (let left = length; left > 0; left -= MiB) writeSync(file, bytes(Math.min(left, MiB)));
  closeSync(file);
}

/** One byte put in at the head of a file: everything behind it moves by one. */
export async function insertByteAtHead(path: string): Promise<void> {
  const next = `${path}.next`;
  await writeWithByteAtHead(path, next);
  await rename(next, path);
}

/** The same, into another file. */
export async function writeWithByteAtHead(path: string, next: string): Promise<void> {
  const target = createWriteStream(next, { flags: 'wx' });
  target.write('!');
  await pipeline(createReadStream(path, { highWaterMark: MiB }), target);
}
