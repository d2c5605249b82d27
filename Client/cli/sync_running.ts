import { AppError } from '../../Models/errors.ts';
import { visible } from '../../Models/visible.ts';
import type { Driftless, Sync, SyncEvent, SyncOptions } from '../client.ts';
import { serveControl } from '../sync/control/control.ts';
import type { PlanRow, StatusRow } from '../sync/control/control_messages.ts';
import { planRows } from '../sync/control/plan_rows.ts';
import { controlOf } from '../sync/control/root_control.ts';
import { heldRow, problemRow, realProblems } from '../sync/control/root_rows.ts';
import type { Run, Screen } from './command.ts';
import { countOf, grouped } from './format.ts';
import { createLines, type Lines } from './line_queue.ts';
import { keepHeapSmall } from './small_heap.ts';
import { count, createNarrator, emptyTally, firstContactText, type SyncLine, type Tally } from './sync_lines.ts';

/** A folder to be synced, and by whom. */
export type Job = {
  readonly local: string;
  readonly remote: string;
  readonly options: Pick<SyncOptions, 'exclude' | 'limitUp' | 'limitDown'>;
  readonly client: () => Promise<Driftless>;
  /** The client is for this folder alone, and closed with it. */
  readonly ownsClient: boolean;
};

/** Failures of one folder that end nothing else: without the server it goes on once that answers. */
const PASSES: ReadonlySet<string> = new Set(['server_unreachable', 'auth_unreachable', 'busy', 'too_many_requests', 'storage_unavailable']);

const FIRST_PLANNED_MAX = 100_000; // more is not worth the memory only to be counted

type Opened = { readonly sync: Sync; readonly tally: Tally };

async function open(job: Job, stack: AsyncDisposableStack, onEvent: (event: SyncEvent) => void, how: { dry?: true } = {}): Promise<Opened> {
  const tally = emptyTally();
  const client = await job.client();
  if (job.ownsClient) stack.use(client);
  const sync = await client.sync(job.local, job.remote, {
    ...job.options,
    ...how,
    watch: false,
    onEvent(event) {
      if (event.type === 'done') count(tally, event.done);
      onEvent(event);
    },
  });
  stack.use(sync);
  stack.use(await serveControl(sync.root.folder, controlOf(sync)));
  return { sync, tally };
}

/** Nothing was ever agreed on: what happens now is said before it does. */
async function announceFirst({ index, preview, status }: Sync): Promise<string | null> {
  if (index.setting('cursor') !== undefined || index.agreedCount() > 0) return null; // counting takes longer
  const { local, remote } = status();
  try {
    const plan = await preview(FIRST_PLANNED_MAX);
    if (plan.partial === true) return `first sync of ${local} with ${remote}: more than ${grouped(FIRST_PLANNED_MAX)} changes`;
    return firstContactText(local, remote, planRows(plan, { index }));
  } catch (error) {
    if (error instanceof AppError && PASSES.has(error.code)) return null; // said when it is tried
    throw error;
  }
}

export type OnceReport = {
  readonly local: string;
  readonly remote: string;
  readonly complete: boolean;
  readonly done: Tally;
  readonly conflicts: number;
  readonly held: StatusRow['held'];
  readonly problems: StatusRow['problems'];
};

/** One pass. @throws AppError what ends all of it, `cancelled` */
export function syncOnce(run: Run, job: Job): Promise<OnceReport> {
  return run.interruptible(async (signal) => {
    await using stack = new AsyncDisposableStack();
    const { sync, tally } = await open(job, stack, () => undefined);
    const first = await announceFirst(sync);
    if (first !== null) run.tell(first);
    const { complete } = await orCancelled(sync.once(), signal);
    const { local, remote, held } = sync.status();
    const problems = realProblems(sync.index.problems()).map(problemRow);
    return { local, remote, complete, done: tally, conflicts: sync.conflicts().length, held: held.map(heldRow), problems };
  });
}

/** What a pass would do; nothing is done. @throws AppError as `syncOnce` */
export function previewRows(run: Run, job: Job): Promise<PlanRow[]> {
  return run.interruptible(async (signal) => {
    await using stack = new AsyncDisposableStack();
    const { sync } = await open(job, stack, () => undefined, { dry: true });
    return [...planRows(await orCancelled(sync.preview(), signal), sync)];
  });
}

