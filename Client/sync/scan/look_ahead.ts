import { getCompileCacheDir } from 'node:module';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Shown } from './folder_picture.ts';

/** Looks at folders in another thread: most of a pass over what has not changed is one call of the system's for each file. */
export type LookAhead = {
  /** Folders that were given and have not come back. */
  readonly waiting: number;
  /** @param folders paths from the root, not the root itself */
  give(folders: readonly string[]): void;
  /** What has come since the last time; `null` for what could not be seen. */
  take(): ReadonlyMap<string, Shown | null>;
  /** Resolves when something has come. */
  readonly arrival: Promise<void>;
  close(): void;
};

export type LookAheadStart = { readonly root: string; readonly compileCache: string | null };

/** @param root of the synced folder @returns `null` where a second thread is no help */
export function startLookAhead(root: string): LookAhead | null {
  if (availableParallelism() < 2) return null;
  const worker = new Worker(new URL('./look_ahead_worker.js', import.meta.url), {
    workerData: { root, compileCache: getCompileCacheDir() ?? null } satisfies LookAheadStart,
    resourceLimits: { maxYoungGenerationSizeMb: 4 }, // what it makes is handed over
  });
  worker.unref();
  const waiting = new Set<string>();
  let come = new Map<string, Shown | null>();
  let arrival = Promise.withResolvers<void>();
  let failed = false;
  const tell = (): void => {
    arrival.resolve();
    arrival = Promise.withResolvers();
  };
  /** Whoever gave them looks itself. */
  const giveBack = (): void => {
    failed = true;
    for (const folder of waiting) come.set(folder, null);
    waiting.clear();
    tell();
  };
  worker.on('message', (looked: readonly (readonly [string, Shown | null])[]) => {
    for (const [folder, shown] of looked) if (waiting.delete(folder)) come.set(folder, shown);
    tell();
  });
  worker.on('error', giveBack);
  worker.on('exit', giveBack);
  return {
    get waiting() {
      return waiting.size;
    },
    give(folders) {
      for (const folder of folders) waiting.add(folder);
      if (failed) giveBack();
      else worker.postMessage(folders);
    },
    take() {
      const taken = come;
      come = new Map();
      return taken;
    },
    get arrival() {
      return come.size > 0 ? Promise.resolve() : arrival.promise;
    },
    close: () => void worker.terminate(),
  };
}
