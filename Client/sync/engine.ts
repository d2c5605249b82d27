import { AppError } from '../../Models/errors.ts';
import { type Plan, plan } from './core/plan.ts';
import { type NodeId, ROOT } from './core/tree.ts';
import type { Disk, DiskFeatures } from './disk/disk.ts';
import { folderOf } from './disk/disk_paths.ts';
import type { HashLocal } from './disk/hash_local.ts';
import { type LocalTree, PRIVATE_FOLDER } from './disk/local_tree.ts';
import { EarlyFiles } from './early_files.ts';
import { type ExecuteReport, execute } from './execute.ts';
import { pullFeed } from './feed.ts';
import { finishIntents } from './finish_intents.ts';
import { approve, endApproval, guardDeletes, guardRoot, type Held, withoutDeletes } from './guards.ts';
import type { ConflictRow, LocalNode, SyncIndex } from './index/sync_index.ts';
import { Problems } from './problems.ts';
import type { Reason } from './reasons.ts';
import { noRefusals, type Refusals } from './refusals.ts';
import type { Remote } from './remote/remote.ts';
import { type Keep, resolveConflict } from './resolve_conflict.ts';
import { currentRules, ignoreFileIn } from './scan/ignore_file.ts';
import { IGNORE_FILE, type IgnoreRules } from './scan/ignore_rules.ts';
import type { LookAhead } from './scan/look_ahead.ts';
import { isUnchanged, localPath, type NameForms, Scan, type ScanReport, seenStat } from './scan/scan.ts';
import { takeSent } from './take_sent.ts';
import type { Done, UnderWay } from './work_scope.ts';

export type EngineDeps = {
  readonly disk: Disk;
  /** @param onKept told where a person's file could not go back to its place and has another name now */
  readonly tree: (onKept: (path: string) => void) => LocalTree;
  readonly index: SyncIndex;
  readonly remote: Remote;
  /** From the text of the ignore file in the synced folder, `null` without one. */
  readonly rules: (ignoreFile: string | null) => IgnoreRules;
  readonly names: NameForms;
  readonly features: DiskFeatures;
  /** The remote folder: a path. */
  readonly remoteRoot: string;
  /** Named in conflict copies. */
  readonly device: string;
  readonly now: () => number; // ms
  readonly breathe: () => Promise<void>;
  /** See scan.ts. */
  readonly lookAhead?: () => LookAhead | null;
  readonly hash: HashLocal;
  /** Tells the server that this index goes on; false: it was restored from an older copy, or copied to a second device. */
  readonly claimState: (state: string, counter: number) => Promise<boolean>;
  readonly newState: () => string; // 32 hex digits, random
  readonly onEvent: (event: EngineEvent) => void;
  /** How many nodes are planned together; for tests. */
  readonly plannedTogether?: number;
};

export type EngineEvent =
  | { readonly type: 'done'; readonly done: Done }
  | { readonly type: 'problem'; readonly path: string; readonly reason: Reason; readonly detail: string }
  | { readonly type: 'held'; readonly held: readonly Held[] }
  | { readonly type: 'healed' };

/** What a pass looks at. Everything, unless something narrower is asked for. */
export type PassOptions = {
  readonly folders?: Iterable<string>;
  readonly feed?: boolean;
  /** Files that are being written to just now, by path: left as they are known. */
  readonly restless?: ReadonlySet<string>;
  /** What failed before is tried again, whenever it is due. */
  readonly retry?: boolean;
};

export type PassReport = {
  /** Both sides are the same, apart from what is a problem, a conflict, or held. */
  readonly complete: boolean;
  readonly achieved: number;
  readonly entries: number; // looked at
  readonly held: readonly Held[];
  readonly problems: number;
  /** Soonest time at which something that could not be done may be tried again, ms; `null`: nothing is waiting. */
  readonly retryAtMs: number | null;
};

const ROUNDS_MAX = 50;
const PLANNED_TOGETHER = 100_000; // about 100 MB
const TRASH_KEPT_MS = 7 * 86_400_000;
/** `partial`: more was to be planned than was asked for; it is only some of what is new. */
export type Preview = Plan & { readonly partial?: boolean };

/**
 * Keeps one local and one remote folder the same. One pass at a time; everything it touches is given to it.
 * A pass can be broken off anywhere, also by killing the process: the next one goes on from what was achieved.
 */
