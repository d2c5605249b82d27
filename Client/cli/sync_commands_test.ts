import assert from 'node:assert/strict';
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { AppError } from '../../Models/errors.ts';
import { temporaryFolder } from '../../Models/testing/temporary_folder.ts';
import type { Driftless, Sync, SyncEvent, SyncOptions, SyncStatus } from '../client.ts';
import { openRoots } from '../sync/control/roots.ts';
import type { Action } from '../sync/core/plan.ts';
import { ROOT } from '../sync/core/tree.ts';
import { openSyncIndex } from '../sync/index/sync_index.ts';
import { runWords } from './program.ts';

/** What one folder's engine does in a test; the roots, their index and the control channel are real. */
type Script = {
  readonly events?: readonly SyncEvent[];
  readonly plan?: readonly Action[];
  readonly complete?: boolean;
  readonly status?: Partial<SyncStatus>;
  readonly problems?: readonly { path: string; reason: 'name_not_utf8' | 'special_file' }[];
  readonly conflicts?: number;
  readonly fails?: AppError;
};

async function newDevice(t: TestContext, script: Script = {}) {
  const folder = await realpath(await temporaryFolder(t));
  const home = join(folder, 'home');
  await mkdir(home);
  const calls: string[] = [];
  const stopped = new AbortController();
  const started = Promise.withResolvers<void>();

  async function sync(local: string, remote: string, options: SyncOptions = {}): Promise<Sync> {
    const { onEvent = () => undefined, exclude = [], limitUp, limitDown } = options;
    const given = [...exclude.map((pattern) => `-${pattern}`), ...[limitUp, limitDown].filter((limit) => limit !== undefined)];
    calls.push(`open ${remote} ${given.join(' ')}`.trim());
    const found = await openRoots(home).find(local);
    const root = found?.root ?? (await openRoots(home).add({ local, remote, auth: 'host:1', user: 'alice' }));
    const held = await root.claim();
    const index = openSyncIndex(join(root.folder, 'index.db'));
    for (const { path, reason } of script.problems ?? [])
      index.setProblem({ path, id: null, reason, detail: '', sinceMs: 1, retryAtMs: 0 });
    for (let n = 0; n < (script.conflicts ?? 0); n += 1) {
      index.addConflict({ copy: 100 + n, kind: 'edited_twice', path: 'a', copyPath: `a (conflict ${n})`, baseVersion: 1, atMs: 0 });
    }
    const said = (name: string) => async (): Promise<void> => void calls.push(name);
    const pass = { complete: script.complete ?? true, achieved: 0, entries: 0, held: [], problems: 0, retryAtMs: null };
    const close = async (): Promise<void> => {
      calls.push('close');
      index.close();
      held[Symbol.dispose]();
    };
    return {
      ...{ root, index, close, [Symbol.asyncDispose]: close },
      async once() {
        calls.push('once');
        if (script.fails !== undefined) throw script.fails;
        for (const event of script.events ?? []) onEvent(event);
        return pass;
      },
      preview: async () => ({ steps: [script.plan ?? []], conflicts: [], stuck: [] }),
      start() {
        calls.push('start');
        for (const event of script.events ?? []) onEvent(event);
        started.resolve();
      },
      on: () => () => undefined,
      status: () => ({
        ...{ local: root.settings.local, remote, state: 'idle', error: null, held: [], files: 3, waiting: 0 },
        ...{ problems: 0, conflicts: 0, watching: { watched: 2, of: 3 } },
        limits: { upBytesPerSecond: undefined, downBytesPerSecond: undefined },
        rates: { upBytesPerSecond: 0, downBytesPerSecond: 0 },
        ...script.status,
      }),
      explain: (path) => (path === 'none' ? null : { path, state: 'synced', reason: 'in_sync', details: {}, node: null }),
      conflicts: () => index.conflicts(),
      resolve: async (path, keep) => void calls.push(`resolve ${path} ${keep}`),
      approve: said('approve'),
      pause: said('pause'),
      resume: said('resume'),
      limit: async ({ up, down }) => void calls.push(`limit ${up} ${down}`),
    };
  }

  const client: Partial<Driftless> = { sync, close: async () => undefined, [Symbol.asyncDispose]: async () => undefined };
  async function run(...words: string[]) {
    const texts = { out: '', err: '' };
    const sink = (of: 'out' | 'err') => {
      const stream = new Writable({
        write(bytes: Buffer, _encoding, over) {
          texts[of] += bytes.toString();
          over();
        },
      });
      return { stream, isTerminal: false };
    };
    const code = await runWords(words, {
      run: {
        settings: { home, auth: undefined, password: undefined, configHome: join(folder, 'config'), program: ['/n', '/d'] },
        client: async () => client as Driftless,
        clientOf: async () => client as Driftless,
        replaceClient: async () => undefined,
        interruptible: (work) => work(stopped.signal),
        tell(line) {
          texts.err += `${line}\n`;
        },
        screen: null,
      },
      out: sink('out'),
      err: sink('err'),
      record: () => undefined,
      extra: [],
    });
    return { code, ...texts };
  }
  return { folder, home, run, calls, stop: () => stopped.abort(), started: started.promise, work: join(folder, 'Work') };
}

