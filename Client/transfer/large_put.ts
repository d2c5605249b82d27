import { closeSync, fstatSync, type Stats } from 'node:fs';
import { CHUNK_FRAME_HEADER_BYTES, ENCODING, writeRawChunkHeader } from '../../Models/chunk_frames.ts';
import { contentId } from '../../Models/content_id.ts';
import { writeDelta } from '../../Models/delta.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME, FrameWriter } from '../../Models/frames.ts';
import { LIMITS } from '../../Models/limits.ts';
import { type ChunkRun, writeOperation } from '../../Models/operation_frames.ts';
import type { ChunkRef } from '../../Models/operations.ts';
import type { Http } from '../http.ts';
import { ChunkReader, type FileChunk } from './chunk_reader.ts';
import { compressChunk } from './compression.ts';
import { localError, lstatOrNull, mtimeUs, openForRead, permissions, sameSnapshot, sha256 } from './local_files.ts';
import type { ManifestCache } from './manifest_cache.ts';
import type { PushStream } from './push_stream.ts';
import type { EntryTask, PutTask } from './put_task.ts';
import { askHave, fetchManifest, fetchSignatures } from './requests.ts';

type Options = { readonly http: Http; readonly cache: ManifestCache; readonly compress: boolean; readonly deltas: boolean };
type Chunk = { readonly digest: Uint8Array; readonly length: number };
/** A chunk that the replaced version does not have, with the chunk in whose place it most likely stands. */
type NewChunk = FileChunk & { readonly base: Chunk | null };

const GROUP_BYTES = 8 << 20; // new chunks are asked about and sent in groups of about this size
const SNAPSHOT_ATTEMPTS = 3;
const RUN_BYTES = 37;
const RUNS_MAX = Math.floor((LIMITS.frameBytesMax - LIMITS.pathBytesMax - 256) / RUN_BYTES); // an operation is one frame
const DELTA_WORTHWHILE = 0.7;

/**
 * Sends a file of many chunks: what the replaced version has is only referred to, what the server holds otherwise is not sent, a
 * chunk that stands in the place of another one goes as a delta against it. Nothing of the file is held beyond two groups.
 * @returns the operation to send behind the chunks; it is registered
 * @throws AppError `file_changed`, `local_io`, `too_large`, and what the connection throws
 */