export type Engine = {
  /** @throws AppError what ends all of it: `server_unreachable`, `not_logged_in`, `local_io` (the folder itself cannot be read), … */
  pass(options?: PassOptions): Promise<PassReport>;
  /** What a pass would do, as far as that can be known before it is done. Nothing is changed but what is known. */
  preview(atMost?: number): Promise<Preview>;
  /** What waits for a person's word. */
  readonly held: readonly Held[];
  /** What is on its way just now. */
  readonly underWay: ReadonlyMap<NodeId, UnderWay>;
  /** What other devices are still sending. */
  readonly early: Pick<EarlyFiles, 'arriving' | 'drop'>;
  approve(): Promise<void>;
  /** Of one of `index.conflicts()`. @returns false when the files have changed meanwhile: after the next pass it can be tried again */
  resolve(conflict: ConflictRow, keep: Keep): Promise<boolean>;
};

export function createEngine(deps: EngineDeps): Engine {
  const { disk, index, names, now } = deps;
  const kept = new Set<string>(); // folders
  const tree = deps.tree((path) => kept.add(folderOf(path)));
  let recovered = false;
  let claimed = false;
  let unseen = false; // everything is to be looked at, by the next pass that comes so far
  let rules = deps.rules(index.setting('ignore_file') ?? null);
  let areRulesStill = true;
  const early = new EarlyFiles({ ...deps, tree, rules: () => rules });
  let placedRules: LocalNode | null = null; // the ignore file as it came from the server
  let held: readonly Held[] = [];
  const underWay = new Map<NodeId, UnderWay>();
  const problems = new Problems({
    ...{ index, names, now },
    onProblem: (path, reason, detail) => deps.onEvent({ type: 'problem', path, reason, detail }),
  });

  /** @returns whether anything was left to recover: then everything must be looked at */
  async function recover(): Promise<boolean> {
    if (recovered) return false;
    const intents = index.intents();
    await tree.recover(intents);
    await finishIntents(deps, intents);
    tree.clearStaged();
    index.transaction(() => index.endIntents(intents.map(({ id }) => id)));
    recovered = true;
    return intents.length > 0;
  }

  /** An index that is not the only one of its history, or not the newest, proves nothing about what was deleted. */
  async function claim(): Promise<void> {
    if (claimed) return;
    const state = index.setting('state') ?? deps.newState();
    const counter = Number(index.setting('state_counter') ?? '0') + 1;
    index.transaction(() => {
      index.setSetting('state', state);
      index.setSetting('state_counter', String(counter));
    });
    if (!(await deps.claimState(state, counter))) {
      index.transaction(() => {
        index.forgetAgreement();
        for (const name of ['cursor', 'state', 'state_counter']) index.setSetting(name, null);
      });
      deps.onEvent({ type: 'healed' });
      return claim();
    }
    claimed = true;
  }

  /** Rules that changed: what they leave out now is known no more, what they let in is found by looking at everything. */
  function checkRules(restless: ReadonlySet<string> = new Set()): boolean {
    const current = currentRules(deps, restless, placedRules);
    rules = current.rules;
    areRulesStill = current.isStill;
    const before = index.setting('rules');
    if (before === rules.fingerprint) return false;
    index.transaction(() => {
      index.setSetting('rules', rules.fingerprint);
      index.forgetPictures();
      index.endKeptOut((rule) => rules.standing(rule) === null);
      if (before !== undefined) index.setSetting('cursor', null);
    });
    return before !== undefined;
  }

  async function scan(folders: Iterable<string> | undefined, restless: ReadonlySet<string>): Promise<ScanReport> {
    const scanning = new Scan({ ...deps, rules, restless });
    const found = folders === undefined ? await scanning.full() : await scanning.folders(folders);
    await compareSuspects(found.suspects);
    index.observe(() => problems.takeFindings(found, { isWhole: folders === undefined }));
    return found;
  }

  /** Files so recent that their numbers prove nothing: their content is compared. */
  async function compareSuspects(suspects: readonly NodeId[]): Promise<void> {
    const compared: LocalNode[] = [];
    for (const id of suspects) {
      const node = index.local.get(id);
      const path = localPath(index, names, id);
      if (node === undefined || path === null || node.content === null) continue;
      try {
        const startMs = now();
        const read = await deps.hash(() => disk.open(path));
        if (read === null || !isUnchanged(read.stat, node)) continue; // it is seen as changed next time
        compared.push({ ...node, content: read.content, seen: seenStat(read.stat, startMs, deps.features) });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      }
    }
    index.observe(() => {
      for (const node of compared) index.setLocal(node.id, node);
    });
  }

  /** @param atMost nodes that are planned together; more of what is new is planned in parts */
  function currentPlan(atMost: number, refused: (id: NodeId) => boolean = () => false): Plan & { partial: boolean } {
    const waiting = problems.waiting();
    const trees = index.planTrees(atMost);
    const planned = plan({
      ...trees,
      held: (id) => waiting.has(id) && !refused(id),
      refused,
      device: deps.device,
      localFolds: deps.features.foldsCase || deps.features.foldsUnicode,
    });
    return { ...planned, partial: trees.partial };
  }

  function guarded(planned: Plan): Plan {
    const deletes = guardDeletes(planned, index);
    setHeld(deletes);
    return withoutDeletes(planned, new Set(deletes.flatMap((one) => (one.guard === 'deletes' ? [one.side] : []))));
  }

  function setHeld(next: readonly Held[]): void {
    if (JSON.stringify(next) !== JSON.stringify(held) && next.length > 0) deps.onEvent({ type: 'held', held: next });
    held = next;
    index.setSetting('held', next.length === 0 ? null : JSON.stringify(next));
  }

  async function carryOut(planned: Plan, refusals: Refusals = noRefusals()): Promise<ExecuteReport> {
    const onDone = (done: Done): void => {
      problems.done(done.path);
      if (done.kind === 'move' && rules.arePlaces) index.forgetPictures(); // of what is in a folder
      deps.onEvent({ type: 'done', done });
    };
    recovered = false; // should it throw
    const result = await execute(
      { ...deps, tree, early, underWay, onDone, onProblem: problems.failed.bind(problems) },
      planned,
      refusals,
    ).finally(() => underWay.clear());
    recovered = !result.unfinished;
    const dirty = new Set([...result.dirty, ...kept]);
    kept.clear();
    return { ...result, dirty };
  }

  /** @returns false when the remote folder is gone: what that means a person must say */
  async function pull(): Promise<boolean> {
    const root = index.ancestor.get(ROOT)?.node;
    try {
      const result = await pullFeed({ ...deps, rules }, deps.remoteRoot);
      if (result === 'healed') deps.onEvent({ type: 'healed' });
      return true;
    } catch (error) {
      if (!root || !(error instanceof AppError) || error.code !== 'not_found') throw error;
      setHeld([{ guard: 'root', why: 'remote_missing' }]);
      return false;
    }
  }

  /** @returns whether there is more to plan than this plan has */
  function takeStuck({ stuck }: Plan): boolean {
    const isFree = problems.takeStuck(stuck);
    for (const { copy } of index.conflicts()) if (index.local.get(copy) === undefined) index.endConflict(copy); // a person took the copy away
    return isFree;
  }

  function passReport(part: Pick<PassReport, 'complete' | 'achieved' | 'entries'>): PassReport {
    if (!areRulesStill) problems.failed(null, IGNORE_FILE, 'still_changing', '');
    return { ...part, held, ...problems.count() };
  }

  /** @returns false when nothing may be done before a person was asked */
  function begin(whole: boolean): boolean {
    const problem = seenRoot(whole);
    if (problem === null) return true;
    setHeld([problem]);
    return false;
  }

  function seenRoot(whole: boolean): Held | null {
    try {
      return guardRoot(deps, whole);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === undefined) throw cause;
      throw new AppError('local_io', 'the synced folder cannot be read', { cause });
    }
  }

  /** An ignore file that comes from the server comes first: what it leaves out is not to be sent before it is known. @returns `null`: none comes */
  function ofIgnoreFile(planned: Plan): Plan | null {
    const id = ignoreFileIn(index.remote)?.id;
    const steps = planned.steps.map((step) => step.filter((action) => action.id === id && !('side' in action && action.side === 'remote')));
    return steps.flat().some(({ type }) => type === 'put' || type === 'replace') ? { ...planned, steps } : null;
  }

  async function pass(options: PassOptions = {}): Promise<PassReport> {
    const again = (): Promise<PassReport> => {
      unseen = true;
      return pass({ ...options, feed: true });
    };
    const folders = options.folders === undefined ? undefined : new Set([...options.folders, ...problems.foldersDue()]);
    const isRootHeld = held.some(({ guard }) => guard === 'root');
    if (!begin(folders === undefined || folders.has('') || isRootHeld)) return passReport({ complete: false, achieved: 0, entries: 0 });
    if (await recover()) unseen = true;
    const restless = options.restless ?? new Set();
    if (checkRules(restless)) unseen = true;
    if (isRootHeld || !claimed || folders === undefined) unseen = true;
    const all = unseen;
    await claim();
    const nothing = { complete: false, achieved: 0, entries: 0 };
    if ((all || options.feed !== false) && !(await pull())) return passReport(nothing);
    const refusals = noRefusals();
    if (all) emptyTrash();
    if (options.retry === true) problems.retryNow();
    let { entries } = await scan(all ? undefined : folders, restless);
    if (checkRules(restless)) return again(); // what it was looked at by is not so any more
    if (all) unseen = false;
    let achieved = 0;
    let atMost = deps.plannedTogether ?? PLANNED_TOGETHER;
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      index.observe(() => takeSent(index));
      const { partial, ...whole } = currentPlan(atMost, (id) => refusals.forbidden.has(id));
      const planned = guarded(whole);
      const isNothing = planned.steps.every((step) => step.length === 0);
      if (partial && isNothing) {
        atMost = Number.POSITIVE_INFINITY; // what is left needs to be looked at together
        continue;
      }
      if (partial)
        round -= 1; // there are as many of these as it takes
      else if (index.observe(() => takeStuck(planned))) continue; // nothing else would bring about another pass
      if (isNothing) {
        if (held.length === 0) endApproval(deps);
        if (checkRules(restless)) return again(); // the ignore file itself changed with this pass
        return passReport({ complete: planned.stuck.length === 0 && held.length === 0, achieved, entries });
      }
      const ofRules = ofIgnoreFile(planned);
      const result = await carryOut(ofRules ?? planned, refusals);
      achieved += result.achieved;
      if (ofRules !== null) {
        placedRules = ignoreFileIn(index.local) ?? null;
        if (checkRules(restless)) return again();
      }
      if (partial && result.achieved === 0) atMost = Number.POSITIVE_INFINITY;
      if (result.unfinished) await recover();
      if (result.stale && !(await pull())) return passReport({ complete: false, achieved, entries });
      if (result.dirty.size > 0) entries += (await scan(result.dirty, restless)).entries;
      if (result.achieved === 0 && !result.stale) break; // what could not be done now is tried again later
    }
    return passReport({ complete: false, achieved, entries });
  }

  /** What cannot be removed stays: that is no reason to stop. */
  function emptyTrash(): void {
    try {
      tree.emptyTrash(TRASH_KEPT_MS, now());
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'local_io') throw error;
      deps.onEvent({ type: 'problem', path: PRIVATE_FOLDER, reason: 'local_error', detail: error.message });
    }
  }

  let busy: Promise<unknown> = Promise.resolve();
  /** One thing at a time. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const result = busy.then(work, work).finally(() => index.rest());
    busy = result.catch(() => undefined); // whoever asked for it is told
    return result;
  }

  return {
    pass: (options) =>
      alone(async () => {
        const endUnclaimed = early.unclaimed();
        const report = await endedByDisk(() => pass(options));
        await endUnclaimed();
        return report;
      }),
    preview: (atMost) => alone(() => endedByDisk(() => preview(atMost ?? Number.POSITIVE_INFINITY))),
    get held() {
      return held;
    },
    underWay,
    early,
    approve: () => alone(async () => approve(deps, held)),
    resolve: (conflict, keep) => alone(() => endedByDisk(() => resolve(conflict, keep))),
  };

  async function resolve(conflict: ConflictRow, keep: Keep): Promise<boolean> {
    if (await recover()) unseen = true;
    recovered = false; // should it throw
    const done = await resolveConflict({ disk, tree, index, names, now }, conflict, keep);
    recovered = true;
    return done;
  }

  /** Of a folder that was never synced no root is marked, on neither side. */
  async function preview(atMost: number): Promise<Preview> {
    const nothing: Preview = { steps: [], conflicts: [], stuck: [] };
    const isNew = index.setting('root_identity') === undefined;
    if (!isNew && !begin(true)) return nothing;
    await recover();
    checkRules();
    const isThere = await pullIfThere();
    if (isThere === null) return nothing;
    try {
      await scan(undefined, new Set());
      return await planHashed(atMost);
    } finally {
      if (!isThere) index.forgetRoot();
    }
  }

  /** @returns false for a remote folder that was never made: it counts as empty; `null` when it is held */
  async function pullIfThere(): Promise<boolean | null> {
    try {
      return (await pull()) ? true : null;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
      index.setRoot(0);
      return false;
    }
  }

  async function planHashed(atMost: number): Promise<Preview> {
    for (let round = 0; ; round += 1) {
      const planned = currentPlan(atMost);
      const hashes = planned.steps.map((step) => step.filter(({ type }) => type === 'hash')).filter((step) => step.length > 0);
      if (hashes.length === 0 || round === ROUNDS_MAX) return planned;
      await carryOut({ steps: hashes, conflicts: [], stuck: [] });
    }
  }
}

/** What the file system refused in the middle of something: that ends the pass, and the next one begins anew. */
async function endedByDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof Error) || cause instanceof AppError || !('code' in cause)) throw cause;
    const isIndexes = 'errcode' in cause && INDEX_FAILURES.has(Number(cause.errcode) & 0xff);
    if (!isIndexes && !/^E(?!RR_)/.test(String(cause.code))) throw cause;
    throw new AppError('local_io', cause.message, { cause });
  }
}

/** SQLITE_BUSY, READONLY, IOERR, FULL and CANTOPEN: of the disk that the index is on, and nothing wrong with what is in it. */
const INDEX_FAILURES: ReadonlySet<number> = new Set([5, 8, 10, 13, 14]);
