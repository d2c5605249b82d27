import { basename, resolve } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import { EXIT } from '../../Models/exit_codes.ts';
import { childPath, joinPath, splitPath } from '../../Models/names.ts';
import type { SyncOptions } from '../client.ts';
import type { SyncRoot } from '../sync/control/roots.ts';
import { type Command, listOption, type Options, type Outcome, type Run, textOption } from './command.ts';
import { type Answer, facts } from './output.ts';
import { parseRate } from './rates.ts';
import type { Job, OnceReport } from './sync_running.ts';
import { askDone, load, rootsFor } from './synced_roots.ts';

function rateOption(options: Options, name: string): number | null | undefined {
  const text = textOption(options, name);
  return text === undefined ? undefined : parseRate(text);
}

function syncOptions(options: Options): Job['options'] {
  const limitUp = rateOption(options, 'limitUp');
  const limitDown = rateOption(options, 'limitDown');
  const exclude = listOption(options, 'exclude');
  const made: { -readonly [K in keyof Job['options']]: SyncOptions[K] } = {};
  if (exclude.length > 0) made.exclude = exclude;
  if (limitUp !== undefined) made.limitUp = limitUp;
  if (limitDown !== undefined) made.limitDown = limitDown;
  return made;
}

/** Where a folder goes when nothing else is said: under its own name. */
function remoteOf(local: string, remote: string | undefined): string {
  if (remote !== undefined) return joinPath(splitPath(remote));
  const name = basename(resolve(local));
  if (name === '') throw new AppError('request_invalid', 'which remote folder? sync LOCAL REMOTE');
  return childPath('/', name);
}

/** A folder that is known is synced as it was: with the remote folder and the login it has. */
async function jobFor(run: Run, local: string, remote: string | undefined, options: Options): Promise<Job> {
  const { openRoots } = await load.roots();
  const found = await openRoots(run.settings.home).find(local);
  const known = found?.path === '' ? found.root : null;
  const chosen = syncOptions(options);
  if (known === null) return { local, remote: remoteOf(local, remote), options: chosen, client: run.client, ownsClient: false };
  await include(known, listOption(options, 'include'));
  const { settings } = known;
  const job = jobOf(run, known, chosen);
  return remote === undefined ? job : { ...job, remote: remoteOf(settings.local, remote) };
}

function jobOf(run: Run, { settings }: SyncRoot, options: Job['options'] = {}): Job {
  return { local: settings.local, remote: settings.remote, options, client: () => run.clientOf(settings), ownsClient: true };
}

/** Patterns that do not count any more on this device. */
async function include(root: SyncRoot, patterns: readonly string[]): Promise<void> {
  const unknown = patterns.find((pattern) => !root.settings.excludes.includes(pattern));
  if (unknown !== undefined) {
    const those = root.settings.excludes.map((pattern) => `"${pattern}"`).join(', ') || 'none';
    throw new AppError('request_invalid', `"${unknown}" is not excluded here; excluded are: ${those}`);
  }
  if (patterns.length > 0)
    await root.update((settings) => (settings.excludes = settings.excludes.filter((one) => !patterns.includes(one))));
}

async function sync(run: Run, args: readonly string[], options: Options): Promise<Outcome> {
  const [local, remote] = args;
  if (local === undefined) {
    if (options.dryRun === true) throw new AppError('request_invalid', 'which folder? sync LOCAL --dry-run');
    const roots = await rootsFor(run, undefined);
    const jobs = roots.map((root) => jobOf(run, root, syncOptions(options)));
    return options.once === true ? onceOutcome(await inTurn(run, jobs)) : always(run, jobs);
  }
  if (options.dryRun === true) return dryRun(run, local, remote, options);
  const limited = await limitRunning(run, local, options);
  if (limited !== null) return limited;
  const job = await jobFor(run, local, remote, options);
  return options.once === true ? onceOutcome(await inTurn(run, [job])) : always(run, [job]);
}

/** A running process takes new limits without being started again. @returns `null`: there is none, or no limits were given */
async function limitRunning(run: Run, local: string, options: Options): Promise<Answer | null> {
  const { limitUp, limitDown } = syncOptions(options);
  if (limitUp === undefined && limitDown === undefined) return null;
  const { openRoots } = await load.roots();
  const found = await openRoots(run.settings.home).find(local);
  if (found === null || found.path !== '') return null;
  const { settings } = found.root;
  const up = limitUp === undefined ? settings.limitUp : limitUp;
  const down = limitDown === undefined ? settings.limitDown : limitDown;
  if ((await askDone(found.root, { type: 'limits', up, down })) === null) return null;
  return facts({ local: settings.local, up, down }, `${settings.local}: the process that syncs it has the new limits`);
}

