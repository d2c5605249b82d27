import { setImmediate } from 'node:timers/promises';
import { AppError } from '../../../Models/errors.ts';
import { LIMITS } from '../../../Models/limits.ts';
import { RunWriter } from '../../../Models/manifest_runs.ts';
import { writeAnchored } from '../../../Models/names.ts';
import { resolveRuns } from '../../../Models/operation_frames.ts';
import type { ChunkRef } from '../../../Models/operations.ts';
import type { Http } from '../../http.ts';
import { fillFrom } from '../../transfer/byte_file.ts';
import { ChunkReader } from '../../transfer/chunk_reader.ts';
import type { PatchBase } from '../../transfer/fetch_chunks.ts';
import { checkManifest, fetchInto, heldFromStart, type PlacedChunk, placed } from '../../transfer/fill_file.ts';
import { sha256 } from '../../transfer/local_files.ts';
import type { ManifestCache } from '../../transfer/manifest_cache.ts';
import { fetchManifest, fetchManifestRuns } from '../../transfer/requests.ts';
import type { Clock } from '../clock.ts';
import type { DiskFile } from '../disk/disk.ts';
import { closeGivenUp } from '../disk/local_tree_states.ts';
import type { Attempts } from './attempts.ts';
import type { FetchItem } from './remote.ts';

export type FetchDeps = { readonly http: Http; readonly cache: ManifestCache; readonly clock: Pick<Clock, 'after' | 'random'> };

/** Content that came and was not what was asked for, */
export const DAMAGED: ReadonlySet<string> = new Set(['digest_mismatch', 'corrupt']);
/** and how often that may happen before it counts as failed. */
export const DAMAGED_MAX = 3;

/** An older version of the file that is on this disk, and its chunks. */
type Older = { readonly file: DiskFile; readonly chunks: readonly PlacedChunk[] };

/**
 * A file of many chunks: what the older version has is copied from it, the rest is pulled, told against what stands in its place there.
 * @returns the file, still open, checked and whole
 * @throws AppError `not_found`, `version_stale` (the server has another version by now), `chunk_missing`, `digest_mismatch`, and what the
 * connection throws in the end; the errors of the disk
 */
export async function fetchLong(deps: FetchDeps, attempts: Attempts, item: FetchItem): Promise<DiskFile> {
  const older = openOlder(item);
  try {
    const { chunks, olderChunks } = await findChunks(deps, attempts, item, older);
    const early = older === null ? ((await item.early?.(chunks)) ?? null) : null;
    const file = early?.file ?? item.create();
    try {
      const missing = older === null ? placed(chunks) : await copyHeld(file, chunks, { file: older, chunks: placed(olderChunks) });
      if (early !== null) missing.splice(0, early.chunks);
      if (file.stat().size > 0 && older === null && early === null) missing.splice(0, heldFromStart(file, missing));
      await pullMissing(deps, attempts, file, missing);
      if (file.stat().size > item.node.size) file.truncate(item.node.size);
    } catch (error) {
      closeGivenUp(file);
      throw error;
    }
    const { nodeId, version, digest } = item.node;
    deps.cache.remember(writeAnchored(nodeId), version, file.stat(), { digest, chunks });
    return file;
  } finally {
    older?.close();
  }
}

/** `null` where there is none, or none that could help. */
function openOlder({ previous }: FetchItem): DiskFile | null {
  if (previous === null) return null;
  let file: DiskFile | null = null;
  try {
    file = previous.open();
    if (file.stat().size > 0) return file;
  } catch (error) {
    if (error instanceof AppError || !(error instanceof Error) || !('code' in error)) throw error;
  }
  file?.close();
  return null;
}

type Found = { readonly chunks: readonly ChunkRef[]; readonly olderChunks: readonly ChunkRef[] };

