import type { Stuck } from './core/plan.ts';
import type { NodeId } from './core/tree.ts';
import { folderOf } from './disk/disk_paths.ts';
import type { SyncIndex } from './index/sync_index.ts';
import { nodeAt } from './node_at.ts';
import type { Reason } from './reasons.ts';
import { localPath, type NameForms, type ScanReport } from './scan/scan.ts';

export type ProblemsDeps = {
  readonly index: SyncIndex;
  readonly names: NameForms;
  readonly now: () => number; // ms
  readonly onProblem: (path: string, reason: Reason, detail: string) => void;
};

const RETRY_FIRST_MS = 200;
const RETRY_MS_MAX = 60_000;
/** These change by themselves within moments. */
const QUICK: ReadonlySet<Reason> = new Set(['still_changing']);
const QUICK_RETRY_MS = 20;
/** Tried again also where nothing is known at the path. */
const OF_NO_NODE: ReadonlySet<Reason> = new Set(['local_error', 'still_changing']);
const QUICK_RETRY_MS_MAX = 2000;

/** What scanning itself finds out: gone once it is not found any more. */
const SCANNED: ReadonlySet<Reason> = new Set([
  'ignored',
  'excluded',
  'name_not_utf8',
  'name_not_there',
  'special_file',
  'no_permission_local',
  'other_file_system',
]);

/** Not to be tried, however often: only a scan finds out that it is over. */
const UNTIL_SEEN: ReadonlySet<Reason> = new Set(['other_file_system']);

/** What the server refused of what is here. */
const OF_THE_SERVER: ReadonlySet<Reason> = new Set([
  'no_permission_remote',
  'over_quota',
  'type_refused',
  'too_large',
  'folder_not_empty', // also of what stays here
  'remote_error',
]);

/** Why entries are not in sync, when each is tried again, and when it is a problem no more. They are kept in the index. */
export class Problems {
  readonly #deps: ProblemsDeps;
  readonly #attempts = new Map<string, number>(); // failures in a row, by path
  /** Those that scanning found, by path; the others came up when something was done. */
  readonly #sighted: Set<string>;

  constructor(deps: ProblemsDeps) {
    this.#deps = deps;
    this.#sighted = new Set(deps.index.problems().flatMap(({ path, reason }) => (SCANNED.has(reason) ? [path] : [])));
  }

  /** Something could not be done. */
  failed(id: NodeId | null, path: string, reason: Reason, detail: string): void {
    this.#sighted.delete(path);
    this.#add(id, path, reason, detail);
  }

  /** Something was done. */
  done(path: string): void {
    if (!this.#sighted.has(path) && this.#attempts.delete(path)) this.#deps.index.clearProblem(path);
  }

  /** Problems of scanning are known anew for each folder that was looked at. */
  takeFindings(found: ScanReport, { isWhole }: { readonly isWhole: boolean }): void {
    const { index, names } = this.#deps;
    const isGone = (folder: string): boolean => isWhole && !found.folders.has(folder) && nodeAt(index.local, names, folder) === null;
    const current = new Set(found.findings.map(({ path }) => path));
    for (const { path, id, reason } of index.problems()) {
      // of a known folder it is what is in it that could not be seen; what is mounted is seen from above
      const isInside = reason !== 'other_file_system' && id !== null && index.local.get(id)?.kind === 'folder';
      const wasLookedAt = found.folders.has(isInside ? path : folderOf(path)) || (id === null && isGone(folderOf(path)));
      if (!wasLookedAt || current.has(path) || (id !== null && !this.#sighted.has(path))) continue;
      this.#clear(path);
      this.#sighted.delete(path);
    }
    for (const { id, path, reason, detail } of found.findings) {
      this.#add(id, path, reason, detail);
      this.#sighted.add(path);
    }
  }

  /**
   * What a plan could not decide, and what was a problem and is none any more.
   * @returns whether a node waited for its next try that need not: the plan has left it out
   */
  takeStuck(stuck: readonly Stuck[]): boolean {
    const { index, names, now } = this.#deps;
    const differing = new Set(index.changed());
    const stuckIds = new Set(stuck.map(({ id }) => id));
    let isFree = false;
    for (const { path, id, reason, retryAtMs } of index.problems()) {
      if (id === null || this.#sighted.has(path)) continue;
      const isStill = reason === 'name_collides' ? stuckIds.has(id) : differing.has(id);
      if (isStill && !(OF_THE_SERVER.has(reason) && this.#isElsewhere(id, path))) continue;
      this.#clear(path);
      isFree ||= this.#isAhead(retryAtMs);
    }
    for (const { id, reason } of stuck) {
      const path = localPath(index, names, id);
      if (path !== null) index.setProblem({ path, id, reason, detail: '', sinceMs: now(), retryAtMs: 0 });
    }
    return isFree;
  }

  /** A person has moved it: it is told where it is now. */
  #isElsewhere(id: NodeId, path: string): boolean {
    const { index, names } = this.#deps;
    const now = index.local.get(id) === undefined ? null : localPath(index, names, id);
    return now !== null && now !== path;
  }

  /** Nodes that are not to be touched: those not to be tried before it is time, and those that must be seen to be free first. */
  waiting(): Set<NodeId> {
    const problems = this.#deps.index.problems();
    const waiting = problems.filter(({ reason, retryAtMs }) => UNTIL_SEEN.has(reason) || this.#isAhead(retryAtMs));
    return new Set(waiting.flatMap(({ id }) => (id === null ? [] : [id])));
  }

  /** Where something could not be seen or done, and is to be tried again by now. */
  foldersDue(): string[] {
    const problems = this.#deps.index.problems();
    return problems.flatMap(({ path, retryAtMs }) => (retryAtMs > 0 && !this.#isAhead(retryAtMs) ? [folderOf(path)] : []));
  }

  retryNow(): void {
    const { index } = this.#deps;
    index.transaction(() => {
      for (const problem of index.problems()) if (problem.retryAtMs > 0) index.setProblem({ ...problem, retryAtMs: 0 });
    });
  }

  /** `retryAtMs`: when the first of those that wait may be tried again; `null`: none waits. */
  count(): { readonly problems: number; readonly retryAtMs: number | null } {
    const problems = this.#deps.index.problems();
    const retries = problems.flatMap(({ retryAtMs }) => (this.#isAhead(retryAtMs) ? [retryAtMs] : []));
    return { problems: problems.length, retryAtMs: retries.length === 0 ? null : Math.min(...retries) };
  }

  #add(id: NodeId | null, path: string, reason: Reason, detail: string): void {
    const { index, now, onProblem } = this.#deps;
    const count = (this.#attempts.get(path) ?? 0) + 1;
    this.#attempts.set(path, count);
    const [first, most] = QUICK.has(reason) ? [QUICK_RETRY_MS, QUICK_RETRY_MS_MAX] : [RETRY_FIRST_MS, RETRY_MS_MAX];
    const retryAtMs = id === null && !OF_NO_NODE.has(reason) ? 0 : now() + Math.min(first * 2 ** (count - 1), most);
    index.setProblem({ path, id, reason, detail, sinceMs: now(), retryAtMs });
    onProblem(path, reason, detail);
  }

  #clear(path: string): void {
    this.#deps.index.clearProblem(path);
    this.#attempts.delete(path);
  }

  /** Not due yet. A clock that was set back makes it no longer than it could be. */
  #isAhead(retryAtMs: number): boolean {
    const now = this.#deps.now();
    return retryAtMs > now && retryAtMs <= now + RETRY_MS_MAX;
  }
}
