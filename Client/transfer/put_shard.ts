import { readdirSync, readlinkSync, type Stats } from 'node:fs';
import { sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CHUNK_FRAME_HEADER_BYTES, writeRawChunkHeader } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import { FrameWriter } from '../../Models/frames.ts';
import { LIMITS } from '../../Models/limits.ts';
import { childPath, nameProblem } from '../../Models/names.ts';
import { writeOperation } from '../../Models/operation_frames.ts';
import type { Base, OperationResult } from '../../Models/operations.ts';
import type { TreeEntry } from '../../Models/tree_frames.ts';
import type { Http } from '../http.ts';
import { compressChunk } from './compression.ts';
import { type Job, PASSING, type Shard, type ShardEvents } from './jobs.ts';
import { sendLargeFile } from './large_put.ts';
import { localIo, looksSame, lstatOrNull, mtimeUs, PART_NAME, permissions, readSnapshot, sha256 } from './local_files.ts';
import type { ManifestCache } from './manifest_cache.ts';
import { PushStream } from './push_stream.ts';
import type { EntryTask, PutTask } from './put_task.ts';
import { listFolders, statPaths } from './requests.ts';

export type PutOptions = {
  readonly http: Http;
  readonly events: ShardEvents;
  readonly cache: ManifestCache;
  /** Chunks are compressed where that helps: not on loopback, where it only costs. */
  readonly compress: boolean;
};

const BLOCK_BYTES = 512 * 1024; // small files are gathered into buffers of about this size
const SNAPSHOT_ATTEMPTS = 5;
const STREAM_ATTEMPTS = 6;
/** Of a stream: a chunk did not come out as it should, or the one that it was told against is not there any more. */
const OF_A_DELTA = new Set<string>(['digest_mismatch', 'chunk_missing']);
const BROKEN = new Set<string>([...PASSING, ...OF_A_DELTA]);

/** Puts files: compares with what the server has, sends what differs through one push stream, starts that again when it breaks. */
export class PutShard implements Shard {
  readonly #options: PutOptions;
  #writer = new FrameWriter(BLOCK_BYTES * 2 + 64 * 1024);
  #stream: PushStream<PutTask> | null = null;
  #failures = 0; // of streams, one after the other
  #deltas = true; // until one did not give what it should
  #wrongGuesses: EntryTask[] = [];

  constructor(options: PutOptions) {
    this.#options = options;
  }

  async run(jobs: readonly Job[]): Promise<Job[]> {
    const found: Job[] = [];
    const folders = jobs.filter((job) => job.kind === 'folder');
    const listings = await this.#listings(folders);
    for (const [i, job] of folders.entries()) await this.#putFolder(job, listings[i] ?? null, found);
    for (const job of jobs) if (job.kind === 'file') await this.#putNamed(job);
    return found;
  }

