import { findCut } from '../../../Models/chunking.ts';
import { contentId } from '../../../Models/content_id.ts';
import { LIMITS } from '../../../Models/limits.ts';
import { fillFrom } from '../../transfer/byte_file.ts';
import { ChunkReader } from '../../transfer/chunk_reader.ts';
import { sha256 } from '../../transfer/local_files.ts';
import type { DiskFile, DiskStat } from './disk.ts';
import { SYNC_BYTES } from './local_tree.ts';

/** `hashLocal`, or what stands for it. */
export type HashLocal = typeof hashLocal;

type Into = Pick<DiskFile, 'write' | 'syncLater'>;

/**
 * Reads a file for its content id.
 * @param into what is read is written there too, and a long file made durable on the way
 * @returns the id in hex and the state that was read; `null` when it changed meanwhile
 * @throws the system's error
 */
export async function hashLocal(open: () => DiskFile, into: Into | null = null): Promise<{ content: string; stat: DiskStat } | null> {
  const file = open();
  try {
    const before = file.stat();
    const chunks = before.size <= LIMITS.chunkBytesMin ? chunkOfShort(file, before.size, into) : await chunksOf(file, before.size, into);
    const after = file.stat();
    const same = before.size === after.size && before.mtimeMs === after.mtimeMs && before.ctimeMs === after.ctimeMs;
    const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
    return same && bytes === after.size ? { content: contentId(chunks, sha256).toString('hex'), stat: after } : null;
  } finally {
    file.close();
  }
}

type Chunk = { readonly digest: Buffer; readonly length: number };

/** Without the large buffers that reading ahead needs: most files are short. */
function chunkOfShort(file: DiskFile, size: number, into: Into | null): Chunk[] {
  const bytes = new Uint8Array(size + 1); // one more would show that it has grown
  const length = fillFrom(file, bytes, 0);
  into?.write(bytes.subarray(0, length), 0);
  return length === 0 ? [] : [{ digest: sha256(bytes.subarray(0, length)), length }];
}

async function chunksOf(file: DiskFile, size: number, into: Into | null): Promise<Chunk[]> {
  const reader = new ChunkReader(file, size);
  try {
    const chunks: Chunk[] = [];
    let position = 0;
    let synced = 0;
    for (let chunk = await reader.next(null); chunk !== null; chunk = await reader.next(null)) {
      into?.write(chunk.content, position);
      position += chunk.length;
      chunks.push({ digest: chunk.digest, length: chunk.length });
      chunk.release();
      if (into === null || position - synced < SYNC_BYTES) continue;
      await into.syncLater();
      synced = position;
    }
    return chunks;
  } finally {
    await reader.settle().catch(Boolean); // a failed read was thrown where it was awaited
  }
}

const COMPARED_BYTES_MAX = 32 << 20;

/** Whether a file has the content with this id, read at once. A very long one, or an unknown content: no. */
export function contentIs(file: DiskFile, content: string | null): boolean {
  const { size } = file.stat();
  if (content === null || size > COMPARED_BYTES_MAX) return false;
  const bytes = new Uint8Array(size);
  for (let length = 0; length < size; ) {
    const read = file.read(bytes.subarray(length), length);
    if (read === 0) return false;
    length += read;
  }
  const chunks: { digest: Buffer; length: number }[] = [];
  for (let at = 0; at < size; ) {
    const end = findCut(bytes, at, size);
    chunks.push({ digest: sha256(bytes.subarray(at, end)), length: end - at });
    at = end;
  }
  return contentId(chunks, sha256).toString('hex') === content;
}
