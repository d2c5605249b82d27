import { AppError } from '../../Models/errors.ts';
import type { ArrivingFile } from '../../Models/events.ts';
import { readAnchored } from '../../Models/names.ts';
import type { ChunkRef } from '../../Models/operations.ts';
import type { DiskFile } from './disk/disk.ts';
import { inFolder } from './disk/disk_paths.ts';
import { giveUp, type LocalTree, SYNC_BYTES } from './disk/local_tree.ts';
import { codeOf, isOfDisk } from './disk/local_tree_states.ts';
import type { SyncIndex } from './index/sync_index.ts';
import type { EarlyFile, Remote } from './remote/remote.ts';
import type { IgnoreRules } from './scan/ignore_rules.ts';
import { localPath, type NameForms } from './scan/scan.ts';

export type EarlyDeps = {
  readonly tree: Pick<LocalTree, 'stage' | 'restage' | 'discard'>;
  readonly index: Pick<SyncIndex, 'newId' | 'byServerNode' | 'local'>;
  readonly remote: Pick<Remote, 'arriving'>;
  readonly rules: () => Pick<IgnoreRules, 'match'>;
  readonly names: NameForms;
};

type Coming = {
  readonly id: number; // staged under it
  readonly chunks: ChunkRef[]; // written, one behind the other
  readonly stop: AbortController;
  over: boolean; // nothing more comes
  /** Resolves when nothing more comes. `null`: it is of no use, and nothing is staged. */
  readonly file: Promise<DiskFile | null>;
};

/**
 * What comes of a long file while another device still sends it: written where nobody sees it, and no more than bytes until the server has the
 * file. One at a time, and no other one before that was taken or thrown away: what came is not fetched twice.
 */
export class EarlyFiles {
  readonly #deps: EarlyDeps;
  #coming: Coming | null = null;

  constructor(deps: EarlyDeps) {
    this.#deps = deps;
  }

  /** Another device sends this: a hint, that is not followed where it is not for here. */
  arriving(file: ArrivingFile): void {
    if (this.#coming !== null) return;
    try {
      if (!this.#isForHere(file)) return;
      const begun = { id: this.#deps.index.newId(), chunks: [], stop: new AbortController(), over: false };
      this.#coming = Object.assign(begun, { file: this.#follow(file.id, begun) });
    } catch (error) {
      // a path that no client of ours sends, or an index that cannot be read now
      if (!(error instanceof AppError) && codeOf(error) === '') throw error;
    }
  }

  /**
   * Hands over what has come, and waits for no more.
   * @param chunks of the file that is to be fetched @param id what it is staged under from now on @returns `null`: nothing of it is here
   */
  async take(chunks: readonly ChunkRef[], id: number): Promise<EarlyFile | null> {
    const coming = this.#coming;
    if (coming === null || !isSame(coming.chunks[0], chunks[0])) return null;
    this.#coming = null;
    coming.stop.abort();
    const file = await coming.file;
    if (file === null) return null;
    const count = coming.chunks.findIndex((chunk, i) => !isSame(chunk, chunks[i]));
    try {
      this.#deps.tree.restage(coming.id, id);
      return { file, chunks: count === -1 ? coming.chunks.length : count };
    } catch (error) {
      giveUp(this.#deps.tree, coming.id, file);
      if (!isOfDisk(error)) throw error;
      return null; // it was cleared away with everything that was staged
    }
  }

  /** What is over by now is committed, or never will be: whoever looks at the server from now on takes it. @returns throws away what nobody took */
  unclaimed(): () => Promise<void> {
    const coming = this.#coming?.over === true ? this.#coming : null;
    return async () => {
      if (coming !== null && coming === this.#coming) await this.drop();
    };
  }

  async drop(): Promise<void> {
    const coming = this.#coming;
    this.#coming = null;
    coming?.stop.abort();
    const file = (await coming?.file) ?? null;
    if (coming !== null && file !== null) giveUp(this.#deps.tree, coming.id, file);
  }

  /** Its place is in a folder that is followed here, and nothing leaves it out. */
  #isForHere({ path }: ArrivingFile): boolean {
    const { index, names, rules } = this.#deps;
    const anchored = readAnchored(path);
    const folder = anchored === null ? undefined : index.byServerNode(anchored.id);
    let local = folder === undefined ? null : localPath(index, names, folder);
    for (const name of anchored?.below ?? []) local = local === null ? null : inFolder(local, names.toLocal(name) ?? name);
    return local !== null && local !== '' && rules().match(local, 'file') === null;
  }

  async #follow(id: string, coming: Omit<Coming, 'file'>): Promise<DiskFile | null> {
    const { remote, tree } = this.#deps;
    const { chunks, stop } = coming;
    let file: DiskFile | null = null;
    let syncing = Promise.resolve();
    try {
      file = tree.stage(coming.id);
      let position = 0;
      let synced = 0;
      for await (const { digest, length, content } of untilCutOff(remote.arriving(id, stop.signal), stop.signal)) {
        for (const piece of content) {
          file.write(piece, position);
          position += piece.length;
        }
        chunks.push({ digest: Buffer.from(digest), length });
        if (position - synced < SYNC_BYTES) continue;
        await syncing;
        syncing = file.syncLater();
        syncing.catch(Boolean); // thrown where it is awaited
        synced = position;
      }
      await syncing;
      return file;
    } catch (error) {
      await syncing.catch(Boolean); // the file must not be closed before
      if (file !== null) giveUp(tree, coming.id, file);
      if (!isOfDisk(error)) throw error;
      return null; // it is full, or fails: the fetch says so, if it is ever to be fetched
    } finally {
      coming.over = true;
    }
  }
}

/** What came before a connection broke, or before it was enough, is good. */
async function* untilCutOff<T>(source: AsyncIterable<T>, enough: AbortSignal): AsyncGenerator<T> {
  try {
    yield* source;
  } catch (error) {
    if (!enough.aborted && !(error instanceof AppError)) throw error;
  }
}

function isSame(a: ChunkRef | undefined, b: ChunkRef | undefined): boolean {
  return a !== undefined && b !== undefined && a.length === b.length && Buffer.from(a.digest).equals(b.digest);
}