const done = (kind: 'put' | 'delete' | 'set_aside' | 'touch', path: string, direction: 'up' | 'down' = 'up'): SyncEvent => ({
  type: 'done',
  done: { direction, kind, path, bytes: 1000 },
});
const PUT: Action = { type: 'put', side: 'remote', id: 5, parent: ROOT, name: 'x' };

test('--once sums up, and its exit code tells a script how it went', async (t) => {
  for (const [script, code, text] of [
    [
      { events: [done('put', 'a'), done('put', 'b', 'down'), done('touch', 'c')] },
      0,
      /: 1 file sent \(1\.0 kB\), 1 file fetched \(1\.0 kB\)\n$/,
    ],
    [{}, 0, /: nothing to do\n$/],
    [{ conflicts: 1 }, 5, /; 1 to decide/],
    [{ complete: false }, 1, /not all of it/],
    [{ problems: [{ path: 'a', reason: 'name_not_utf8' }], conflicts: 1 }, 1, /1 to decide/],
    [{ problems: [{ path: 'a', reason: 'special_file' }] }, 0, /nothing to do/],
    [{ status: { held: [{ guard: 'root', why: 'emptied' }] } }, 1, /nothing to do/],
  ] as const) {
    const { run, work, calls } = await newDevice(t, script);
    const ran = await run('sync', work, '--once');
    assert.deepEqual([ran.code, text.test(ran.out)], [code, true], ran.out + ran.err);
    assert.deepEqual(calls, ['open /Work', 'once', 'close']);
  }
});

test('what is held or wrong is said with what to do', async (t) => {
  const { run, work } = await newDevice(t, {
    status: { held: [{ guard: 'deletes', side: 'remote', files: 200, of: 300 }] },
    problems: [{ path: 'b\u202ead', reason: 'name_not_utf8' }],
  });
  const { err } = await run('sync', work, '--once');
  assert.match(err, /200 entries of 300 would be deleted at once.*driftless approve/);
  assert.match(err, /not valid UTF-8.*Rename it here/);
});

test('a failure of the whole is that failure', async (t) => {
  const { run, work } = await newDevice(t, { fails: new AppError('server_unreachable', 'no answer') });
  assert.deepEqual(await run('sync', work, '--once'), {
    ...{ code: 1, out: '' },
    err: `first sync of ${work} with /Work: 0 up (0 B), 0 down (0 B), 0 moves, 0 deletes, 0 conflicts\ndriftless: no answer (server_unreachable)\n`,
  });
});

test('what is chosen reaches the engine; a known folder keeps what it had', async (t) => {
  const { run, work, calls } = await newDevice(t);
  await run('sync', work, '/there/', '--once', '-x', '*.iso', '--exclude', 'tmp/', '--limit-up', '500K', '--limit-down', 'none');
  await run('sync', work, '--once');
  assert.deepEqual(
    calls.filter((call) => call.startsWith('open')),
    ['open /there -*.iso -tmp/ 500000', 'open /there'],
  );
  assert.equal((await run('sync', work, '--once', '--include', '*.zip')).code, 2);
  assert.equal((await run('sync', work, '--once', '--limit-up', '12X')).code, 2);
  assert.equal((await run('sync', '/')).code, 2);
});