  async finish(): Promise<void> {
    while (this.#stream !== null) {
      await this.#guarded(async () => {
        await this.#flush();
        await this.#stream?.finish();
        this.#stream = null;
      });
      for (const { local, remote, stats } of this.#wrongGuesses.splice(0)) {
        await this.#reporting(local, () => this.#putAsked(local, remote, lstatOrNull(local) ?? stats));
      }
    }
  }

  async close(): Promise<void> {
    await this.#options.http.close();
  }

  /** Entries by name for each folder that may exist, `null` for one that does not. */
  async #listings(folders: readonly Job[]): Promise<(Map<string, TreeEntry> | null)[]> {
    const existing = folders.filter((job) => !job.fresh);
    if (existing.length === 0) return folders.map(() => null);
    const lists = await listFolders(
      this.#options.http,
      existing.map((job) => job.remote),
    );
    let next = 0;
    return folders.map((job) => {
      if (job.fresh) return null;
      next += 1;
      return new Map((lists[next - 1] ?? []).map((entry) => [entry.name, entry]));
    });
  }

  async #putFolder(job: Job, listing: Map<string, TreeEntry> | null, found: Job[]): Promise<void> {
    await this.#reporting(job.local, async () => {
      const names = localIo(job.local, () => readdirSync(job.local));
      if (listing === null || listing.size === 0) await this.#send({ kind: 'folder', local: job.local, remote: job.remote });
      for (const name of names) {
        const task = this.#look(job, name, listing?.get(name) ?? null, found);
        if (task !== null) await this.#reporting(task.local, () => this.#send(task));
      }
    });
  }

  /** What is to be sent of one name in a folder. Most files of most puts are the same as before: nothing here waits. */
  #look(folder: Job, name: string, entry: TreeEntry | null, found: Job[]): PutTask | null {
    if (PART_NAME.test(name)) return null;
    const local = folder.local + sep + name;
    try {
      const stats = lstatOrNull(local);
      const problem = stats === null && name.includes('\ufffd') ? 'the name is not UTF-8' : nameProblem(name);
      if (problem !== null) throw new AppError('name_invalid', problem);
      if (stats === null) return null; // gone since the folder was read
      const remote = childPath(folder.remote, name);
      if (stats.isDirectory()) {
        found.push({ kind: 'folder', local, remote, fresh: entry === null || entry.kind !== 'folder', root: folder.root });
        return null;
      }
      this.#options.events.count({ filesFound: 1, bytesFound: stats.size });
      return this.#unlessSame({ kind: 'entry', local, remote, entry, stats, guessed: false });
    } catch (error) {
      this.#report(local, error);
      return null;
    }
  }

  async #putNamed({ local, remote }: Job): Promise<void> {
    await this.#reporting(local, async () => {
      const stats = lstatOrNull(local);
      if (stats === null) throw new AppError('local_io', `${local}: no such file`);
      this.#options.events.count({ filesFound: 1, bytesFound: stats.size });
      const cached = await this.#options.cache.recall(remote);
      if (cached !== null && cached.entry.size > 0 && !looksSame(stats, cached.entry)) {
        // what was here last time is most likely still here: the put itself finds out if it is not
        await this.#send({ kind: 'entry', local, remote, entry: cached.entry, stats, guessed: true });
      } else await this.#putAsked(local, remote, stats);
    });
  }

  async #putAsked(local: string, remote: string, stats: Stats): Promise<void> {
    const [entry] = await statPaths(this.#options.http, [remote]);
    const task = this.#unlessSame({ kind: 'entry', local, remote, entry: entry ?? null, stats, guessed: false });
    if (task !== null) await this.#send(task);
  }

  #unlessSame(task: EntryTask): EntryTask | null {
    const { entry, stats, local } = task;
    const same =
      entry?.kind === 'file'
        ? looksSame(stats, entry)
        : entry?.kind === 'symlink' && stats.isSymbolicLink() && readLink(local) === entry.target;
    if (same) this.#options.events.count({ filesDone: 1, bytesDone: stats.size, unchanged: 1 });
    return same ? null : task;
  }

  /** Sends, and when the stream breaks sends everything without an answer again on a new one. */
  async #send(task: PutTask): Promise<void> {
    let pending = false; // from then on it is sent again with the others
    while (!pending) {
      await this.#guarded(async () => {
        await this.#write(task);
        pending = true;
      });
    }
    if (this.#writer.length >= BLOCK_BYTES) await this.#guarded(() => this.#flush());
  }

  /** A file that cannot be put is reported; the others go on. A failure of the transfer itself ends it. */
  async #reporting(path: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#report(path, error);
    }
  }

  #report(path: string, error: unknown): void {
    if (!(error instanceof AppError) || !OF_ONE_FILE.has(error.code)) throw error;
    this.#options.events.fail({ path, code: error.code, message: error.message });
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof AppError) || !BROKEN.has(error.code) || this.#failures >= STREAM_ATTEMPTS) throw error;
      this.#failures += 1;
      if (OF_A_DELTA.has(error.code)) this.#deltas = false;
      await delay(100 * 2 ** this.#failures);
      const again = [...(this.#stream?.pending.values() ?? [])];
      this.#stream = null;
      this.#writer.take(); // frames of the broken stream
      for (const task of again) await this.#reporting(task.local, () => this.#send(task));
    }
  }

  /** Writes the frames of a task, or sends those of a long file; the operation is the last of them, and makes the task a pending one. */
  async #write(task: PutTask): Promise<void> {
    if (task.kind === 'folder') {
      const number = this.#open().register(task);
      writeOperation(this.#writer, number, { kind: 'mkdir', path: task.remote, existingOk: true, mode: null, mtimeUs: null });
    } else if (task.stats.isSymbolicLink()) this.#sendSymlink(task);
    else if (!task.stats.isFile()) throw new AppError('not_a_file', 'neither file, folder nor symbolic link');
    else if (task.stats.size <= LIMITS.chunkBytesMin) this.#sendSmall(task);
    else {
      await this.#flush();
      this.#writer.bytes(
        await sendLargeFile({ ...this.#options, deltas: this.#deltas, resumed: this.#failures > 0 }, () => this.#open(), task),
      );
    }
  }

  #open(): PushStream<PutTask> {
    this.#stream ??= new PushStream(this.#options.http, (task, result) => this.#onResult(task, result));
    return this.#stream;
  }

  async #flush(): Promise<void> {
    if (this.#writer.length > 0) await this.#open().send(this.#writer.take());
  }

  #sendSymlink(task: EntryTask): void {
    const target = readLink(task.local);
    const number = this.#open().register(task);
    writeOperation(this.#writer, number, {
      kind: 'symlink',
      path: task.remote,
      target,
      mtimeUs: mtimeUs(task.stats),
      base: baseOf(task.entry),
    });
  }

  /** Reads a file of one chunk straight into the outgoing buffer. */
  #sendSmall(task: EntryTask): void {
    let expected = task.stats;
    for (let attempt = 0; attempt < SNAPSHOT_ATTEMPTS; attempt += 1) {
      const { bytes, at } = this.#writer.reserve(CHUNK_FRAME_HEADER_BYTES + expected.size);
      const content = bytes.subarray(at + CHUNK_FRAME_HEADER_BYTES, at + CHUNK_FRAME_HEADER_BYTES + expected.size);
      const snapshot = readSnapshot(task.local, expected, content);
      if (snapshot !== null) {
        this.#writeSmall({ ...task, stats: snapshot }, content);
        return;
      }
      const now = lstatOrNull(task.local);
      if (now === null || !now.isFile() || now.size > LIMITS.chunkBytesMin) break;
      expected = now;
    }
    throw new AppError('file_changed', 'the file kept changing while it was read');
  }

  #writeSmall(task: EntryTask, content: Uint8Array): void {
    const digest = sha256(content);
    const known =
      content.length === 0 || (task.entry?.digest !== null && task.entry?.digest !== undefined && digest.equals(task.entry.digest));
    if (!known) {
      const compressed = this.#options.compress ? compressChunk(content, digest) : null;
      if (compressed !== null) this.#writer.bytes(compressed);
      else {
        const { bytes, at } = this.#writer.reserve(CHUNK_FRAME_HEADER_BYTES + content.length);
        writeRawChunkHeader(bytes, at, digest, content.length);
        this.#writer.advance(CHUNK_FRAME_HEADER_BYTES + content.length);
      }
    }
    const number = this.#open().register(task);
    writeOperation(this.#writer, number, {
      kind: 'put',
      path: task.remote,
      size: content.length,
      mtimeUs: mtimeUs(task.stats),
      mode: permissions(task.stats),
      base: baseOf(task.entry),
      digest,
      chunks: content.length === 0 ? [] : [{ digest, length: content.length }],
    });
  }

  #onResult(task: PutTask, result: OperationResult): void {
    const { events, cache } = this.#options;
    this.#failures = 0;
    if (result.status === 'refused') {
      if (task.kind === 'entry') cache.forget(task.remote);
      if (task.kind === 'entry' && task.guessed) this.#wrongGuesses.push(task);
      else events.fail({ path: task.local, code: result.code, message: result.message });
    } else if (task.kind === 'entry') {
      const { size } = task.stats;
      events.count({
        filesDone: 1,
        bytesDone: size,
        ...(result.status === 'done' ? { filesMoved: 1, bytesMoved: size } : { unchanged: 1 }),
      });
      if (task.sent !== undefined) cache.remember(task.remote, result.version, task.stats, task.sent);
    }
  }
}

const OF_ONE_FILE = new Set<string>(['local_io', 'file_changed', 'name_invalid', 'path_invalid', 'not_a_file', 'too_large']);

function readLink(path: string): string {
  return localIo(path, () => readlinkSync(path));
}

function baseOf(entry: TreeEntry | null): Base {
  return entry === null ? 'absent' : entry.version;
}
