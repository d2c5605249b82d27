import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { childPath } from '../../Models/names.ts';
import { safeName, type TreeEntry } from '../../Models/tree_frames.ts';
import type { Http } from '../http.ts';
import { fetchChunks } from './fetch_chunks.ts';
import { type Job, PASSING, type Shard, type ShardEvents } from './jobs.ts';
import { getLargeFile } from './large_get.ts';
import {
  localIo,
  looksSame,
  lstatOrNull,
  partPath,
  readSnapshot,
  setAttributes,
  sha256,
  writeSmallFile,
  writeSymlink,
} from './local_files.ts';
import { listFolders, statPaths } from './requests.ts';
import { removeAbandoned, Staging } from './staging.ts';
import type { Wanted } from './wanted.ts';

export type GetOptions = { readonly http: Http; readonly events: ShardEvents };

const PULL_FILES_MAX = 4096;
const PULL_BYTES_MAX = 64 << 20;
const ATTEMPTS = 6;
const DAMAGED_ATTEMPTS = 2; // of content that came but was not what was asked for
const BROKEN = new Set<string>([...PASSING, 'digest_mismatch']);
const DAMAGED = new Set(['digest_mismatch', 'corrupt']);
const OF_ONE_FILE = new Set(['local_io', 'name_invalid', 'chunk_missing', 'not_found', 'not_a_file', 'already_exists', ...DAMAGED]);

/** Gets files: compares with what is here, pulls what differs, checks every chunk, and gives a file its name once it is whole. */
export class GetShard implements Shard {
  readonly #options: GetOptions;
  #small: Wanted[] = [];
  #smallBytes = 0;
  readonly #stagings = new Map<string, Staging>(); // by the folder that a transfer fills

  constructor(options: GetOptions) {
    this.#options = options;
  }