test('--dry-run prints the plan, for a program all of it, and does nothing', async (t) => {
  const { run, work, calls } = await newDevice(t, { plan: [PUT, { type: 'record', id: 6 }] });
  const { out, code } = await run('sync', work, '--dry-run');
  assert.deepEqual([code, out], [0, 'up        x  0 B\n1 up (0 B), 0 down (0 B), 0 moves, 0 deletes, 0 conflicts\n']);
  const told = JSON.parse((await run('sync', work, '--dry-run', '--json')).out);
  assert.deepEqual(told.actions[0], { kind: 'up', side: 'remote', path: 'x', to: null, entry: 'file', bytes: 0 });
  assert.deepEqual([told.actions.length, told.totals.up], [2, 1]);
  assert(!calls.includes('once') && !calls.includes('start'));
});

test('a sync that stays prints a line for what is worth one, and ends in order', async (t) => {
  const events: SyncEvent[] = [
    ...Array.from({ length: 25 }, (_, n) => done('put', `f${n}`)),
    done('touch', 'f1'),
    { type: 'pass', report: { complete: true, achieved: 25, entries: 25, held: [], problems: 0, retryAtMs: null } },
    done('delete', 'gone\u001b[2J', 'down'),
    done('set_aside', 'a (conflict)', 'down'),
    ...[1, 2].map((): SyncEvent => ({ type: 'problem', path: 'p', reason: 'disk_full', detail: 'ENOSPC' })),
    ...[1, 2].map((): SyncEvent => ({ type: 'held', held: [{ guard: 'root', why: 'emptied' }] })),
    { type: 'healed' },
    ...[1, 2].flatMap((): SyncEvent[] => [
      { type: 'state', state: { state: 'working' } },
      { type: 'state', state: { state: 'offline', error: new AppError('server_unreachable', 'no answer') } },
    ]),
    { type: 'state', state: { state: 'working' } },
    { type: 'state', state: { state: 'idle' } },
  ];
  const { run, work, stop, started, calls } = await newDevice(t, { events, plan: [PUT] });
  const running = run('sync', work);
  await started;
  stop();
  const { code, out } = await running;
  assert.equal(code, 0);
  const lines = out.trimEnd().split('\n');
  assert.equal(lines[0], `first sync of ${work} with /Work: 1 up (0 B), 0 down (0 B), 0 moves, 0 deletes, 0 conflicts`);
  assert.equal(lines[1], `keeping ${work} and /Work the same`);
  assert.deepEqual([lines[2], lines[21], lines[22]], ['sent f0', 'sent f19', 'in all: 25 files sent (25.0 kB)']);
  assert.equal(lines[23], 'deleted gone\\x1b[2J here');
  assert.match(lines[24] ?? '', /^conflict: your version is kept as a \(conflict\)/);
  assert.match(lines[25] ?? '', /^p: There is no room left for it on this disk/);
  assert.match(lines[26] ?? '', /^held: .*it is empty/);
  assert.match(lines[27] ?? '', /nothing is deleted$/);
  assert.deepEqual(lines.slice(28), ['offline, it goes on by itself: no answer (server_unreachable)', 'the server answers again']);
  assert.deepEqual(calls, ['open /Work', 'start', 'close']);
});

test('for a program each event is a line of JSON', async (t) => {
  const { run, work, stop, started } = await newDevice(t, { events: Array.from({ length: 25 }, (_, n) => done('put', `f${n}`)) });
  const running = run('sync', work, '--json');
  await started;
  stop();
  const events = (await running).out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(events.filter(({ event, local }) => event === 'done' && local === work).length, 25);
});

