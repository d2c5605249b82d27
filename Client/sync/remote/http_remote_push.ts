import { randomBytes } from 'node:crypto';
import { CHUNK_FRAME_HEADER_BYTES, writeRawChunkHeader } from '../../../Models/chunk_frames.ts';
import { contentId } from '../../../Models/content_id.ts';
import { AppError, type ErrorCode } from '../../../Models/errors.ts';
import { FrameWriter } from '../../../Models/frames.ts';
import { LIMITS } from '../../../Models/limits.ts';
import { writeAnchored } from '../../../Models/names.ts';
import { type OperationFrame, writeArriving, writeOperation } from '../../../Models/operation_frames.ts';
import type { ChunkRef, OperationResult } from '../../../Models/operations.ts';
import type { Past } from '../../../Models/tree_frames.ts';
import type { Http } from '../../http.ts';
import { fillFrom } from '../../transfer/byte_file.ts';
import { compressChunk } from '../../transfer/compression.ts';
import { mtimeUs, permissions, sha256 } from '../../transfer/local_files.ts';
import type { ManifestCache } from '../../transfer/manifest_cache.ts';
import { PushStream } from '../../transfer/push_stream.ts';
import { askHave, fetchManifest } from '../../transfer/requests.ts';
import { sendContent } from '../../transfer/send_content.ts';
import type { Clock } from '../clock.ts';
import type { DiskFile, DiskStat } from '../disk/disk.ts';
import { Attempts } from './attempts.ts';
import type { PushItem, PushOutcome, Snapshot, Upload } from './remote.ts';

export type PushDeps = {
  readonly http: Http;
  readonly cache: ManifestCache;
  readonly clock: Pick<Clock, 'after' | 'random'>;
  /** Chunks are compressed where that helps: not on loopback, where it only costs. */
  readonly compress: boolean;
};
type OnDone = (key: number, outcome: PushOutcome) => void;
type UploadItem = Extract<PushItem, { upload: unknown }>;

/** An operation that has its number, kept until it is answered: it is sent again under the same number when a connection is lost. */
type Sent = {
  readonly item: PushItem;
  readonly operation: OperationFrame;
  readonly content: SentContent | null; // of a file
};
type SentContent = { readonly snapshot: Snapshot; readonly chunks: readonly ChunkRef[]; readonly tried: boolean /* without its bytes */ };
type Refusal = Extract<OperationResult, { status: 'refused' }>;

const BLOCK_BYTES = 512 * 1024; // frames are gathered up to about this much
const HAVE_DIGESTS = 4096;
/** A chunk did not come out as it should, or the one that it was told against is not there any more. */
const OF_A_DELTA: ReadonlySet<string> = new Set(['digest_mismatch', 'chunk_missing']);

/** One push of `Remote`: see there. @throws AppError what ends all of it; what was answered before was handed over */
export async function pushItems(
  deps: PushDeps,
  items: Iterable<PushItem>,
  onDone: OnDone,
  cursor: string | null = null,
): Promise<Past | null> {
  return new Push(deps, onDone, cursor).run(items);
}

class Push {
  readonly #deps: PushDeps;
  readonly #onDone: OnDone;
  readonly #cursor: string | null;
  readonly #attempts: Attempts;
  readonly #name = randomBytes(16).toString('hex');
  readonly #unanswered = new Map<number, Sent>();
  #next = 0; // number of the next operation
  #stream: PushStream<number> | null = null;
  #writer = new FrameWriter(); // grows: most pushes are short
  #broken = false; // a stream was, since this item was begun
  #held = 0; // chunks of this item that the server was found to have
  #deltas = true; // until one did not give what it should
  #again: UploadItem[] = []; // content that the server was believed to have
  #past: Past | null = null;

  constructor(deps: PushDeps, onDone: OnDone, cursor: string | null) {
    this.#deps = deps;
    this.#onDone = onDone;
    this.#cursor = cursor;
    this.#attempts = new Attempts(deps.clock);
  }

