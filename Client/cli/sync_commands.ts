import { userInfo } from 'node:os';
import { basename, resolve } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import { EXIT } from '../../Models/exit_codes.ts';
import { childPath, joinPath, splitPath, writeAnchored } from '../../Models/names.ts';
import type { SyncOptions } from '../client.ts';
import type { ConflictEntry, ControlRequest, ExplainRow, StatusRow } from '../sync/control/control_messages.ts';
import type { SyncRoot } from '../sync/control/roots.ts';
import { argument, type Command, listOption, type Options, type Outcome, type Run, textOption } from './command.ts';
import { formatTime } from './format.ts';
import { type Answer, facts, rowsOf } from './output.ts';
import { parseRate } from './rates.ts';
import { placesText } from './receipt_commands.ts';
import type { Job, OnceReport } from './sync_running.ts';

/** What these commands are made of is loaded when one of them runs: no other command waits for it. */
const load = {
  roots: () => import('../sync/control/roots.ts'),
  running: () => import('./sync_running.ts'),
  lines: () => import('./sync_lines.ts'),
  control: () => import('../sync/control/control.ts'),
  messages: () => import('../sync/control/control_messages.ts'),
  rows: () => import('../sync/control/root_rows.ts'),
  stopped: () => import('../sync/control/stopped_root.ts'),
  plans: () => import('../sync/control/plan_rows.ts'),
  service: () => import('../sync/control/service.ts'),
} as const;

/** The roots that are meant: the one at `local`, or all. @throws AppError `not_found` */
async function rootsFor(run: Run, local: string | undefined): Promise<SyncRoot[]> {
  const { openRoots } = await load.roots();
  const roots = openRoots(run.settings.home);
  if (local !== undefined) return [(await rootAt(run, local)).root];
  const { roots: all, damaged } = await roots.list();
  for (const { message, code } of damaged) run.tell(`${message} (${code})`);
  if (all.length === 0) throw new AppError('not_found', 'no folder is synced on this device: begin with "driftless sync LOCAL [REMOTE]"');
  return all;
}

async function rootAt(run: Run, local: string): Promise<{ root: SyncRoot; path: string }> {
  const { openRoots } = await load.roots();
  const found = await openRoots(run.settings.home).find(local);
  if (found === null) throw new AppError('not_found', `${local} is in no synced folder of this device: see "driftless status"`);
  return found;
}

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

/** Of one file also where it is, which the server knows. */
async function statusOf(run: Run, local: string | undefined): Promise<Answer> {
  const at = local === undefined ? null : await rootAt(run, local);
  const answer = await status(run, local);
  if (at === null || at.path === '' || answer.kind !== 'facts') return answer;
  const { auth, user } = at.root.settings;
  try {
    const { node } = await explained(at);
    if (node === null) throw new AppError('not_found', 'it is not on the server, as far as is known here');
    await using client = await run.clientOf({ auth, user });
    const places = await client.places(writeAnchored(node)); // whatever the folders above it are called there by now
    return facts(
      { roots: answer.json, places },
      ...answer.lines,
      `  ${places.path}: version ${places.version} is ${placesText(places, Date.now())}`,
    );
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, message } = error;
    return facts(
      { roots: answer.json, places: null, error: { code, message } },
      ...answer.lines,
      `  where it is, is not known: ${message} (${code})`,
    );
  }
}

async function status(run: Run, local: string | undefined): Promise<Answer> {
  const { StatusRow: schema } = await load.messages();
  const { askControl } = await load.control();
  const rows: StatusRow[] = [];
  for (const root of await rootsFor(run, local)) {
    const asked = await askControl(root.folder, { type: 'status' }, schema);
    rows.push(...(asked === null ? [await stoppedStatus(root)] : await Array.fromAsync(asked)));
  }
  const { statusLines } = await load.lines();
  return facts(rows, ...rows.flatMap((row) => [...statusLines(row)]));
}

async function stoppedStatus(root: SyncRoot): Promise<StatusRow> {
  const { withStoppedRoot } = await load.stopped();
  const { statusRow } = await load.rows();
  return withStoppedRoot(root, (stopped) => statusRow(stopped.facts(), stopped.problems()));
}