test('lines that come faster than they are read are counted, not kept for ever', async (t) => {
  const { run, work, stop, started } = await newDevice(t, { events: Array.from({ length: 50_000 }, (_, n) => done('put', `f${n}`)) });
  const running = run('sync', work, '--json');
  await started;
  stop();
  const events = (await running).out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const missed = events.filter(({ event }) => event === 'missed').reduce((sum, { count }) => sum + count, 0);
  const told = events.filter(({ event }) => event === 'done');
  assert(missed > 0 && told.length <= 20_000);
  assert.equal(told.length + missed + events.filter(({ event }) => ['first', 'start'].includes(event)).length, 50_002);
  assert.equal(told.at(-1)?.path, 'f49999');
});

test('a folder that cannot go on ends the process when it was the last', async (t) => {
  const ended: SyncEvent = { type: 'state', state: { state: 'ended', error: new AppError('session_unknown', 'log in again') } };
  const { run, work, calls } = await newDevice(t, { events: [ended] });
  const { code, err } = await run('sync', work);
  assert.equal(code, 3);
  assert.match(err, /log in again.*\(session_unknown\)/);
  assert.equal(calls.at(-1), 'close');
});

test('a process that runs answers the other commands', async (t) => {
  const { run, work, stop, started, calls } = await newDevice(t, { conflicts: 1, plan: [PUT] });
  const running = run('sync', work);
  await started;
  assert.match((await run('status')).out, new RegExp(`^${work} <-> /Work: in sync\n {2}3 files in sync, watching 2 of 3 folders\n$`));
  assert.match((await run('explain', join(work, 'a/b'))).out, /synced \(in_sync\)\nIt is the same/);
  assert.equal((await run('explain', join(work, 'none'))).code, 4);
  assert.match((await run('conflicts')).out, /Work\/a {2}theirs; mine is "a \(conflict 0\)" \(both came from version 1\)/);
  assert.match((await run('sync', work, '--dry-run')).out, /^up {8}x/);
  for (const words of [['approve'], ['pause', work], ['resume'], ['conflicts', join(work, 'a'), '--keep', 'theirs']]) {
    assert.equal((await run(...words)).code, 0, words.join(' '));
  }
  assert.match((await run('sync', work, '--limit-down', '2M')).out, /new limits/);
  assert.deepEqual(calls.slice(2), ['approve', 'pause', 'resume', 'resolve a theirs', 'limit null 2000000']);
  const second = await run('sync', work, '--once');
  assert.deepEqual([second.code, /another process syncs/.test(second.err)], [1, true]);
  stop();
  assert.equal((await running).code, 0);
});

test('where no process runs, that is said, and what can be done is done', async (t) => {
  const { run, work, calls, home } = await newDevice(t, { conflicts: 1 });
  await run('sync', work, '--once');
  calls.length = 0;
  assert.match((await run('status')).out, /: not running\n {2}0 files in sync, 1 conflict \(driftless conflicts\)\n$/);
  assert.equal((await run('explain', join(work, 'none'))).code, 4);
  assert.match((await run('conflicts')).out, /Work\/a {2}theirs/);
  assert.match((await run('pause')).out, /Work: paused \(not running\)\n$/);
  assert.match((await run('status')).out, /: paused\n/);
  assert.equal((await openRoots(home).list()).roots[0]?.settings.paused, true);
  assert.match((await run('resume', work)).out, /resumed \(not running\)/);
  assert.deepEqual(calls, []);
  assert.match(
    (await run('conflicts', join(work, 'a'), '--keep', 'mine')).out,
    /mine is kept; the other one is in the trash; "driftless sync"/,
  );
  assert.deepEqual(calls, ['open /Work', 'resolve a mine', 'close']);
  assert.match((await run('approve')).out, /nothing was held/);
});

test('what is not synced is not found, and what is not said is asked for', async (t) => {
  const { run, work } = await newDevice(t);
  for (const words of [['status'], ['status', work], ['explain', work], ['conflicts'], ['approve'], ['pause'], ['sync']]) {
    assert.equal((await run(...words)).code, 4, words.join(' '));
  }
  for (const words of [
    ['conflicts', '--keep', 'mine'],
    ['conflicts', work, '--keep', 'x'],
    ['service', 'x'],
    ['service'],
    ['sync', '--dry-run'],
  ]) {
    assert.equal((await run(...words)).code, 2, words.join(' '));
  }
});
