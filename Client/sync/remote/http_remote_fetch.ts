import { EMPTY_DIGEST_HEX } from '../../../Models/content_id.ts';
import { AppError } from '../../../Models/errors.ts';
import { LIMITS } from '../../../Models/limits.ts';
import { fillFrom } from '../../transfer/byte_file.ts';
import { fetchChunks, type PatchBase, type WantedChunk } from '../../transfer/fetch_chunks.ts';
import { sha256 } from '../../transfer/local_files.ts';
import type { DiskFile } from '../disk/disk.ts';
import { closeGivenUp } from '../disk/local_tree_states.ts';
import { Attempts } from './attempts.ts';
import { DAMAGED, DAMAGED_MAX, type FetchDeps, fetchLong } from './http_remote_fetch_long.ts';
import type { FetchItem, FetchOutcome } from './remote.ts';

type OnDone = (key: number, outcome: FetchOutcome) => void;

const PULL_FILES_MAX = 4096;
const PULL_BYTES_MAX = 64 << 20;
const BASE_BYTES_MIN = 4096; // a shorter file costs less to fetch than to compare
const OF_ONE_FILE: ReadonlySet<string> = new Set([...DAMAGED, 'not_found', 'not_a_file', 'version_stale', 'chunk_missing', 'path_invalid']);

/** One fetch of `Remote`: see there. @throws AppError what ends all of it; what had come before was handed over */
export async function fetchItems(deps: FetchDeps, items: Iterable<FetchItem>, onDone: OnDone): Promise<void> {
  await new Fetch(deps, onDone).run(items);
}

class Fetch {
  readonly #deps: FetchDeps;
  readonly #onDone: OnDone;
  readonly #attempts: Attempts;
  #short: FetchItem[] = []; // of one chunk
  #shortBytes = 0;

  constructor(deps: FetchDeps, onDone: OnDone) {
    this.#deps = deps;
    this.#onDone = onDone;
    this.#attempts = new Attempts(deps.clock);
  }

  /** Short files first, many in one stream; then the long ones. */
  async run(items: Iterable<FetchItem>): Promise<void> {
    const long: FetchItem[] = [];
    for (const item of items) {
      const { size, chunkCount } = item.node;
      if (chunkCount > 1) long.push(item);
      else if (size === 0) this.#onDone(item.key, emptyFile(item));
      else {
        this.#short.push(item);
        this.#shortBytes += size;
        if (this.#short.length >= PULL_FILES_MAX || this.#shortBytes >= PULL_BYTES_MAX) await this.#fetchShort();
      }
    }
    await this.#fetchShort();
    for (const item of long) await this.#fetchLong(item);
  }

  async #fetchLong(item: FetchItem): Promise<void> {
    let outcome: FetchOutcome;
    try {
      outcome = { file: await fetchLong(this.#deps, this.#attempts, item) };
    } catch (error) {
      outcome = { failure: failureOf(error) };
    }
    this.#onDone(item.key, outcome);
  }

  /** What came damaged is asked for again, at last alone, before it counts as failed. */
  async #fetchShort(): Promise<void> {
    let left = this.#short.map((item) => ({ item, damaged: 0 }));
    this.#short = [];
    this.#shortBytes = 0;
    while (left.length > 0) {
      let done = 0;
      try {
        await this.#pull(left, () => {
          done += 1;
          this.#attempts.progress();
        });
        left = left.slice(done);
      } catch (error) {
        left = left.slice(done);
        const suspect = left[0];
        if (suspect === undefined || !(error instanceof AppError) || !DAMAGED.has(error.code)) await this.#attempts.pauseAfter(error);
        else {
          suspect.damaged += 1;
          if (suspect.damaged >= DAMAGED_MAX) {
            left.shift();
            this.#onDone(suspect.item.key, { failure: failureOf(error) });
          }
        }
      }
    }
  }

  /** @param taken called for each item whose content came, before it is handed over */
  async #pull(left: readonly { readonly item: FetchItem; readonly damaged: number }[], taken: () => void): Promise<void> {
    const wanted = left.map(({ item: { node, previous }, damaged }): WantedChunk => {
      const base = damaged > 0 || node.size < BASE_BYTES_MIN ? null : baseOf(previous);
      return { digest: node.digest, length: node.size, base };
    });
    let next = 0;
    for await (const content of fetchChunks(this.#deps.http, wanted)) {
      const { item } = left[next] as { item: FetchItem };
      next += 1;
      taken();
      if (content === null) this.#onDone(item.key, { failure: { code: 'chunk_missing', message: 'the content cannot be read any more' } });
      else this.#fill(item, content);
    }
  }

  #fill({ key, create }: FetchItem, content: readonly Uint8Array[]): void {
    this.#onDone(key, filled(create, content));
  }
}

function emptyFile({ node, create }: FetchItem): FetchOutcome {
  if (node.digest.toString('hex') === EMPTY_DIGEST_HEX) return filled(create, []);
  return { failure: { code: 'digest_mismatch', message: 'the server says that something is in an empty file' } };
}

function filled(create: () => DiskFile, content: readonly Uint8Array[]): FetchOutcome {
  let file: DiskFile | null = null;
  try {
    file = create();
    let position = 0;
    for (const piece of content) {
      file.write(piece, position);
      position += piece.length;
    }
    return { file };
  } catch (error) {
    closeGivenUp(file);
    return { failure: failureOf(error) };
  }
}

/** The older version of a short file, if it is one chunk too. */
function baseOf(previous: FetchItem['previous']): PatchBase | null {
  const content = previous === null ? null : readShort(previous.open);
  if (previous === null || content === null) return null;
  return { digest: sha256(content), read: () => readShort(previous.open) ?? new Uint8Array(0) };
}

/** `null` for what is empty, long, or cannot be read: then it is no help. */
function readShort(open: () => DiskFile): Uint8Array | null {
  let file: DiskFile | null = null;
  try {
    file = open();
    const { size } = file.stat();
    if (size === 0 || size > LIMITS.chunkBytesMin) return null;
    const content = new Uint8Array(size);
    return fillFrom(file, content, 0) === size ? content : null;
  } catch (error) {
    if (systemCode(error) === null) throw error;
    return null;
  } finally {
    file?.close();
  }
}

function systemCode(error: unknown): string | null {
  return !(error instanceof AppError) && error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** What concerns one file: the server's code, or the system's own. @throws the error, when it concerns all of them */
function failureOf(error: unknown): { readonly code: string; readonly message: string } {
  const system = systemCode(error);
  if (system !== null) return { code: system, message: (error as Error).message };
  if (error instanceof AppError && OF_ONE_FILE.has(error.code)) return { code: error.code, message: error.message };
  throw error;
}
