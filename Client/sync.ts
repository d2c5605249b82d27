import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { AppError } from '../Models/errors.ts';
import type { SyncStateBody } from '../Models/rest.ts';
import type { SyncReportBody } from '../Models/rest_receipt.ts';
import { ROUTES } from '../Models/routes.ts';
import { unreadableText } from './failure_text.ts';
import { type AnswerShape, type Http, httpFor } from './http.ts';
import { isLoopback } from './loopback.ts';
import type { Session } from './session/session.ts';
import { systemClock } from './sync/clock.ts';
import { type EntryReason, entryReason } from './sync/control/entry_state.ts';
import { type NewRoot, openRoots, type SyncRoot } from './sync/control/roots.ts';
import { copyNameOf } from './sync/core/names.ts';
import type { Plan } from './sync/core/plan.ts';
import type { Disk, DiskFeatures } from './sync/disk/disk.ts';
import { hashLocal } from './sync/disk/hash_local.ts';
import { openLocalTree } from './sync/disk/local_tree.ts';
import { openNodeDisk } from './sync/disk/node_disk.ts';
import { portableNames } from './sync/disk/portable_names.ts';
import { probeDisk } from './sync/disk/probe.ts';
import { watchFolder } from './sync/disk/watch.ts';
import { createEngine, type Engine, type EngineEvent, type PassReport, type Preview } from './sync/engine.ts';
import type { Held } from './sync/guards.ts';
import { type ConflictRow, openSyncIndex, type Problem, type SyncIndex } from './sync/index/sync_index.ts';
import { type Live, type LiveState, runLive } from './sync/live.ts';
import { eventSocket } from './sync/remote/event_socket.ts';
import { openHttpRemote } from './sync/remote/http_remote.ts';
import { meters, type RateLimits } from './sync/remote/rate_limit.ts';
import { createReporter } from './sync/report.ts';
import { copyPath, type Keep } from './sync/resolve_conflict.ts';
import { openIgnoreRules } from './sync/scan/ignore_rules.ts';
import { type LookAhead, startLookAhead } from './sync/scan/look_ahead.ts';
import { openManifestCache } from './transfer/manifest_cache.ts';

export type { ConflictRow, EngineEvent, EntryReason, Held, Keep, LiveState, PassReport, Plan, Problem, RateLimits };

const LOOK_AHEAD_MIN = 30_000; // files and folders: another thread takes longer to begin than fewer do

export type SyncOptions = {
  /** gitignore patterns of what is not synced on this device; added to those it has. */
  readonly exclude?: readonly string[];
  /** Bytes per second; remembered. `null`: none. */
  readonly limitUp?: number | null;
  readonly limitDown?: number | null;
  /** Only `preview` will be used: for a folder that is not synced yet nothing is made or remembered anywhere. */
  readonly dry?: boolean;
  readonly onEvent?: (event: SyncEvent) => void;
};
export type SyncEvent =
  | EngineEvent
  | { readonly type: 'state'; readonly state: LiveState }
  | { readonly type: 'pass'; readonly report: PassReport };

export type SyncStatus = {
  readonly local: string;
  readonly remote: string;
  readonly state: LiveState['state'] | 'held' | 'new';
  readonly error: AppError | null; // while offline
  readonly held: readonly Held[];
  readonly files: number; // in sync
  readonly waiting: number; // entries that differ
  readonly problems: number;
  readonly conflicts: number;
  readonly watching: { readonly watched: number; readonly of: number } | null;
  readonly limits: RateLimits;
  /** What passes just now. */
  readonly rates: { readonly upBytesPerSecond: number; readonly downBytesPerSecond: number };
};