async function always(run: Run, jobs: readonly Job[]): Promise<Answer> {
  const { syncAlways } = await load.running();
  return { kind: 'events', events: syncAlways(run, jobs) };
}

const PROBLEMS_TOLD_MAX = 100;

async function inTurn(run: Run, jobs: readonly Job[]): Promise<OnceReport[]> {
  const { syncOnce } = await load.running();
  const reports: OnceReport[] = [];
  for (const job of jobs) {
    const report = await syncOnce(run, job);
    for (const { meaning, next } of report.held) run.tell(`${report.local}: ${meaning} ${next}`);
    for (const { path, meaning, next, reason } of report.problems.slice(0, PROBLEMS_TOLD_MAX)) {
      run.tell(`${path === '' ? report.local : path}: ${meaning} ${next} (${reason})`);
    }
    const more = report.problems.length - PROBLEMS_TOLD_MAX;
    if (more > 0) run.tell(`and ${more} more; "driftless explain PATH" says why, --json has them all`);
    reports.push(report);
  }
  return reports;
}

async function onceOutcome(reports: readonly OnceReport[]): Promise<Outcome> {
  const { tallyText } = await load.lines();
  const isWhole = reports.every(({ held, problems, complete }) => complete && held.length === 0 && problems.length === 0);
  const hasConflicts = reports.some(({ conflicts }) => conflicts > 0);
  const lines = reports.map(({ local, remote, done, complete, conflicts }) => {
    const open = conflicts === 0 ? '' : `; ${conflicts} to decide: see "driftless conflicts"`;
    return `${local} <-> ${remote}: ${tallyText(done) || 'nothing to do'}${complete ? '' : ', not all of it'}${open}`;
  });
  const answer = facts(reports.length === 1 ? reports[0] : reports, ...lines);
  return { answer, failures: [], code: isWhole ? (hasConflicts ? EXIT.conflict : EXIT.done) : EXIT.failed };
}

async function dryRun(run: Run, local: string, remote: string | undefined, options: Options): Promise<Answer> {
  const rows = (await askedRows(run, local)) ?? (await previewed(run, local, remote, options));
  const { planTotals } = await load.plans();
  const { planLine, totalsText } = await load.lines();
  const totals = planTotals(rows);
  const lines = rows.filter(({ kind }) => kind !== 'compare').map(planLine);
  return facts({ actions: rows, totals }, ...lines, `${lines.length === 0 ? 'nothing to do: ' : ''}${totalsText(totals)}`);
}

/** From the process that syncs it; `null`: none does. */
async function askedRows(run: Run, local: string) {
  const { openRoots } = await load.roots();
  const found = await openRoots(run.settings.home).find(local);
  if (found === null || found.path !== '') return null;
  const { PlanRow } = await load.messages();
  const { askControl } = await load.control();
  const answer = await askControl(found.root.folder, { type: 'dry-run' }, PlanRow);
  return answer === null ? null : Array.fromAsync(answer);
}

async function previewed(run: Run, local: string, remote: string | undefined, options: Options) {
  const { previewRows } = await load.running();
  return previewRows(run, await jobFor(run, local, remote, options));
}

const RATE = 'bytes per second, like 500K or 2M; remembered; "none" ends it';

export const SYNC_COMMANDS: readonly Command[] = [
  {
    name: 'sync',
    args: '[local] [remote]',
    summary: 'keep a local folder and a remote one the same, in both directions',
    options: [
      { flags: '--once', text: 'one pass, then end: 0 all the same, 5 conflicts to decide, 1 some of it failed' },
      { flags: '--dry-run', text: 'only print what a pass would do' },
      { flags: '-x, --exclude <pattern>', text: 'not on this device, as in a .gitignore; remembered; may be repeated', repeated: true },
      { flags: '--include <pattern>', text: 'take an --exclude back; may be repeated', repeated: true },
      { flags: '--limit-up <rate>', text: RATE },
      { flags: '--limit-down <rate>', text: RATE },
    ],
    about: [
      'Runs until it is interrupted, and prints a line for what happens. Without LOCAL: all folders that were synced before.',
      'REMOTE is /NAME of the local folder if not given. Both are made if they are not there.',
      'When both sides were changed, both versions are kept: see "driftless conflicts". Lines of .driftlessignore in the folder leave out what',
      'they match on all devices (as in a .gitignore). Deletes of more than 100 files and a quarter of all wait for "driftless approve".',
    ].join('\n'),
    examples: [
      'sync ~/Work /work',
      'sync ~/Work /work --once',
      'sync ~/Work /work --dry-run --json',
      'sync ~/Work -x "*.iso" --limit-up 500K',
    ],
    run: sync,
  },
];