  async run(jobs: readonly Job[]): Promise<Job[]> {
    const found: Job[] = [];
    const folders = jobs.filter((job) => job.kind === 'folder');
    const listings = folders.length === 0 ? [] : await this.#again(() => this.#list(folders));
    for (const [i, job] of folders.entries()) {
      await this.#reporting(job.remote, async () => {
        const fresh = makeFolder(job.local);
        if (!fresh && job.local === job.root) localIo(job.local, () => removeAbandoned(job.local));
        for (const entry of listings[i] ?? []) await this.#getEntry({ ...job, fresh }, entry, found);
      });
    }
    for (const job of jobs) if (job.kind === 'file') await this.#getNamed(job, found);
    return found;
  }

  async finish(): Promise<void> {
    await this.#pullSmall();
    this.#closeStagings();
  }

  async close(): Promise<void> {
    await this.#options.http.close();
    this.#closeStagings();
  }

  #closeStagings(): void {
    for (const [root, staging] of this.#stagings) localIo(root, () => staging.close());
    this.#stagings.clear();
  }

  /** A file that was asked for by itself is written beside its place. */
  #stagingOf({ kind, root }: Job): Staging | null {
    if (kind === 'file') return null;
    const staging = this.#stagings.get(root) ?? new Staging(root);
    this.#stagings.set(root, staging);
    return staging;
  }

  #list(folders: readonly Job[]): Promise<TreeEntry[][]> {
    return listFolders(
      this.#options.http,
      folders.map((job) => job.remote),
    );
  }

  async #getNamed(job: Job, found: Job[]): Promise<void> {
    const { local, remote } = job;
    await this.#reporting(remote, async () => {
      const [entry] = await this.#again(() => statPaths(this.#options.http, [remote]));
      if (entry === undefined || entry === null) throw new AppError('not_found', `${remote}: nothing there`);
      await this.#getOne(job, local, remote, entry, found);
    });
  }

  async #getEntry(folder: Job, entry: TreeEntry, found: Job[]): Promise<void> {
    const remote = childPath(folder.remote, entry.name);
    await this.#reporting(remote, () => this.#getOne(folder, join(folder.local, safeName(entry.name)), remote, entry, found));
  }

  async #getOne(job: Job, local: string, remote: string, entry: TreeEntry, found: Job[]): Promise<void> {
    if (entry.kind === 'folder') {
      found.push({ kind: 'folder', local, remote, fresh: job.fresh, root: job.root });
      return;
    }
    this.#options.events.count({ filesFound: 1, bytesFound: entry.size });
    const stats = job.fresh ? null : lstatOrNull(local);
    if (stats?.isDirectory()) throw new AppError('already_exists', `${local}: a folder is in the way`);
    if (entry.kind === 'symlink') {
      writeSymlink(local, entry.target ?? '');
      this.#done(entry, true);
    } else if (stats !== null && looksSame(stats, entry)) this.#done(entry, false);
    else if (stats !== null && hasSameContent(local, stats, entry)) {
      setAttributes(local, entry);
      this.#done(entry, false);
    } else await this.#want({ local, remote, entry: { ...entry, digest: entry.digest as Uint8Array }, staging: this.#stagingOf(job) });
  }

  async #want(wanted: Wanted): Promise<void> {
    const { entry } = wanted;
    if (entry.size === 0) {
      writeWanted(wanted, []);
      this.#done(entry, true);
    } else if (entry.chunkCount > 1) {
      await this.#again(() => getLargeFile(this.#options.http, wanted));
      this.#done(entry, true);
    } else {
      this.#small.push(wanted);
      this.#smallBytes += entry.size;
      if (this.#small.length >= PULL_FILES_MAX || this.#smallBytes >= PULL_BYTES_MAX) await this.#pullSmall();
    }
  }

  /** Files of one chunk come in one stream, in the order asked. One that is damaged on the server is asked for alone, then the rest again. */
  async #pullSmall(): Promise<void> {
    const left = this.#small;
    this.#small = [];
    this.#smallBytes = 0;
    let next = 0;
    const taken = (): void => {
      next += 1;
    };
    while (next < left.length) {
      try {
        await this.#again(() => this.#pull(left.slice(next), taken));
      } catch (error) {
        if (!(error instanceof AppError) || !DAMAGED.has(error.code)) throw error;
        const suspect = left[next] as Wanted;
        next += 1;
        await this.#reporting(suspect.remote, () => this.#again(() => this.#pull([suspect])));
      }
    }
  }

  /** @param taken called for each file that came, before it is written */
  async #pull(files: readonly Wanted[], taken: () => void = () => undefined): Promise<void> {
    const chunks = files.map(({ entry }) => ({ digest: entry.digest, length: entry.size }));
    let next = 0;
    for await (const content of fetchChunks(this.#options.http, chunks)) {
      const wanted = files[next] as Wanted;
      next += 1;
      taken();
      await this.#reporting(wanted.remote, async () => {
        if (content === null) throw new AppError('chunk_missing', 'the content cannot be read any more');
        writeWanted(wanted, content);
        this.#done(wanted.entry, true);
      });
    }
  }

  /** Tries again what a lost connection broke; what was achieved stays. */
  async #again<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        const attempts = error instanceof AppError && DAMAGED.has(error.code) ? DAMAGED_ATTEMPTS : ATTEMPTS;
        if (!(error instanceof AppError) || !BROKEN.has(error.code) || attempt === attempts) throw error;
        await delay(100 * 2 ** attempt);
      }
    }
  }

  async #reporting(path: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof AppError) || !OF_ONE_FILE.has(error.code)) throw error;
      this.#options.events.fail({ path, code: error.code, message: error.message });
    }
  }

  #done({ size }: TreeEntry, moved: boolean): void {
    this.#options.events.count({ filesDone: 1, bytesDone: size, ...(moved ? { filesMoved: 1, bytesMoved: size } : { unchanged: 1 }) });
  }
}

function writeWanted({ local, entry, staging }: Wanted, content: readonly Uint8Array[]): void {
  const part = staging === null ? partPath(local) : localIo(local, () => staging.next());
  writeSmallFile(local, content, entry, part);
}

/** @returns whether it was made here, so that nothing can be in it. @throws AppError `local_io`, `already_exists` */
function makeFolder(path: string): boolean {
  return localIo(path, () => {
    const stats = lstatOrNull(path);
    if (stats === null) mkdirSync(path);
    else if (!stats.isDirectory()) throw new AppError('already_exists', `${path}: something that is no folder is in the way`);
    return stats === null;
  });
}

/** The file was touched but not changed. Only asked of files of one chunk. */
function hasSameContent(local: string, stats: NonNullable<ReturnType<typeof lstatOrNull>>, entry: TreeEntry): boolean {
  if (!stats.isFile() || stats.size !== entry.size || entry.digest === null || stats.size > LIMITS.chunkBytesMin) return false;
  const content = new Uint8Array(stats.size);
  return readSnapshot(local, stats, content) !== null && sha256(content).equals(entry.digest);
}