async function explain(run: Run, local: string): Promise<Answer> {
  const row = await explained(await rootAt(run, local));
  return facts(row, `${local}: ${row.state} (${row.reason})`, row.meaning, row.next);
}

async function explained({ root, path }: { readonly root: SyncRoot; readonly path: string }): Promise<ExplainRow> {
  const { ExplainRow: schema } = await load.messages();
  const { askControl } = await load.control();
  const asked = await askControl(root.folder, { type: 'explain', path }, schema);
  const { explainRow } = await load.rows();
  const { withStoppedRoot } = await load.stopped();
  return asked === null ? withStoppedRoot(root, (stopped) => explainRow(path, stopped.explain(path), false)) : only(asked);
}

async function only<T>(rows: AsyncIterable<T>): Promise<T> {
  for await (const row of rows) return row;
  throw new AppError('internal', 'the process that syncs this folder had no answer');
}

async function* conflictsOf(roots: readonly SyncRoot[]): AsyncGenerator<ConflictEntry & { local: string }> {
  const { ConflictEntry: schema } = await load.messages();
  const { askControl } = await load.control();
  const { withStoppedRoot } = await load.stopped();
  const { conflictEntry } = await load.rows();
  for (const root of roots) {
    const asked = await askControl(root.folder, { type: 'conflicts' }, schema);
    const rows = asked ?? (await withStoppedRoot(root, (stopped) => stopped.conflicts().map(conflictEntry)));
    for await (const row of rows) yield { local: root.settings.local, ...row };
  }
}

function conflictLine({ local, path, copy, at, baseVersion }: ConflictEntry & { local: string }): string {
  const base = baseVersion === null ? 'both were new' : `both came from version ${baseVersion}`;
  return `${formatTime(at)}  ${local}/${path}  theirs; mine is "${copy}" (${base})`;
}

async function keep(run: Run, local: string, which: 'mine' | 'theirs' | 'both'): Promise<Answer> {
  const { root, path } = await rootAt(run, local);
  const said = await askDone(root, { type: 'resolve', path, keep: which });
  if (said === null) {
    await using client = await run.clientOf(root.settings);
    await using opened = await client.sync(root.settings.local, root.settings.remote, { watch: false });
    await opened.resolve(path, which);
  }
  const kept = which === 'both' ? 'both are kept, each under its name' : `${which} is kept; the other one is in the trash`;
  return facts({ path: local, kept: which }, `${local}: ${kept}${said === null ? '; "driftless sync" takes it to the server' : ''}`);
}

/** @returns `null`: no process syncs this root */
async function askDone(root: SyncRoot, request: ControlRequest): Promise<string | null> {
  const { DoneRow } = await load.messages();
  const { askControl } = await load.control();
  const asked = await askControl(root.folder, request, DoneRow);
  return asked === null ? null : (await only(asked)).done;
}

/** Of a folder that nobody syncs now: a pass finds out what is held, and one more carries it out. */
async function approveStopped(run: Run, root: SyncRoot): Promise<string> {
  await using client = await run.clientOf(root.settings);
  await using opened = await client.sync(root.settings.local, root.settings.remote, { watch: false });
  const { held } = await opened.once();
  await opened.approve();
  if (held.length > 0) await opened.once();
  return held.length > 0 ? 'approved and carried out' : 'nothing was held here';
}

async function approve(run: Run, local: string | undefined): Promise<Answer> {
  const done: { local: string; done: string }[] = [];
  for (const root of await rootsFor(run, local)) {
    done.push({ local: root.settings.local, done: (await askDone(root, { type: 'approve' })) ?? (await approveStopped(run, root)) });
  }
  return facts(done, ...done.map((one) => `${one.local}: ${one.done}`));
}