/** One folder of this machine and one on the server, kept the same. All methods throw AppError. */
export type Sync = AsyncDisposable & {
  readonly root: SyncRoot;
  readonly index: SyncIndex;
  /** One pass over everything. */
  once(): Promise<PassReport>;
  /** What a pass would do. Nothing is changed on either side. */
  preview(atMost?: number): Promise<Preview>;
  /** Watches and syncs until `close`. */
  start(): void;
  /** @returns ends it */
  on(listener: (event: SyncEvent) => void): () => void;
  status(): SyncStatus;
  /** @param path relative to the folder @returns `null`: there is no such entry on either side */
  explain(path: string): EntryReason | null;
  conflicts(): readonly ConflictRow[];
  /** @param path of what is disputed, or of the copy. @throws AppError `not_found`, `file_changed` */
  resolve(path: string, keep: Keep): Promise<void>;
  /** Lets what is held go, here and on the server. */
  approve(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  limit(limits: { up?: number | null; down?: number | null }): Promise<void>;
  close(): Promise<void>;
};

/** @throws AppError `data_folder_locked`: another process syncs this folder; `request_invalid`: it overlaps with another synced one; `local_io` */
export async function openSync(
  where: { session: Session; home: string; probe?: (disk: Disk) => DiskFeatures },
  folders: { local: string; remote: string },
  options: SyncOptions = {},
): Promise<Sync> {
  const { session, home, probe = probeDisk } = where;
  const roots = openRoots(home);
  const found = await roots.find(folders.local);
  const known = found !== null && found.path === '' ? found.root : null;
  if (known !== null && known.settings.remote !== folders.remote) {
    throw new AppError('request_invalid', `${folders.local} is synced with ${known.settings.remote} already`);
  }
  const stack = new AsyncDisposableStack();
  try {
    const wanted = { ...folders, auth: session.auth, user: session.user.name };
    const trial = known === null && options.dry === true;
    const root = known ?? (await (trial ? openTrialRoot(wanted, stack) : roots.add(wanted)));
    stack.use(await root.claim());
    return await openRoot(session, home, root, { ...options, probe: trial ? () => ASSUMED : probe }, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** A root that leaves nothing behind. A local folder that is not there counts as empty. */
async function openTrialRoot(wanted: NewRoot, stack: AsyncDisposableStack): Promise<SyncRoot> {
  const temporary = stack.adopt(await mkdtemp(join(tmpdir(), 'driftless-dry-')), (path) => rm(path, { recursive: true, force: true }));
  const isThere = await stat(wanted.local).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT', // whatever else is wrong with it is said when it is opened
  );
  return openRoots(join(temporary, 'home')).add({ ...wanted, local: isThere ? wanted.local : join(temporary, 'local') });
}

/** To find out what a disk can do something must be written to it. */
const ASSUMED: DiskFeatures = {
  hardLinks: true,
  foldsCase: false,
  foldsUnicode: false,
  birthTimes: true,
  permissions: true,
  symlinks: true,
  anyName: true,
  timeStepMs: 1,
};

async function openRoot(
  session: Session,
  home: string,
  root: SyncRoot,
  options: SyncOptions & { readonly probe: (disk: Disk) => DiskFeatures },
  stack: AsyncDisposableStack,
): Promise<Sync> {
  const settings = await root.update((changing) => {
    const { exclude = [], limitUp = changing.limitUp, limitDown = changing.limitDown } = options;
    changing.excludes.push(...exclude.filter((pattern) => !changing.excludes.includes(pattern)));
    Object.assign(changing, { limitUp, limitDown });
  });
  const { local, remote: remoteRoot } = settings;
  const index = stack.adopt(openSyncIndex(join(root.folder, 'index.db')), (open) => open.close());
  const ahead = stack.adopt(openLookAhead(local, index), (open) => open.close());
  if (options.dry !== true) ahead.begin();
  const disk = stack.adopt(openDisk(local), (open) => open.close());
  const features = options.probe(disk);
  const http = httpFor(session);
  const limits: RateLimits = { upBytesPerSecond: settings.limitUp ?? undefined, downBytesPerSecond: settings.limitDown ?? undefined };
  const passed = meters(systemClock);
  const remote = stack.adopt(
    openHttpRemote({
      http,
      events: eventSocket(session),
      cache: openManifestCache(home, `${session.serverUrl} ${session.user.id}`),
      compress: !isLoopback(session.serverUrl),
      limits,
      passed,
    }),
    (open) => open.close(),
  );
  const listeners = new Set(options.onEvent === undefined ? [] : [options.onEvent]);
  const tell = (event: SyncEvent): void => {
    for (const listener of listeners) listener(event);
  };
  const device = hostname();
  const names = portableNames(features);
  const rules = (ignoreFile: string | null) => openIgnoreRules({ ignoreFile, excludes: settings.excludes });
  const engine = createEngine({
    disk,
    tree: (onKept) =>
      openLocalTree(disk, {
        now: Date.now,
        timeStepMs: features.timeStepMs,
        copyName: (name, digits) => copyNameOf(name, device, digits),
        onKept,
      }),
    index,
    remote,
    rules,
    names,
    features,
    remoteRoot,
    device,
    now: Date.now,
    breathe: () => setImmediate(),
    lookAhead: ahead.take,
    hash: hashLocal,
    claimState: (state, counter) => accepted(http, ROUTES.syncStates, { state, counter, reported: index.setting('reported') }),
    newState: () => randomBytes(16).toString('hex'),
    onEvent: tell,
  });
  const made = makeRemoteRoot(http, index, remoteRoot);
  const reporter = stack.adopt(
    createReporter({
      ...{ index, clock: systemClock, wallMs: Date.now, held: () => engine.held },
      send: (report) => accepted(http, ROUTES.syncReports, report),
    }),
    (open) => open.close(),
  );
  const ready = {
    pass: async (how?: Parameters<Engine['pass']>[0]) =>
      made()
        .then(() => engine.pass(how))
        .finally(reporter.passed),
  };

  let state: LiveState | { readonly state: 'new' } = { state: 'new' };
  let live: Live | null = null;
  const onState = (next: LiveState): void => {
    state = next;
    if (next.state === 'paused') void engine.early.drop();
    tell({ type: 'state', state: next });
  };
  const start = (): void => {
    live ??= runLive({
      engine: ready,
      remote: {
        watch: (onHint) =>
          remote.watch(onHint, (file) => {
            if (state.state !== 'paused') engine.early.arriving(file);
          }),
      },
      watch: (onHint) => watchFolder(local, onHint),
      clock: systemClock,
      wallMs: Date.now,
      paused: settings.paused,
      onState,
      onPass: (report) => tell({ type: 'pass', report }),
      onEnd: (cause) =>
        onState({ state: 'ended', error: cause instanceof AppError ? cause : new AppError('internal', cause.message, { cause }) }),
    });
  };
  const close = async (): Promise<void> => {
    await live?.close();
    await engine.early.drop();
    await stack.disposeAsync();
  };
  return {
    root,
    index,
    async once() {
      const report = await ready.pass({ retry: true });
      await reporter.flush();
      return report;
    },
    preview: (atMost) => engine.preview(atMost),
    start,
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    status: () => ({
      local,
      remote: remoteRoot,
      state: engine.held.length > 0 ? 'held' : state.state,
      error: 'error' in state ? state.error : null,
      held: engine.held,
      get files() {
        return index.agreedFiles(); // looks at all of them: only for who asks
      },
      get waiting() {
        return index.changed().length;
      },
      problems: index.problems().length,
      conflicts: index.conflicts().length,
      watching: live?.coverage ?? null,
      limits: { ...limits },
      rates: { upBytesPerSecond: passed.up.bytesPerSecond, downBytesPerSecond: passed.down.bytesPerSecond },
    }),
    explain: (path) =>
      entryReason(
        {
          index,
          rules: rules(index.setting('ignore_file') ?? null),
          names,
          held: engine.held,
          underWay: engine.underWay,
          paused: state.state === 'paused',
          offline: state.state === 'offline',
          kindOf: (at) => kindOf(disk, at),
        },
        path,
      ),
    conflicts: () => index.conflicts().map((row) => ({ ...row, copyPath: copyPath({ index, names }, row) ?? row.copyPath })),
    async resolve(path, keep) {
      const row = index.conflicts().find((one) => one.path === path || one.copyPath === path || copyPath({ index, names }, one) === path);
      if (row === undefined) throw new AppError('not_found', `${path} is in no conflict`);
      if (!(await engine.resolve(row, keep))) throw new AppError('file_changed', `${path} has just been changed: look at it again`);
      live?.nudge();
    },
    async approve() {
      await engine.approve();
      await http.json(null, 'POST', ROUTES.approvals, { body: { path: remoteRoot } });
      live?.nudge();
    },
    async pause() {
      await root.update((changing) => Object.assign(changing, { paused: true }));
      live?.pause();
    },
    async resume() {
      await root.update((changing) => Object.assign(changing, { paused: false }));
      live?.resume();
    },
    async limit({ up, down }) {
      const next = await root.update((changing) =>
        Object.assign(changing, {
          limitUp: up === undefined ? changing.limitUp : up,
          limitDown: down === undefined ? changing.limitDown : down,
        }),
      );
      limits.upBytesPerSecond = next.limitUp ?? undefined;
      limits.downBytesPerSecond = next.limitDown ?? undefined;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** @throws AppError `local_io` */
function openDisk(local: string): ReturnType<typeof openNodeDisk> {
  try {
    return openNodeDisk(local);
  } catch (cause) {
    throw new AppError('local_io', `${local}: ${unreadableText(cause)}`, { cause });
  }
}

function kindOf(disk: ReturnType<typeof openNodeDisk>, path: string): 'file' | 'folder' | 'symlink' | 'other' | null {
  try {
    return disk.stat(path)?.kind ?? null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return null;
  }
}

/** The second thread takes a while to begin: it may be asked to before the first answer of the server is waited for. */
function openLookAhead(local: string, index: SyncIndex): { begin(): void; take(): LookAhead | null; close(): void } {
  const start = (): LookAhead | null => (index.hasAgreed(LOOK_AHEAD_MIN) ? startLookAhead(local) : null);
  let begun: LookAhead | null = null;
  return {
    begin() {
      begun ??= start();
    },
    take() {
      const taken = begun ?? start();
      begun = null;
      return taken;
    },
    close: () => begun?.close(),
  };
}

/** The remote folder is made the first time; one that is gone later is not made again. */
function makeRemoteRoot(http: Http, index: SyncIndex, remoteRoot: string): () => Promise<void> {
  return async () => {
    if (remoteRoot === '/' || index.setting('cursor') !== undefined || index.setting('remote_made') !== undefined) return;
    try {
      await http.json(null, 'POST', ROUTES.folders, { body: { path: remoteRoot } });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'already_exists') throw error;
    }
    index.setSetting('remote_made', '1');
  };
}

/** `SyncStateResult` of Models/rest.ts and `SyncReportResult`, whose schemas cost each start of a process 30 ms: a pass over what has not changed asks for nothing else. */
const ACCEPTED: AnswerShape<{ readonly accepted: boolean }> = {
  safeParse(value) {
    if (typeof value === 'object' && value !== null && 'accepted' in value && typeof value.accepted === 'boolean')
      return { success: true, data: { accepted: value.accepted } };
    return { success: false, error: new TypeError('accepted is no boolean') };
  },
};

async function accepted(http: Http, route: string, body: SyncReportBody | SyncStateBody): Promise<boolean> {
  return (await http.json(ACCEPTED, 'POST', route, { body })).accepted;
}