function orCancelled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const interrupted = aborted(signal).then((): never => {
    throw new AppError('cancelled', 'interrupted');
  });
  return Promise.race([work, interrupted]);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * Syncs until it is interrupted, or until none of the folders can be synced any more.
 * @throws AppError the first failure, if all of them failed
 */
export async function* syncAlways(run: Run, jobs: readonly Job[]): AsyncGenerator<SyncLine> {
  keepHeapSmall();
  const lines = createLines();
  const live = createLiveLine(run.screen);
  const ended = run.interruptible((signal) => runAll(jobs, signal, { lines, live })).finally(() => lines.end());
  ended.catch(() => undefined); // thrown below
  for await (const line of lines.all()) {
    live.hold();
    yield line;
    if (lines.isEmpty()) live.release();
  }
  live.hold();
  await ended;
}

type Shown = { readonly lines: Lines; readonly live: LiveLine };

async function runAll(jobs: readonly Job[], signal: AbortSignal, shown: Shown): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const failures: AppError[] = [];
  const running = jobs.map((job) =>
    runOne(job, signal, stack, shown).catch((error: unknown) => {
      if (!(error instanceof AppError)) throw error;
      failures.push(error);
      if (jobs.length > 1) shown.lines.push(failureLine(job, error));
    }),
  );
  await Promise.race([Promise.all(running), aborted(signal)]);
  const [first] = failures;
  if (first !== undefined && failures.length === jobs.length) throw first;
}

function failureLine({ local }: Job, { code, message }: AppError): SyncLine {
  return { line: `${local}: ${message} (${code})`, json: { event: 'failed', local, error: { code, message } } };
}

/** Resolves when it is interrupted, rejects when it cannot go on. */
async function runOne(job: Job, signal: AbortSignal, stack: AsyncDisposableStack, { lines, live }: Shown): Promise<void> {
  const { promise: over, reject: fail } = Promise.withResolvers<never>();
  over.catch(() => undefined); // it may end while something else is awaited
  const narrator = createNarrator(job.local);
  const onEvent = (event: SyncEvent): void => {
    lines.push(...narrator.tell(event, event.type === 'pass' ? opened.sync.index.problems() : []));
    if (event.type === 'state' && event.state.state === 'ended') fail(event.state.error);
    if (event.type === 'pass' || event.type === 'state') live.set(job.local, liveText(opened.sync));
  };
  const opened = await open(job, stack, (event) => onEvent(event));
  const first = await orCancelled(announceFirst(opened.sync), signal);
  if (first !== null) lines.push({ line: first, json: { event: 'first', local: job.local, text: first } });
  const { local, remote } = opened.sync.status();
  lines.push({ line: `keeping ${local} and ${remote} the same`, json: { event: 'start', local, remote } });
  opened.sync.start();
  await Promise.race([over, aborted(signal)]);
}

function liveText(sync: Pick<Sync, 'status'>): string {
  const { local, state, files, waiting, watching } = sync.status();
  const parts = [`${local}: ${state === 'idle' ? 'in sync' : state}`, countOf(files, 'file')];
  if (waiting > 0) parts.push(`${waiting} waiting`);
  if (watching !== null) parts.push(`watching ${watching.watched} of ${countOf(watching.of, 'folder')}`);
  return parts.join(', ');
}

type LiveLine = ReturnType<typeof createLiveLine>;

const CLEAR_LINE = '\r\u001b[K';

/** One line below all others on a terminal, a few words of each folder; nothing where nobody watches. */
function createLiveLine(screen: Screen | null) {
  const texts = new Map<string, string>();
  let drawn = '';
  let isHeld = false;
  const draw = (): void => {
    const text = [...texts.values()].join(' | ');
    if (screen === null || isHeld || text === drawn || text === '') return;
    screen.write(CLEAR_LINE + visible(text).slice(0, screen.columns - 1));
    drawn = text;
  };
  return {
    set(of: string, text: string): void {
      texts.set(of, text);
      draw();
    },
    /** Makes way for other lines, until `release`. */
    hold(): void {
      if (drawn !== '') screen?.write(CLEAR_LINE);
      drawn = '';
      isHeld = true;
    },
    release(): void {
      isHeld = false;
      draw();
    },
  };
}