async function setPaused(run: Run, local: string | undefined, paused: boolean): Promise<Answer> {
  const done: { local: string; paused: boolean; running: boolean }[] = [];
  for (const root of await rootsFor(run, local)) {
    const said = await askDone(root, { type: paused ? 'pause' : 'resume' });
    if (said === null) await root.update((settings) => Object.assign(settings, { paused }));
    done.push({ local: root.settings.local, paused, running: said !== null });
  }
  const word = paused ? 'paused' : 'resumed';
  return facts(done, ...done.map((one) => `${one.local}: ${word}${one.running ? '' : ' (not running)'}`));
}

async function service(run: Run, what: string): Promise<Answer> {
  const { installService, removeService, runProgram } = await load.service();
  const { configHome, home, program } = run.settings;
  const place = { configHome, home: resolve(home), program, user: userInfo().username };
  if (what !== 'install' && what !== 'remove') throw new AppError('request_invalid', 'service install, or service remove');
  const report = await (what === 'install' ? installService : removeService)(place, runProgram);
  return facts(report, ...report.done, ...(report.left.length === 0 ? [] : ['left to you:', ...report.left.map((line) => `  ${line}`)]));
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
    examples: ['sync ~/Work /work', 'sync ~/Work --once', 'sync ~/Work /work --dry-run --json', 'sync ~/Work -x "*.iso" --limit-up 500K'],
    run: sync,
  },
  {
    name: 'status',
    args: '[local]',
    summary: 'show how each synced folder is: in sync, working, held and why',
    about: 'Of a file in a synced folder also where it is: on how many stores of the server, on which of your devices.',
    examples: ['status', 'status ~/Work --json', 'status ~/Work/report.pdf'],
    run: (run, [local]) => statusOf(run, local),
  },
  {
    name: 'explain',
    args: '<path>',
    summary: 'say why a file is, or is not, synced, and what to do',
    examples: ['explain ~/Work/report.pdf'],
    run: (run, args) => explain(run, argument(args, 0)),
  },
  {
    name: 'conflicts',
    args: '[path]',
    summary: 'show what was changed on two devices, or decide it',
    options: [{ flags: '--keep <which>', text: 'of the conflict at PATH', choices: ['mine', 'theirs', 'both'] }],
    about:
      '"theirs" has the name on all devices; "mine" is this device\'s version, in the copy beside it. What is given up goes to the trash.',
    examples: ['conflicts', 'conflicts ~/Work/report.odt --keep mine'],
    async run(run, [path], options) {
      const which = textOption(options, 'keep');
      if (which === undefined) {
        const rows = await Array.fromAsync(conflictsOf(await rootsFor(run, path)));
        return rows.length === 0 && options.json !== true
          ? facts(rows, 'no conflicts')
          : { kind: 'rows', rows: rowsOf(rows, conflictLine) };
      }
      if (path === undefined) throw new AppError('request_invalid', 'which conflict? conflicts PATH --keep mine|theirs|both');
      return keep(run, path, which === 'mine' || which === 'theirs' ? which : 'both');
    },
  },
  {
    name: 'approve',
    args: '[local]',
    summary: 'let go what is held: many deletes at once, or a folder that is not what it was',
    about: 'What is held and why is in "driftless status". Without LOCAL: all synced folders.',
    examples: ['approve ~/Work'],
    run: (run, [local]) => approve(run, local),
  },
  {
    name: 'pause',
    args: '[local]',
    summary: 'stop syncing until resume, also after a restart',
    examples: ['pause', 'pause ~/Work'],
    run: (run, [local]) => setPaused(run, local, true),
  },
  {
    name: 'resume',
    args: '[local]',
    summary: 'go on after pause',
    examples: ['resume'],
    run: (run, [local]) => setPaused(run, local, false),
  },
  {
    name: 'service',
    args: '<install|remove>',
    summary: 'have all synced folders synced always, by systemd',
    about: [
      'A unit of your own user, without a password in it: it goes on with the login of the profile, also when nobody is logged in.',
      'It syncs the folders that were synced before; after the first sync of another one, "service install" again.',
    ].join('\n'),
    examples: ['service install', 'service remove'],
    run: (run, args) => service(run, argument(args, 0)),
  },
];
