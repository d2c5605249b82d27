import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CHUNK_FRAME_HEADER_BYTES } from '../Models/chunk_frames.ts';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { ChunkLocation, ChunkStore, VerifiedChunk } from './chunk_store.ts';
import { makeDurableFolder, syncFolder } from './durable_file.ts';

/**
 * Packs as files of one folder: `HH/NAME.pack`, HH being the first two digits of the name. Chunks are appended to one open pack;
 * appends that wait at the same time share one write and one `fdatasync`.  Bytes behind the last referred-to frame, left by a crash,
 * are never read and cost only their space.
 */
export async function openPackChunkStore(folder: string): Promise<ChunkStore> {
  await makeDurableFolder(folder, 0o700);
  await syncFolder(folder); // names that an earlier process made and had no time to sync
  return new PackChunkStore(folder);
}

type PackRange = { readonly pack: string; readonly offset: number; readonly length: number };

type Append = {
  readonly chunks: readonly VerifiedChunk[];
  readonly durable: boolean;
  readonly resolve: (locations: ChunkLocation[]) => void;
  readonly reject: (error: unknown) => void;
};

type OpenPack = {
  readonly name: string;
  readonly handle: FileHandle;
  length: number;
  folderSynced: boolean;
  dirty: boolean; // written to since the last sync began
  syncing: Promise<void>; // each after the one before
};

const READERS_MAX = 64;
/**
 * The kernel keeps what one call writes in pages as large as that, and pages of 2 MiB are those that a virtual machine gives back to its host and has to ask
 * for again: calls of 8 MiB took it three to nine times as long as these.
 */
const WRITE_BYTES = 1 << 20;

class PackChunkStore implements ChunkStore {
  readonly copies = 1; // one disk
  readonly #folder: string;
  #waiting: Append[] = [];
  #writing: Promise<void> | null = null;
  #pack: OpenPack | null = null;
  #retiring: Promise<void> = Promise.resolve(); // packs that are full, until they are durable and closed
  #broken: AppError | null = null; // set once a sync failed: what the disk then holds is unknown
  readonly #readers = new Map<string, Promise<FileHandle>>(); // least recently used first

  constructor(folder: string) {
    this.#folder = folder;
  }

  append(chunks: readonly VerifiedChunk[], durable: 'now' | 'later' = 'now'): Promise<ChunkLocation[]> {
    if (chunks.length === 0) return Promise.resolve([]);
    return this.#enqueue(chunks, durable === 'now');
  }

  /** Appends go on meanwhile. */
  async sync(): Promise<void> {
    await this.#enqueue([], false); // whatever was appended before is written
    await this.#syncAll();
  }

