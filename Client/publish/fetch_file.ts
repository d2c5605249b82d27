import { statSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import { giveBack } from '../../Models/received_bytes.ts';
import type { RestPublished } from '../../Models/rest_published.ts';
import { ROUTES } from '../../Models/routes.ts';
import { safeName } from '../../Models/tree_frames.ts';
import type { Http } from '../http.ts';
import { OpenFile } from '../transfer/byte_file.ts';
import type { Progress } from '../transfer/jobs.ts';
import { finishPart, localError, openPart, partPath, removeOldParts, sha256 } from '../transfer/local_files.ts';
import { FileHash } from './file_hash.ts';

export type FetchOptions = {
  /** How long to wait for the owner's device when it goes while bytes come, or is not there, ms: 30 s after the first byte, else not at all. */
  readonly waitMs?: number;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
};
export type Fetched = {
  readonly local: string;
  readonly bytes: number /* that came; fewer than the size when it went on from a part */;
  readonly size: number;
};

type Deps = { readonly http: Http /** What may be fetched now under this name. */; readonly find: () => Promise<RestPublished[]> };

const WAIT_MS = 30_000;
/** How long a part is kept that nobody goes on with. */
const PART_KEPT_MS = 7 * 24 * 3_600_000;
const PAUSE = { first: 100, most: 2000 } as const; // ms
/** Written between two messages to the thread that hashes. */
const FOLLOWED_BYTES = 1024 * 1024;
const FILE_MODE = 0o644;
/** What passes by itself, perhaps. */
const PASSING: ReadonlySet<string> = new Set(['owner_offline', 'busy', 'too_many_requests', 'server_unreachable', 'storage_unavailable']);

/**
 * Brings a published file from its owner's device. The part that came is kept beside the target for a week, so that a fetch that was broken off goes on from
 * there; the file takes its name when the digest of the whole is the announced one.
 * @throws AppError `not_found`, `owner_offline`, `file_changed`, `digest_mismatch`, `local_io`, `cancelled`
 */
export async function fetchFile(deps: Deps, local: string, options: FetchOptions = {}): Promise<Fetched> {
  const file = chosen(await deps.find());
  const target = isFolder(local) ? join(local, safeName(basename(file.path))) : local;
  removeOldParts(dirname(target), Date.now() - PART_KEPT_MS);
  const part = partPath(target, sha256(Buffer.from(`published ${file.digest} ${basename(target)}`)));
  for (let first = true; ; first = false) {
    const incoming = new Incoming(part, file, options);
    const resumed = incoming.position;
    let isAsAnnounced: boolean;
    try {
      await incoming.fill(deps, options);
      isAsAnnounced = await incoming.isAsAnnounced();
    } catch (error) {
      await incoming.close();
      const isUseless = incoming.position === 0 || (error instanceof AppError && error.code === 'file_changed'); // nobody has the rest of it
      if (isUseless) unlinkSync(part);
      throw error;
    }
    await incoming.endHash();
    if (isAsAnnounced) {
      finishPart(incoming.fd, part, target, { mode: FILE_MODE, mtimeUs: Date.now() * 1000 });
      return { local: target, bytes: incoming.position - resumed, size: file.size };
    }
    await incoming.close();
    unlinkSync(part);
    if (!first || resumed === 0) throw new AppError('digest_mismatch', `${file.name}: what came is not what was announced`);
  }
}

/** The first bytes; they cannot be checked, for the digest is of the whole. */
export async function fetchStart({ http, find }: Deps, length: number): Promise<Readable> {
  const file = chosen(await find());
  const headers = file.size > length ? { range: `bytes=0-${length - 1}` } : {};
  return (await http.stream('GET', ROUTES.publishedContent, { query: contentOf(file), headers })).body;
}

/** Of several devices or folders that have the name: one that can be asked, announced last. */
function chosen(files: readonly RestPublished[]): RestPublished {
  const [best] = files.toSorted((a, b) => Number(b.online) - Number(a.online) || (a.announcedAt < b.announcedAt ? 1 : -1));
  if (best === undefined) throw new AppError('not_found', 'no such file is published');
  return best;
}

function contentOf({ publication, path, digest }: RestPublished) {
  return { id: publication, path, digest };
}

/** The part that is there, hashed as it grows. */
class Incoming {
  readonly #file: OpenFile;
  readonly #wanted: RestPublished;
  readonly #hash: FileHash;
  readonly #progress: () => void;
  position = 0;
  #came = 0;

  constructor(part: string, wanted: RestPublished, { onProgress }: FetchOptions) {
    this.#wanted = wanted;
    this.#file = new OpenFile(openPart(part));
    const startedMs = performance.now();
    this.#progress = () =>
      onProgress?.({
        filesDone: this.position === wanted.size ? 1 : 0,
        filesTotal: 1,
        bytesDone: this.position,
        bytesTotal: wanted.size,
        bytesPerSecond: (this.#came * 1000) / Math.max(1, performance.now() - startedMs),
      });
    if (this.#file.stats().size > wanted.size) this.#file.truncate(0); // it is no part of this
    this.position = this.#file.stats().size;
    this.#hash = new FileHash(this.#file.fd);
  }

  get fd(): number {
    return this.#file.fd;
  }

  async fill(deps: Deps, { waitMs, signal }: FetchOptions): Promise<void> {
    let failures = 0;
    let movedMs = performance.now();
    for (let source = this.#wanted; this.position < this.#wanted.size || this.#wanted.size === 0; source = await this.#source(deps)) {
      const before = this.position;
      try {
        await this.#fetch(deps.http, source, signal);
        return;
      } catch (error) {
        if (!(error instanceof AppError) || !PASSING.has(error.code)) throw error;
        if (this.position > before) {
          failures = 0;
          movedMs = performance.now();
        }
        if (this.position > before && error.code === 'server_unreachable') continue; // cut off: whoever is asked next says why
        const patienceMs = waitMs ?? (this.#came > 0 || error.code === 'busy' ? WAIT_MS : 0);
        if (performance.now() - movedMs >= patienceMs) throw error;
        failures += 1;
        await pause(Math.min(PAUSE.most, PAUSE.first * 2 ** (failures - 1)), signal);
      }
    }
  }

  async isAsAnnounced(): Promise<boolean> {
    return this.position === this.#wanted.size && (await this.#hash.digest(this.position)) === this.#wanted.digest;
  }

  /** From now on the file can be closed. */
  async endHash(): Promise<void> {
    await this.#hash.close();
  }

  async close(): Promise<void> {
    await this.endHash();
    this.#file.close();
  }

  /** Who has the same content now. */
  async #source(deps: Deps): Promise<RestPublished> {
    const files = await deps.find().catch((error: unknown) => {
      if (error instanceof AppError && PASSING.has(error.code)) return null;
      throw error;
    });
    if (files === null) return this.#wanted;
    const same = files.filter(({ digest }) => digest === this.#wanted.digest);
    if (files.length > 0 && same.length === 0)
      throw new AppError('file_changed', `${this.#wanted.name}: the file has changed since the fetch began`);
    return chosen(same);
  }

  async #fetch(http: Http, source: RestPublished, signal: AbortSignal | undefined): Promise<void> {
    const headers = this.position > 0 ? { range: `bytes=${this.position}-` } : {};
    const { body } = await http.stream('GET', ROUTES.publishedContent, { query: contentOf(source), headers, signal });
    let followed = this.position;
    for await (const piece of body as AsyncIterable<Buffer>) {
      if (this.position + piece.length > this.#wanted.size) throw new AppError('length_mismatch', 'more came than the file has');
      try {
        this.#file.write(piece, this.position);
      } catch (error) {
        throw localError(this.#wanted.name, error);
      }
      this.position += piece.length;
      this.#came += piece.length;
      giveBack([piece]);
      if (this.position - followed >= FOLLOWED_BYTES) {
        followed = this.position;
        this.#hash.follow(followed);
      }
      this.#progress();
    }
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, { ...(signal === undefined ? {} : { signal }) });
  } catch (cause) {
    throw new AppError('cancelled', 'cancelled', { cause });
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
