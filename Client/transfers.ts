import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../Models/errors.ts';
import { unreadableText } from './failure_text.ts';
import { httpFor } from './http.ts';
import type { Session } from './session/session.ts';
import {
  addCounts,
  type Direction,
  type Job,
  noCounts,
  type Progress,
  type Shard,
  type ShardEvents,
  type TransferFailure,
  type TransferReport,
} from './transfer/jobs.ts';
import { makeShard, type ShardSetup } from './transfer/make_shard.ts';
import { statPaths } from './transfer/requests.ts';
import { WorkerShard } from './transfer/worker_shard.ts';

export type { Progress, TransferFailure, TransferReport } from './transfer/jobs.ts';

export type TransferOptions = {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
};

export type Transfers = {
  /**
   * Makes each remote path hold what the local one holds; nothing else there is removed. What is already the same is skipped, a file that
   * fails does not hold up the others. Durable on the server when it resolves.
   * @throws AppError when the transfer as a whole cannot go on: `server_unreachable`, `not_logged_in`, `ticket_revoked`, `storage_full`, `cancelled`, `local_io` for a source that is not there
   */
  put(sources: readonly { local: string; remote: string }[], options?: TransferOptions): Promise<TransferReport>;
  /** The other way. @throws AppError as `put`; `not_found` is a failure in the report */
  get(sources: readonly { remote: string; local: string }[], options?: TransferOptions): Promise<TransferReport>;
  close(): Promise<void>;
};

const THREADS = { put: 1, get: 2 } as const; // of a put the server's one is the limit, of a get the file system
const JOBS_PER_BATCH = 32;
const INLINE_BYTES = 8 << 20; // so little is not worth a thread
const INLINE_FILES = 64;
const PROGRESS_MS = 100;

/** @param options.home where long files' chunk lists are remembered */
export function createTransfers(options: {
  session: Pick<Session, 'user' | 'serverUrl' | 'ticket' | 'refresh' | 'pins'>;
  home: string;
}): Transfers {
  const running = new Set<Run>();
  const start = async (direction: Direction, jobs: Job[], threads: number, transferOptions: TransferOptions): Promise<TransferReport> => {
    const run = new Run(shardSetup(options, direction), threads, transferOptions);
    running.add(run);
    try {
      return await run.do(jobs);
    } finally {
      running.delete(run);
    }
  };
  return {
    put: async (sources, transferOptions = {}) => {
      const jobs = sources.map(({ local, remote }): Job => ({ kind: localKind(local), local, remote, fresh: false, root: local }));
      return start('put', jobs, threadsFor('put', jobs, measureLocal(jobs)), transferOptions);
    },
    get: async (sources, transferOptions = {}) => {
      const jobs = sources.map(({ local, remote }): Job => ({ kind: 'file', local, remote, fresh: false, root: local }));
      return start('get', jobs, threadsFor('get', jobs, await measureRemote(shardSetup(options, 'get'), jobs)), transferOptions);
    },
    async close() {
      await Promise.all([...running].map((run) => run.cancel()));
    },
  };
}

function shardSetup({ session, home }: Parameters<typeof createTransfers>[0], direction: Direction): ShardSetup {
  return {
    direction,
    serverUrl: session.serverUrl,
    home,
    scope: `${session.serverUrl} ${session.user.id}`,
    ticket: () => session.ticket(),
    refresh: () => session.refresh(),
    pins: () => session.pins(),
  };
}

/** How much there is to move at most; `null` for "much, or unknown". */
type Amount = { readonly files: number; readonly bytes: number } | null;

/** Little is done in this thread, one long file in another, the rest in all of them. */
function threadsFor(direction: Direction, jobs: readonly Job[], amount: Amount): number {
  if (amount === null) return THREADS[direction];
  if (amount.files <= INLINE_FILES && amount.bytes < INLINE_BYTES) return 0;
  return jobs.length === 1 && amount.files === 1 ? 1 : THREADS[direction];
}

/** Looks no further than what may be little. */
function measureLocal(jobs: readonly Job[]): Amount {
  let files = 0;
  let bytes = 0;
  const paths = jobs.map(({ local }) => local);
  for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats?.isDirectory() === true) for (const name of namesIn(path)) paths.push(join(path, name));
    files += 1;
    bytes += stats?.size ?? 0;
    if (files + paths.length > INLINE_FILES) return null;
  }
  return { files, bytes };
}

/** A folder that cannot be read is the transfer's to report. */
function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error) return [];
    throw error;
  }
}

