import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import { writeAnchored } from '../../Models/names.ts';
import type { ConflictEntry, ExplainRow, StatusRow } from '../sync/control/control_messages.ts';
import type { SyncRoot } from '../sync/control/roots.ts';
import { argument, type Command, type Run, textOption } from './command.ts';
import { formatTime } from './format.ts';
import { type Answer, facts, rowsOf } from './output.ts';
import { placesText } from './receipt_commands.ts';
import { askDone, load, only, rootAt, rootsFor } from './synced_roots.ts';

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

/** About folders that are synced already, whether a process syncs them now or not. */
export const ROOT_COMMANDS: readonly Command[] = [
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
    about: 'An explicit "sync LOCAL --once" makes its one pass all the same.',
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
