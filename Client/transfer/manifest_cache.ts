import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { DIGEST_BYTES } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import { FrameWriter, PayloadReader } from '../../Models/frames.ts';
import type { TreeEntry } from '../../Models/tree_frames.ts';
import { type FileFacts, mtimeUs, permissions, sha256 } from './local_files.ts';
import type { SentFile } from './put_task.ts';

/** The version that a long file had here last time, and its chunks: so that a change to it is sent without first asking what is there. */
export type CachedVersion = { readonly entry: TreeEntry; readonly chunks: readonly { digest: Uint8Array; length: number }[] };

export type ManifestCache = {
  recall(remote: string): Promise<CachedVersion | null>;
  remember(remote: string, version: number, stats: FileFacts, sent: SentFile): void;
  forget(remote: string): void;
  /** What was remembered is written. */
  settle(): Promise<void>;
};

const FORMAT = 2;
const FILES_MAX = 2048;

/**
 * One file for each remote path, below `home`. Only a cache: a file that is missing, old or damaged (its last 32 bytes are the SHA-256 of
 * the rest) costs bytes on the wire and nothing else, so it is never synced.
 * @param scope what the remote paths belong to: server and user
 */
export function openManifestCache(home: string, scope: string): ManifestCache {
  const folder = join(home, 'cache', 'manifests');
  const fileOf = (remote: string): string => join(folder, createHash('sha256').update(`${scope}\0${remote}`).digest('hex').slice(0, 40));
  let writing: Promise<void> = Promise.resolve();
  const later = (work: () => Promise<void>): void => {
    writing = writing.then(work).catch(() => undefined); // a cache that cannot be written is no cache
  };
  return {
    async recall(remote) {
      await writing;
      return readVersion(fileOf(remote));
    },
    remember: (remote, version, stats, sent) => later(() => writeVersion(folder, fileOf(remote), version, stats, sent)),
    forget: (remote) => later(() => unlink(fileOf(remote))),
    settle: () => writing,
  };
}

async function writeVersion(folder: string, path: string, version: number, stats: FileFacts, { digest, chunks }: SentFile): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const writer = new FrameWriter(chunks.length * 36 + 256);
  writer.u8(FORMAT).f64(version).f64(stats.size).f64(mtimeUs(stats)).u16(permissions(stats)).bytes(digest);
  for (const chunk of chunks) writer.bytes(chunk.digest).u32(chunk.length);
  const bytes = writer.take();
  const temporary = `${path}.${process.pid}`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(Buffer.concat([bytes, sha256(bytes)]));
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
  await dropOldest(folder);
}

async function readVersion(path: string): Promise<CachedVersion | null> {
  try {
    const file = await readFile(path);
    const bytes = file.subarray(0, -DIGEST_BYTES);
    if (!sha256(bytes).equals(file.subarray(-DIGEST_BYTES))) return null;
    return parseVersion(bytes);
  } catch (error) {
    if (error instanceof AppError || (error instanceof Error && 'code' in error)) return null;
    throw error;
  }
}

function parseVersion(bytes: Uint8Array): CachedVersion | null {
  const reader = new PayloadReader(bytes);
  if (reader.u8() !== FORMAT) return null;
  const version = reader.f64();
  const size = reader.f64();
  const mtime = reader.f64();
  const mode = reader.u16();
  const digest = reader.bytes(DIGEST_BYTES);
  const chunks: { digest: Uint8Array; length: number }[] = [];
  while (reader.remaining > 0) chunks.push({ digest: reader.bytes(DIGEST_BYTES), length: reader.u32() });
  const entry: TreeEntry = {
    name: '',
    kind: 'file',
    size,
    mtimeUs: mtime,
    version,
    mode,
    chunkCount: chunks.length,
    digest,
    target: null,
  };
  return { entry, chunks };
}

async function dropOldest(folder: string): Promise<void> {
  const names = await readdir(folder);
  if (names.length <= FILES_MAX) return;
  const ages = await Promise.all(names.map(async (name) => ({ name, at: (await stat(join(folder, name))).mtimeMs })));
  ages.sort((a, b) => a.at - b.at);
  for (const { name } of ages.slice(0, names.length - FILES_MAX)) await unlink(join(folder, name));
}