  async run(items: Iterable<PushItem>): Promise<Past | null> {
    try {
      await this.#run(items);
      return this.#past;
    } finally {
      this.#stream?.abandon();
    }
  }

  async #run(items: Iterable<PushItem>): Promise<void> {
    for (const item of items) await this.#give(item);
    await this.#persist(() => this.#finish());
    while (this.#again.length > 0) {
      for (const { key, upload } of this.#again.splice(0))
        await this.#give({ key, upload: { ...upload, previous: null, known: () => false } });
      await this.#persist(() => this.#finish());
    }
  }

  async #give(item: PushItem): Promise<void> {
    this.#broken = false;
    this.#held = 0;
    await this.#persist(() => this.#write(item));
    if (this.#writer.length >= BLOCK_BYTES) await this.#persist(() => this.#flush());
  }

  /** Until it is done, on one stream after the other; whatever has no answer yet is sent again on each new one. */
  async #persist(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        if (this.#stream === null && this.#unanswered.size > 0) await this.#resume();
        await work();
        return;
      } catch (error) {
        this.#broken = true;
        this.#stream?.abandon();
        this.#stream = null;
        this.#writer.take(); // frames of the broken stream
        await this.#attempts.pauseAfter(error, OF_A_DELTA);
        if (error instanceof AppError && OF_A_DELTA.has(error.code)) this.#deltas = false;
      }
    }
  }

  #open(): PushStream<number> {
    const [first = this.#next] = this.#unanswered.keys();
    this.#stream ??= new PushStream(this.#deps.http, (number, result) => this.#onResult(number, result), { name: this.#name, first });
    return this.#stream;
  }

  async #flush(): Promise<void> {
    if (this.#writer.length > 0) await this.#open().send(this.#writer.take());
  }

  async #finish(): Promise<void> {
    if (this.#stream === null && this.#writer.length === 0) return;
    await this.#flush();
    this.#past = (await this.#stream?.finish(this.#cursor)) ?? null;
    this.#stream = null;
  }

  /** The same operations under the same numbers: those that were done before the connection was lost are not done again. */
  async #resume(): Promise<void> {
    const left = [...this.#unanswered.values()];
    const held = await this.#heldContent(left);
    const stream = this.#open();
    for (const [number, sent] of [...this.#unanswered]) {
      if (stream.register(number) !== number) throw new AppError('internal', 'operations lost their numbers');
      if (sent.content !== null && !sent.content.tried && !held.has(sent)) await this.#sendAgain(sent.item as UploadItem);
      writeOperation(this.#writer, number, sent.operation);
      if (this.#writer.length >= BLOCK_BYTES) await this.#flush();
    }
  }

  /** Files of which the server has every chunk: what came before a connection broke is kept there. */
  async #heldContent(left: readonly Sent[]): Promise<Set<Sent>> {
    const asked = left.flatMap((sent) => (sent.content?.chunks ?? []).map(({ digest }) => ({ digest, sent })));
    const lacking = new Set<Sent>();
    for (let first = 0; first < asked.length; first += HAVE_DIGESTS) {
      const group = asked.slice(first, first + HAVE_DIGESTS);
      const held = await askHave(
        this.#deps.http,
        group.map(({ digest }) => digest),
      );
      for (const [i, { sent }] of group.entries()) if (held[i] !== true) lacking.add(sent);
    }
    return new Set(left.filter((sent) => !lacking.has(sent)));
  }

  /** Content whose file is another by now cannot be sent; the operation itself then tells whether it had been stored. */
  async #sendAgain({ upload }: UploadItem): Promise<void> {
    try {
      await this.#withFile(upload, (file, before) => this.#sendChunks(upload, file, before, true));
    } catch (error) {
      if (refusalOf(error) === null) throw error;
    }
  }

  /** Writes the frames of an item, or sends those of a long file; the operation is the last of them, and has its number from then on. */
  async #write(item: PushItem): Promise<void> {
    if ('operation' in item) {
      this.#register({ item, operation: item.operation, content: null });
      return;
    }
    const { key, upload } = item;
    try {
      const { content, runs } = await this.#withFile(upload, (file, before) => this.#sendChunks(upload, file, before, false));
      const { stat, digest, size } = content.snapshot;
      const { path, base } = upload;
      const operation: OperationFrame = {
        kind: 'put',
        path,
        size,
        mtimeUs: mtimeUs(stat),
        mode: upload.mode ?? permissions(stat),
        base,
        digest,
        chunks: runs,
      };
      upload.onSend?.(content.snapshot);
      this.#register({ item, operation, content });
    } catch (error) {
      const result = refusalOf(error);
      if (result === null) throw error;
      this.#onDone(key, { result, snapshot: null });
    }
  }

  /** @throws AppError `file_changed` when the file is not the expected one, before or afterwards */
  async #withFile<T>(upload: Upload, work: (file: DiskFile, before: DiskStat) => Promise<T>): Promise<T> {
    const file = upload.open();
    try {
      const before = file.stat();
      if (before.kind !== 'file' || !isSame(before, upload.expected)) throw changed();
      if (before.size > LIMITS.fileBytesMax) throw new AppError('too_large', `a file has at most ${LIMITS.fileBytesMax} bytes`);
      const result = await work(file, before);
      if (!isSame(before, file.stat())) throw changed();
      return result;
    } finally {
      file.close();
    }
  }

  async #sendChunks(
    upload: Upload,
    file: DiskFile,
    stat: DiskStat,
    all: boolean,
  ): Promise<{ readonly content: SentContent; readonly runs: Extract<OperationFrame, { kind: 'put' }>['chunks'] }> {
    return stat.size <= LIMITS.chunkBytesMin ? this.#sendShort(upload, file, stat, all) : this.#sendLong(upload, file, stat);
  }

  /** Reads a file of one chunk straight into the outgoing buffer. @param all its bytes too, whoever is believed to have them */
  async #sendShort({ previous, known }: Upload, file: DiskFile, stat: DiskStat, all: boolean) {
    const { bytes, at } = this.#writer.reserve(CHUNK_FRAME_HEADER_BYTES + stat.size + 1);
    const start = at + CHUNK_FRAME_HEADER_BYTES;
    if (fillFrom(file, bytes.subarray(start, start + stat.size + 1), 0) !== stat.size) throw changed();
    const content = bytes.subarray(start, start + stat.size);
    const digest = sha256(content);
    const chunks = content.length === 0 ? [] : [{ digest, length: content.length }];
    const tried = content.length > 0 && !all && (previous?.digest.equals(digest) === true || known(digest));
    if (content.length > 0 && !tried) this.#writeChunk(content, digest, at);
    return { content: { snapshot: { stat, digest, size: stat.size, chunkCount: chunks.length }, chunks, tried }, runs: chunks };
  }

  /** @param at where in the writer's buffer the frame begins; the content is in its place already */
  #writeChunk(content: Uint8Array, digest: Buffer, at: number): void {
    const compressed = this.#deps.compress ? compressChunk(content, digest) : null;
    if (compressed !== null) {
      this.#writer.bytes(compressed);
      return;
    }
    const { bytes } = this.#writer.reserve(CHUNK_FRAME_HEADER_BYTES + content.length);
    writeRawChunkHeader(bytes, at, digest, content.length);
    this.#writer.advance(CHUNK_FRAME_HEADER_BYTES + content.length);
  }

  async #sendLong(upload: Upload, file: DiskFile, stat: DiskStat) {
    const base = await this.#baseChunks(upload);
    await this.#flush();
    const isTold = upload.previous === null && stat.size >= LIMITS.arrivingBytesMin;
    const { http, compress } = this.#deps;
    const options = {
      ...{ http, compress, deltas: this.#deltas, resumed: this.#broken, sizeBytes: stat.size },
      onHeld: (count: number) => this.#onHeld(count),
      ahead: isTold ? writeArriving({ path: upload.path, size: stat.size }) : null,
    };
    const { chunks, runs } = await sendContent(options, () => this.#open(), file, base);
    if (chunks.reduce((sum, { length }) => sum + length, 0) !== stat.size) throw changed();
    const digest = contentId(
      chunks.map((chunk) => ({ ...chunk, digest: Buffer.from(chunk.digest) })),
      sha256,
    );
    const snapshot = { stat, digest, size: stat.size, chunkCount: chunks.length };
    // runs are told of the version that the put is based on, and of no other
    return { content: { snapshot, chunks, tried: false }, runs: upload.base === upload.previous?.version ? runs : chunks };
  }

  async #baseChunks({ previous }: Upload): Promise<readonly ChunkRef[]> {
    if (previous === null || previous.chunkCount < 2) return [];
    const { http, cache } = this.#deps;
    const path = writeAnchored(previous.nodeId);
    const cached = await cache.recall(path);
    if (cached !== null && isVersion(cached.entry, previous)) return cached.chunks;
    const manifest = await fetchManifest(http, path);
    return manifest !== null && isVersion(manifest, previous) ? manifest.chunks : [];
  }

  #register(sent: Sent): void {
    const number = this.#open().register(this.#next);
    this.#unanswered.set(number, sent);
    this.#next = number + 1;
    writeOperation(this.#writer, number, sent.operation);
  }

  /** More of a long file is there than the last time: that is worth another try too. */
  #onHeld(chunks: number): void {
    if (chunks <= this.#held) return;
    this.#held = chunks;
    this.#attempts.progress();
  }

  #onResult(number: number, result: OperationResult): void {
    const sent = this.#unanswered.get(number);
    if (sent === undefined) return;
    this.#unanswered.delete(number);
    this.#attempts.progress();
    const { item, content } = sent;
    if (result.status !== 'refused') {
      if (content !== null) this.#remember(result, content);
      this.#onDone(item.key, { result, snapshot: content?.snapshot ?? null });
    } else if (result.code === 'chunk_missing' && content?.tried === true) this.#again.push(item as UploadItem);
    else if (result.code === 'chunk_missing' && content !== null) {
      // its bytes were lost on the way, and the file is another one by now
      this.#onDone(item.key, { result: { status: 'refused', code: 'file_changed', message: result.message }, snapshot: null });
    } else this.#onDone(item.key, { result, snapshot: null });
  }

  #remember({ nodeId, version }: Exclude<OperationResult, Refusal>, { snapshot, chunks }: SentContent): void {
    if (chunks.length > 1) this.#deps.cache.remember(writeAnchored(nodeId), version, snapshot.stat, { digest: snapshot.digest, chunks });
  }
}

function isVersion(
  found: { readonly version: number; readonly digest: Uint8Array | null },
  previous: NonNullable<Upload['previous']>,
): boolean {
  return found.version === previous.version && found.digest !== null && previous.digest.equals(found.digest);
}

/** The same file, not written to in between. */
function isSame(a: DiskStat, b: DiskStat): boolean {
  return a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.ino === b.ino;
}

function changed(): AppError {
  return new AppError('file_changed', 'the file is not the one that was looked at');
}

const OF_ONE_FILE: ReadonlySet<string> = new Set(['file_changed', 'too_large'] satisfies ErrorCode[]);

const GONE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

/** What concerns this file alone; `null` for a failure of the whole push. */
function refusalOf(error: unknown): Refusal | null {
  if (error instanceof AppError)
    return OF_ONE_FILE.has(error.code) ? { status: 'refused', code: error.code, message: error.message } : null;
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  if (GONE.has(error.code)) return { status: 'refused', code: 'file_changed', message: 'the file is gone' };
  return { status: 'refused', code: 'local_io', message: error.code };
}