export async function sendLargeFile(options: Options, stream: () => PushStream<PutTask>, task: EntryTask): Promise<Uint8Array> {
  const base = await baseChunks(options, task);
  for (let attempt = 0; attempt < SNAPSHOT_ATTEMPTS; attempt += 1) {
    const sent = await sendChunks(options, stream, task.local, base);
    if (sent === null) continue;
    const { chunks, runs, stats } = sent;
    if (runs.length > RUNS_MAX) throw new AppError('too_large', `a file of more than ${RUNS_MAX} new chunks cannot be sent at once`);
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

async function baseChunks({ http, cache }: Options, { remote, entry }: EntryTask): Promise<readonly Chunk[]> {
  if (entry === null || entry.kind !== 'file' || entry.chunkCount === 0) return [];
  const cached = await cache.recall(remote);
  if (cached !== null && cached.entry.version === entry.version) return cached.chunks;
  const manifest = await fetchManifest(http, remote);
  return manifest !== null && manifest.version === entry.version ? manifest.chunks : [];
}

type Sent = { readonly chunks: Chunk[]; readonly runs: (ChunkRef | ChunkRun)[]; readonly stats: Stats };

/** @returns `null` when the file changed while it was read */
async function sendChunks(
  options: Options,
  stream: () => PushStream<PutTask>,
  local: string,
  base: readonly Chunk[],
): Promise<Sent | null> {
  const fd = openForRead(local);
  const reader = new ChunkReader(fd);
  const sender = new GroupSender(options, stream);
  try {
    const before = fstatSync(fd);
    if (!before.isFile()) return null;
    const { chunks, runs } = await cutAgainst(reader, base, sender);
    await sender.end();
    const named = lstatOrNull(local);
    const after = fstatSync(fd);
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const stable = bytes === before.size && sameSnapshot(before, after) && named !== null && sameSnapshot(after, named);
    return stable ? { chunks, runs, stats: after } : null;
  } catch (error) {
    throw localError(local, error);
  } finally {
    await reader.settle().catch(Boolean); // a failed read was already thrown where it was awaited
    closeSync(fd);
  }
}

/** Cuts the file, giving each chunk that `base` does not have to `sender`. */
async function cutAgainst(reader: ChunkReader, base: readonly Chunk[], sender: GroupSender): Promise<Omit<Sent, 'stats'>> {
  const places = new Map(base.map((chunk, i) => [key(chunk.digest), i]));
  const chunks: Chunk[] = [];
  const runs: (ChunkRef | ChunkRun)[] = [];
  let expected = 0; // index in `base` of what most likely comes next
  for (let chunk = await reader.next(base[0] ?? null); chunk !== null; chunk = await reader.next(base[expected] ?? null)) {
    const { digest, length } = chunk;
    const hit = base[expected];
    const place = hit !== undefined && digest.equals(hit.digest) ? expected : places.get(key(digest));
    chunks.push({ digest, length });
    if (place === undefined) {
      runs.push({ digest, length });
      await sender.add({ ...chunk, base: base[expected] ?? null });
      expected += 1;
    } else {
      chunk.release();
      addToRuns(runs, place);
      expected = place + 1;
    }
  }
  return { chunks, runs };
}

function addToRuns(runs: (ChunkRef | ChunkRun)[], place: number): void {
  const last = runs.at(-1);
  if (last !== undefined && 'first' in last && last.first + last.count === place)
    runs[runs.length - 1] = { ...last, count: last.count + 1 };
  else runs.push({ first: place, count: 1 });
}

/** Asks the server about one group of new chunks while the next one is read and hashed. */
class GroupSender {
  readonly #options: Options;
  readonly #stream: () => PushStream<PutTask>;
  #group: NewChunk[] = [];
  #bytes = 0;
  #asked: Promise<void> = Promise.resolve();

  constructor(options: Options, stream: () => PushStream<PutTask>) {
    this.#options = options;
    this.#stream = stream;
  }

  async add(chunk: NewChunk): Promise<void> {
    this.#group.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= GROUP_BYTES) await this.#handOver();
  }

  async end(): Promise<void> {
    await this.#handOver();
    await this.#asked;
  }

  async #handOver(): Promise<void> {
    await this.#asked;
    const group = this.#group;
    this.#group = [];
    this.#bytes = 0;
    this.#asked = this.#sendGroup(group);
    this.#asked.catch(Boolean); // thrown by the next hand-over or by the end
  }

  async #sendGroup(group: readonly NewChunk[]): Promise<void> {
    if (group.length === 0) return;
    const signatures = await this.#signatures(group);
    const unknown = group.filter((_, i) => signatures[i] === undefined);
    const held =
      unknown.length === 0
        ? []
        : await askHave(
            this.#options.http,
            unknown.map(({ digest }) => digest),
          );
    const skip = new Set(unknown.filter((_, i) => held[i] === true));
    for (const [i, chunk] of group.entries()) {
      if (skip.has(chunk)) chunk.release();
      else await this.#send(chunk, signatures[i]);
    }
  }

  /** Signatures of the chunks that stood where these stand; `undefined` without one. */
  async #signatures(group: readonly NewChunk[]): Promise<(Uint8Array | undefined)[]> {
    const bases = this.#options.deltas ? group.flatMap(({ base }) => (base === null ? [] : [base.digest])) : [];
    if (bases.length === 0) return [];
    const found = await fetchSignatures(this.#options.http, bases);
    let next = 0;
    return group.map(({ base }) => {
      if (base === null) return undefined;
      next += 1;
      const signature = found[next - 1];
      return signature === undefined || signature.length === 0 ? undefined : signature;
    });
  }

  async #send(chunk: NewChunk, signature: Uint8Array | undefined): Promise<void> {
    const { digest, content, release } = chunk;
    const shorter = this.#delta(chunk, signature) ?? (this.#options.compress ? compressChunk(content, digest) : null);
    if (shorter !== null) {
      release();
      await this.#stream().send(shorter);
      return;
    }
    const header = new Uint8Array(CHUNK_FRAME_HEADER_BYTES);
    writeRawChunkHeader(header, 0, digest, content.length);
    await this.#stream().send(header);
    await this.#stream().send(content, release);
  }

  /** `null` where it would save little. */
  #delta({ digest, content, base }: NewChunk, signature: Uint8Array | undefined): Uint8Array | null {
    if (signature === undefined || base === null) return null;
    const writer = new FrameWriter(4096);
    writer.begin(FRAME.chunk).u8(ENCODING.delta).bytes(digest).u32(content.length).bytes(base.digest);
    const newBytes = writeDelta(writer, content, signature, sha256);
    return newBytes < content.length * DELTA_WORTHWHILE ? writer.finish().take() : null;
  }
}

function key(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('latin1');
}