async function measureRemote(setup: ShardSetup, jobs: readonly Job[]): Promise<Amount> {
  if (jobs.length > INLINE_FILES) return null;
  const http = httpFor(setup);
  try {
    const entries = await statPaths(
      http,
      jobs.map(({ remote }) => remote),
    );
    if (entries.some((entry) => entry?.kind === 'folder')) return null;
    return { files: entries.length, bytes: entries.reduce((sum, entry) => sum + (entry?.size ?? 0), 0) };
  } catch (error) {
    if (error instanceof AppError && error.code === 'server_unreachable') return null; // the transfer itself tries again
    throw error;
  } finally {
    await http.close();
  }
}

/** @throws AppError `local_io` */
function localKind(path: string): Job['kind'] {
  try {
    return lstatSync(path).isDirectory() ? 'folder' : 'file';
  } catch (cause) {
    throw new AppError('local_io', `${path}: ${unreadableText(cause)}`, { cause });
  }
}

/** One transfer: hands jobs to shards until none is left. */
class Run {
  readonly #setup: ShardSetup;
  readonly #options: TransferOptions;
  readonly #shards: Shard[] = [];
  readonly #threads: number; // 0: all is done in this one
  readonly #counts = noCounts();
  readonly #failures: TransferFailure[] = [];
  readonly #startedAt = performance.now();
  #jobs: Job[] = [];
  #working = 0;
  #looked = false; // everything was looked at: the totals are known
  #reportedAt = 0;
  #wake: (() => void)[] = [];
  #cancelled = false;

  constructor(setup: ShardSetup, threads: number, options: TransferOptions) {
    this.#setup = setup;
    this.#threads = threads;
    this.#options = options;
  }

  async do(jobs: Job[]): Promise<TransferReport> {
    const onAbort = (): void => void this.cancel();
    this.#options.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      if (this.#options.signal?.aborted === true) throw new AppError('cancelled', 'cancelled');
      this.#jobs = jobs;
      await this.#work();
      this.#report(true);
      const { filesMoved, bytesMoved, unchanged } = this.#counts;
      return { files: filesMoved, bytes: bytesMoved, unchanged, failures: this.#failures };
    } catch (error) {
      throw this.#cancelled ? new AppError('cancelled', 'cancelled', { cause: error }) : error;
    } finally {
      this.#options.signal?.removeEventListener('abort', onAbort);
      await Promise.all(this.#shards.map((shard) => shard.close()));
    }
  }

  /** Ends the transfer: what was being sent or written is dropped, what was acknowledged stays. */
  async cancel(): Promise<void> {
    this.#cancelled = true;
    await Promise.all(this.#shards.map((shard) => shard.close()));
  }

  /** All threads start at once: that takes them as long as it takes to find something for each. */
  async #work(): Promise<void> {
    await Promise.all(Array.from({ length: Math.max(this.#threads, 1) }, () => this.#loop(this.#addShard())));
  }

  #addShard(): Shard {
    const events: ShardEvents = {
      count: (more) => {
        addCounts(this.#counts, more);
        this.#report(false);
      },
      fail: (failure) => this.#failures.push(failure),
    };
    const shard = this.#threads === 0 ? makeShard(this.#setup, events) : new WorkerShard(this.#setup, events);
    this.#shards.push(shard);
    return shard;
  }

  async #loop(shard: Shard): Promise<void> {
    while (await this.#waitForJobs()) {
      const share = Math.ceil(this.#jobs.length / (2 * Math.max(this.#threads, 1)));
      const jobs = this.#jobs.splice(0, Math.min(JOBS_PER_BATCH, Math.max(share, 1)));
      this.#working += 1;
      try {
        this.#jobs.push(...(await shard.run(jobs)));
      } catch (error) {
        this.#jobs = [];
        throw error;
      } finally {
        this.#working -= 1;
        if (this.#working === 0 && this.#jobs.length === 0) this.#looked = true;
        for (const wake of this.#wake.splice(0)) wake();
      }
    }
    await shard.finish();
  }

  /** @returns whether there is a job; `false` once there will be none any more */
  async #waitForJobs(): Promise<boolean> {
    while (this.#jobs.length === 0) {
      if (this.#looked) return false;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    return true;
  }

  #report(last: boolean): void {
    const { onProgress } = this.#options;
    const now = performance.now();
    if (onProgress === undefined || (!last && now - this.#reportedAt < PROGRESS_MS)) return;
    this.#reportedAt = now;
    const { filesFound, bytesFound, filesDone, bytesDone } = this.#counts;
    onProgress({
      filesDone,
      filesTotal: this.#looked ? filesFound : null,
      bytesDone,
      bytesTotal: this.#looked ? bytesFound : null,
      bytesPerSecond: Math.round((bytesDone * 1000) / Math.max(now - this.#startedAt, 1)),
    });
  }
}