async function findChunks(deps: FetchDeps, attempts: Attempts, item: FetchItem, older: DiskFile | null): Promise<Found> {
  const { node, previous } = item;
  const path = writeAnchored(node.nodeId);
  if (older === null || previous === null) return { chunks: await wholeManifest(deps, attempts, item), olderChunks: [] };
  const told = await attempts.run(() => fetchManifestRuns(deps.http, path, previous.version));
  if (told === null) throw new AppError('not_found', 'the file is gone on the server');
  if (!node.digest.equals(told.digest)) throw new AppError('version_stale', 'the file is another one on the server by now');
  const olderChunks = await chunksOfOlder(deps, path, previous.version, older);
  try {
    const chunks = resolveRuns(told.runs, olderChunks);
    checkManifest(chunks, node);
    return { chunks, olderChunks };
  } catch (error) {
    // what is on the disk is not that version after all: it may still have most of what is wanted
    if (!(error instanceof AppError)) throw error;
    return { chunks: await wholeManifest(deps, attempts, item), olderChunks };
  }
}

async function wholeManifest({ http }: FetchDeps, attempts: Attempts, { node }: FetchItem): Promise<readonly ChunkRef[]> {
  const manifest = await attempts.run(() => fetchManifest(http, writeAnchored(node.nodeId)));
  if (manifest === null) throw new AppError('not_found', 'the file is gone on the server');
  if (!node.digest.equals(manifest.digest)) throw new AppError('version_stale', 'the file is another one on the server by now');
  checkManifest(manifest.chunks, node);
  return manifest.chunks;
}

/** As remembered, else by reading all of it once. */
async function chunksOfOlder({ cache }: FetchDeps, path: string, version: number, file: DiskFile): Promise<readonly ChunkRef[]> {
  const cached = await cache.recall(path);
  if (cached !== null && cached.entry.version === version) return cached.chunks;
  const reader = new ChunkReader(file);
  const chunks: ChunkRef[] = [];
  try {
    for (let chunk = await reader.next(null); chunk !== null; chunk = await reader.next(null)) {
      chunks.push({ digest: chunk.digest, length: chunk.length });
      chunk.release();
    }
  } finally {
    await reader.settle().catch(Boolean); // a failed read was already thrown where it was awaited
  }
  return chunks;
}

/** Copies what the older version has, checked. @returns the rest, each with what stands in its place there */
async function copyHeld(file: DiskFile, chunks: readonly ChunkRef[], older: Older): Promise<PlacedChunk[]> {
  const against = new RunWriter(older.chunks);
  const missing: PlacedChunk[] = [];
  for (const chunk of placed(chunks)) {
    const { expected } = against;
    const place = against.add(chunk);
    const source = place === null ? undefined : older.chunks[place];
    const content = source === undefined ? null : await readChunk(older.file, source);
    if (content !== null) file.write(content, chunk.position);
    else missing.push({ ...chunk, base: place !== null || expected === null ? null : baseOf(older.file, expected) });
  }
  return missing;
}

/** `null` when it is not what it was. */
async function readChunk(file: DiskFile, { digest, length, position }: PlacedChunk): Promise<Uint8Array | null> {
  await setImmediate(); // other work goes on between the chunks of a long file
  const content = new Uint8Array(length);
  return fillFrom(file, content, position) === length && sha256(content).equals(digest) ? content : null;
}

function baseOf(file: DiskFile, { digest, length, position }: PlacedChunk): PatchBase | null {
  if (length > LIMITS.chunkBytesMax) return null;
  const read = (): Uint8Array => {
    const content = new Uint8Array(length);
    fillFrom(file, content, position);
    return content;
  };
  return { digest, read };
}

/** After a lost connection only what has not come is asked for; what came damaged is asked for again by itself, a few times. */
async function pullMissing(deps: FetchDeps, attempts: Attempts, file: DiskFile, missing: PlacedChunk[]): Promise<void> {
  let damaged = 0; // times, of the first that is missing
  let next = 0;
  const onWritten = (): void => {
    next += 1;
    damaged = 0;
    attempts.progress();
  };
  while (next < missing.length) {
    try {
      await fetchInto(deps.http, file, missing.slice(next), onWritten);
    } catch (error) {
      if (!(error instanceof AppError) || !DAMAGED.has(error.code)) await attempts.pauseAfter(error);
      else {
        damaged += 1;
        if (damaged >= DAMAGED_MAX) throw error;
        missing[next] = { ...(missing[next] as PlacedChunk), base: null };
      }
    }
  }
}
