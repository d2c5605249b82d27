import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { nameProblem } from '../../Models/names.ts';
import { PRIVATE_FOLDER } from '../sync/disk/local_tree.ts';
import { localError, PART_NAME } from '../transfer/local_files.ts';

/** What tells that a file is still the one that was hashed. */
type Mark = Pick<BigIntStats, 'dev' | 'ino' | 'size' | 'mtimeNs' | 'ctimeNs'>;

export type HashedFile = {
  readonly path: string /* relative, slashes */;
  readonly size: number;
  readonly digest: string /* 64 hex digits */;
};
type KnownFile = HashedFile & { readonly local: string; readonly mark: Mark };

const PIECE_BYTES = 1024 * 1024;

/** A local folder and the SHA-256 of each regular file below it. Links are not followed, and what cannot be read is left out. */
export class AnnouncedFolder {
  readonly #root: string;
  #known = new Map<string, KnownFile>(); // by path
  #byDigest = new Map<string, KnownFile>();
  #isUnsettled = false;

  constructor(root: string) {
    this.#root = root;
  }

  /** Some file was changing while it was looked at: look again. */
  get isUnsettled(): boolean {
    return this.#isUnsettled;
  }

  /**
   * What is there now; only what is new or looks changed is read.
   * @throws AppError `local_io` (the folder itself cannot be read), `too_large` (too many files), `cancelled`
   */
  async look(signal: AbortSignal): Promise<ReadonlyMap<string, HashedFile>> {
    const found = new Map<string, KnownFile>();
    this.#isUnsettled = false;
    for await (const path of this.#paths('')) {
      if (signal.aborted) throw new AppError('cancelled', 'cancelled');
      const file = await this.#lookAt(path);
      if (file !== null) found.set(path, file);
      if (found.size > LIMITS.publishedFilesMax)
        throw new AppError('too_large', `at most ${LIMITS.publishedFilesMax} files are announced of one folder`);
    }
    this.#known = found;
    this.#byDigest = new Map([...found.values()].map((file) => [file.digest, file]));
    return found;
  }

  /** @throws AppError `file_changed` (no file is that now), `not_found`, `local_io` */
  async open(digest: string): Promise<OpenedFile> {
    const file = this.#byDigest.get(digest);
    if (file === undefined) throw changed();
    let handle: FileHandle;
    try {
      handle = await openFile(file.local);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      throw code === 'ENOENT' || code === 'ENOTDIR'
        ? new AppError('not_found', 'the file is gone', { cause: error })
        : localError(file.local, error);
    }
    const opened = new OpenedFile(handle, file);
    try {
      await opened.check();
    } catch (error) {
      await handle.close();
      throw error;
    }
    return opened;
  }

  async *#paths(folder: string): AsyncGenerator<string> {
    const entries = await readdir(join(this.#root, folder), { withFileTypes: true }).catch((error: unknown) => {
      if (folder === '') throw localError(this.#root, error);
      return []; // gone meanwhile, or not to be read
    });
    for (const entry of entries) {
      if (nameProblem(entry.name) !== null || entry.name.includes('\uFFFD') || entry.name === PRIVATE_FOLDER || PART_NAME.test(entry.name))
        continue;
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) yield* this.#paths(path);
      else if (entry.isFile()) yield path;
    }
  }

  /** `null`: gone, not to be read, or changing right now. */
  async #lookAt(path: string): Promise<KnownFile | null> {
    const local = join(this.#root, path);
    const known = this.#known.get(path);
    try {
      const now = await lstat(local, { bigint: true });
      if (known !== undefined && isSame(known.mark, now)) return known;
      await using handle = await openFile(local);
      const mark = await handle.stat({ bigint: true });
      if (!mark.isFile()) return null;
      const hash = createHash('sha256');
      for await (const piece of handle.createReadStream({ autoClose: false, highWaterMark: PIECE_BYTES })) hash.update(piece);
      if (isSame(mark, await handle.stat({ bigint: true })))
        return { path, local, size: Number(mark.size), digest: hash.digest('hex'), mark };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
      if (error.code !== 'ENOENT') return null;
    }
    this.#isUnsettled = true;
    return null;
  }
}

/** A file that was announced, open and as it was then. */
class OpenedFile {
  readonly #handle: FileHandle;
  readonly #file: KnownFile;

  constructor(handle: FileHandle, file: KnownFile) {
    this.#handle = handle;
    this.#file = file;
  }

  get path(): string {
    return this.#file.path;
  }

  get size(): number {
    return this.#file.size;
  }

  /** @throws AppError `file_changed` */
  async check(): Promise<void> {
    if (!isSame(this.#file.mark, await this.#handle.stat({ bigint: true }))) throw changed();
  }

  /** Each piece was what was announced when it was read. @throws AppError `file_changed`, `local_io` */
  async *read(start: number, length: number): AsyncGenerator<Buffer> {
    for (let at = start; at < start + length; ) {
      const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, start + length - at));
      const { bytesRead } = await this.#handle.read(piece, 0, piece.length, at);
      await this.check();
      if (bytesRead === 0) throw changed();
      yield piece.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

function openFile(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK); // not to wait at a pipe
}

function isSame(a: Mark, b: Mark): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

function changed(): AppError {
  return new AppError('file_changed', 'the file is not what was announced any more');
}
