import type { Stats } from 'node:fs';
import { contentId } from '../../Models/content_id.ts';
import { AppError } from '../../Models/errors.ts';
import { FrameWriter } from '../../Models/frames.ts';
import { writeOperation } from '../../Models/operation_frames.ts';
import type { ChunkRef } from '../../Models/operations.ts';
import { OpenFile } from './byte_file.ts';
import { localError, lstatOrNull, mtimeUs, permissions, sameSnapshot, sha256 } from './local_files.ts';
import type { ManifestCache } from './manifest_cache.ts';
import type { PushStream } from './push_stream.ts';
import type { EntryTask, PutTask } from './put_task.ts';
import { fetchManifest } from './requests.ts';
import { type SendOptions, type SentContent, sendContent } from './send_content.ts';

type Options = SendOptions & { readonly cache: ManifestCache };

const SNAPSHOT_ATTEMPTS = 3;

/**
 * Sends a file of many chunks, told against the version that it replaces.
 * @returns the operation to send behind the chunks; it is registered
 * @throws AppError `file_changed`, `local_io`, `too_large`, and what the connection throws
 */
export async function sendLargeFile(options: Options, stream: () => PushStream<PutTask>, task: EntryTask): Promise<Uint8Array> {
  const base = await baseChunks(options, task);
  for (let attempt = 0; attempt < SNAPSHOT_ATTEMPTS; attempt += 1) {
    const sent = await sendStable(options, stream, task.local, base);
    if (sent === null) continue;
    const { chunks, runs, stats } = sent;
    const digest = contentId(chunks, sha256);
    const done: EntryTask = { ...task, stats, sent: { digest, chunks } };
    const writer = new FrameWriter(4096);
    writeOperation(writer, stream().register(done), {
      kind: 'put',
      path: task.remote,
      size: stats.size,
      mtimeUs: mtimeUs(stats),
      mode: permissions(stats),
      base: task.entry === null ? 'absent' : task.entry.version,
      digest,
      chunks: runs,
    });
    return writer.take();
  }
  throw new AppError('file_changed', 'the file kept changing while it was read');
}

async function baseChunks({ http, cache }: Options, { remote, entry }: EntryTask): Promise<readonly ChunkRef[]> {
  if (entry === null || entry.kind !== 'file' || entry.chunkCount === 0) return [];
  const cached = await cache.recall(remote);
  if (cached !== null && cached.entry.version === entry.version) return cached.chunks;
  const manifest = await fetchManifest(http, remote);
  return manifest !== null && manifest.version === entry.version ? manifest.chunks : [];
}

/** @returns `null` when the file changed while it was read */
async function sendStable(
  options: Options,
  stream: () => PushStream<PutTask>,
  local: string,
  base: readonly ChunkRef[],
): Promise<(SentContent & { readonly stats: Stats }) | null> {
  const file = OpenFile.forReading(local);
  try {
    const before = file.stats();
    if (!before.isFile()) return null;
    const sent = await sendContent({ ...options, sizeBytes: before.size }, stream, file, base);
    const named = lstatOrNull(local);
    const after = file.stats();
    const bytes = sent.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const stable = bytes === before.size && sameSnapshot(before, after) && named !== null && sameSnapshot(after, named);
    return stable ? { ...sent, stats: after } : null;
  } catch (error) {
    throw localError(local, error);
  } finally {
    file.close();
  }
}