  #enqueue(chunks: readonly VerifiedChunk[], durable: boolean): Promise<ChunkLocation[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ chunks, durable, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  async read(range: PackRange, into?: Buffer): Promise<Buffer> {
    try {
      return await this.#readFully(range, into);
    } catch (error) {
      // the handle was closed to make room between being looked up and being used
      if (errorCode(error) === 'EBADF') return await this.#readFully(range, into);
      if (error instanceof AppError) throw error;
      throw new AppError('storage_unavailable', 'a pack cannot be read', { cause: error });
    }
  }

  async #readFully({ pack, offset, length }: PackRange, into?: Buffer): Promise<Buffer> {
    const handle = await this.#reader(pack);
    const bytes = into !== undefined && into.length >= length ? into.subarray(0, length) : Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) throw new AppError('corrupt', `pack ${pack} is shorter than the database says`);
      done += bytesRead;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await this.#writing;
    if (this.#pack !== null) this.#retire(this.#pack);
    await this.#retiring;
    const readers = await Promise.allSettled(this.#readers.values());
    this.#readers.clear();
    for (const reader of readers) if (reader.status === 'fulfilled') await reader.value.close();
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        const locations = await this.#write(group);
        for (const [i, append] of group.entries()) append.resolve(locations[i] as ChunkLocation[]);
      } catch (error) {
        for (const append of group) append.reject(error);
      }
    }
    this.#writing = null;
  }

  /** Writes a group into one pack. A group may carry the pack over its normal length by one group: batches are bounded. */
  async #write(group: readonly Append[]): Promise<ChunkLocation[][]> {
    if (this.#broken !== null) throw this.#broken;
    const some = group.some(({ chunks }) => chunks.length > 0);
    const locations = some ? await this.#writeToPack(await this.#openForAppend(), group) : group.map(() => []);
    if (group.some(({ durable }) => durable)) await this.#syncAll();
    return locations;
  }

  async #writeToPack(pack: OpenPack, group: readonly Append[]): Promise<ChunkLocation[][]> {
    const pieces: Buffer[] = [];
    let end = pack.length;
    const locations = group.map(({ chunks }) =>
      chunks.map((chunk) => {
        const location = { pack: pack.name, offset: end, length: chunk.length };
        end += CHUNK_FRAME_HEADER_BYTES + chunk.length;
        pieces.push(...chunk.frame);
        return location;
      }),
    );
    try {
      await writeAll(pack.handle, pieces, pack.length);
    } catch (cause) {
      await pack.handle.truncate(pack.length).catch(ignoreIo); // gives the space back if possible
      this.#retire(pack); // never appended to again
      throw writeError(cause);
    }
    pack.length = end;
    pack.dirty = true; // not before: a sync that began while this was being written may lack some of it
    if (pack.length >= LIMITS.packBytesMax) {
      await this.#retiring; // at most one full pack is being synced while the next one is filled
      this.#retire(pack);
    }
    return locations;
  }

  /** Syncs and closes a pack that takes no more chunks, in the background. A failure shows in the next sync. */
  #retire(pack: OpenPack): void {
    this.#pack = null;
    const before = this.#retiring;
    this.#retiring = (async () => {
      await before;
      await this.#syncPack(pack).catch(Boolean); // it is kept in #broken
      await pack.handle.close().catch(ignoreIo);
    })();
  }

  async #syncAll(): Promise<void> {
    const pack = this.#pack; // it may be full before the others are synced
    await this.#retiring;
    if (pack !== null) await this.#syncPack(pack);
    if (this.#broken !== null) throw this.#broken;
  }

  #syncPack(pack: OpenPack): Promise<void> {
    const synced = pack.syncing.then(() => this.#syncDirty(pack));
    pack.syncing = synced.catch(() => undefined); // it is kept in #broken
    return synced;
  }

  async #syncDirty(pack: OpenPack): Promise<void> {
    if (this.#broken !== null) throw this.#broken;
    if (!pack.dirty) return;
    pack.dirty = false; // what is written from now on needs another one
    try {
      await pack.handle.datasync();
      if (!pack.folderSynced) await syncFolder(join(this.#folder, pack.name.slice(0, 2)));
      pack.folderSynced = true;
    } catch (cause) {
      // the kernel has dropped the unwritten pages: a second sync would succeed and mean nothing
      this.#broken = new AppError('storage_unavailable', 'the disk failed to make bytes durable; writing is stopped until restart', {
        cause,
      });
      throw this.#broken;
    }
  }

  async #openForAppend(): Promise<OpenPack> {
    this.#pack ??= (await this.#reopenShortPack()) ?? (await this.#createPack());
    return this.#pack;
  }

  #triedReopen = false;

  /** After a restart the last pack is filled up, so that restarts do not leave many short ones. */
  async #reopenShortPack(): Promise<OpenPack | null> {
    if (this.#triedReopen) return null;
    this.#triedReopen = true;
    try {
      for (const path of await readdir(this.#folder, { recursive: true })) {
        const name = packName(path); // whatever else lies there is not ours to write to
        if (name === null) continue;
        const { size } = await stat(this.#path(name));
        if (size < LIMITS.packBytesMax / 2)
          return {
            name,
            handle: await open(this.#path(name), 'r+'),
            length: size,
            folderSynced: false,
            dirty: false,
            syncing: Promise.resolve(),
          };
      }
      return null;
    } catch (cause) {
      throw writeError(cause);
    }
  }

  async #createPack(): Promise<OpenPack> {
    const name = randomBytes(16).toString('hex');
    const path = this.#path(name);
    try {
      await makeDurableFolder(join(this.#folder, name.slice(0, 2)), 0o700);
      return { name, handle: await open(path, 'wx', 0o600), length: 0, folderSynced: false, dirty: false, syncing: Promise.resolve() };
    } catch (cause) {
      throw writeError(cause);
    }
  }

  async #reader(pack: string): Promise<FileHandle> {
    const known = this.#readers.get(pack);
    if (known !== undefined) {
      this.#readers.delete(pack);
      this.#readers.set(pack, known);
      return known;
    }
    const opened = open(this.#path(pack), 'r').catch((cause: unknown) => {
      this.#readers.delete(pack);
      if (errorCode(cause) !== 'ENOENT') throw new AppError('storage_unavailable', 'a pack cannot be opened', { cause });
      throw new AppError('corrupt', `pack ${pack} is gone`, { cause });
    });
    this.#readers.set(pack, opened);
    if (this.#readers.size > READERS_MAX) this.#dropOldestReader();
    return opened;
  }

  #dropOldestReader(): void {
    const oldest = this.#readers.keys().next().value as string;
    const handle = this.#readers.get(oldest);
    this.#readers.delete(oldest);
    // closing waits for reads that are under way on the handle
    void handle?.then((open) => open.close()).catch(ignoreIo);
  }

  #path(name: string): string {
    return join(this.#folder, name.slice(0, 2), `${name}.pack`);
  }
}

/** Of a path below the packs' folder; `null` for one that no pack has. */
function packName(path: string): string | null {
  const [, folder, name] = /^([0-9a-f]{2})[/\\]([0-9a-f]{32})\.pack$/.exec(path) ?? [];
  return name !== undefined && name.slice(0, 2) === folder ? name : null;
}

async function writeAll(handle: FileHandle, pieces: readonly Buffer[], position: number): Promise<void> {
  let at = position;
  for (const step of stepsOf(pieces)) {
    const { bytesWritten } = await handle.writev(step, at);
    at += bytesWritten;
    const short = step.reduce((sum, { length }) => sum + length, 0) - bytesWritten;
    if (short === 0) continue;
    // most often the disk is full, and writing the rest says so
    const rest = Buffer.concat(step).subarray(-short);
    for (let done = 0; done < rest.length; ) {
      const { bytesWritten: more } = await handle.write(rest, done, rest.length - done, at);
      done += more;
      at += more;
    }
  }
}

/** The same bytes in steps of at most `WRITE_BYTES`. */
function* stepsOf(pieces: readonly Buffer[]): Generator<Buffer[]> {
  let step: Buffer[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + WRITE_BYTES - bytes);
      step.push(part);
      bytes += part.length;
      at += part.length;
      if (bytes < WRITE_BYTES) continue;
      yield step;
      step = [];
      bytes = 0;
    }
  }
  if (bytes > 0) yield step;
}

function writeError(cause: unknown): AppError {
  const code = errorCode(cause);
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new AppError('storage_full', 'the server has no space left', { cause })
    : new AppError('storage_unavailable', 'the chunk store cannot be written', { cause });
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** For clean-up after a failure that is already being reported. */
function ignoreIo(error: NodeJS.ErrnoException): void {
  if (error.code === undefined) throw error;
}
