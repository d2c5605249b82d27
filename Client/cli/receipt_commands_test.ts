import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppError } from '../../Models/errors.ts';
import type { Driftless, RestEntry, RestPlaces, RestSyncedRoot } from '../client.ts';
import type { Command, Outcome, Run } from './command.ts';
import { FILE_COMMANDS } from './file_commands.ts';
import type { Answer } from './output.ts';
import { RECEIPT_COMMANDS } from './receipt_commands.ts';

const ago = (ms: number): string => new Date(Date.now() - ms).toISOString();
const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];
const PLACES: RestPlaces = {
  ...{ path: '/r/f', version: 7, durable: 3, stores: 1 },
  devices: [
    { device: 'd1', name: 'laptop', reportedAt: ago(5000) },
    { device: 'd2', name: '', reportedAt: ago(3 * HOUR + 5000) },
  ],
};

const runOf = (client: Partial<Driftless>): Run =>
  ({
    client: async () => client,
    interruptible: (work: (signal: AbortSignal) => unknown) => work(new AbortController().signal),
  }) as unknown as Run;

async function told(
  commands: readonly Command[],
  client: Partial<Driftless>,
  name: string,
  ...given: [(readonly string[])?, Record<string, unknown>?]
) {
  const [args = [], options = {}] = given;
  const outcome: Outcome = await (commands.find((command) => command.name === name) as Command).run(runOf(client), args, options as never);
  const answer: Answer = 'answer' in outcome ? outcome.answer : outcome;
  const code = 'answer' in outcome ? (outcome.code ?? 0) : 0;
  if (answer.kind === 'facts') return { code, lines: answer.lines, json: answer.json };
  assert.ok(answer.kind === 'rows');
  const rows = await Array.fromAsync(answer.rows);
  return { code, lines: rows.map(({ line }) => line), json: rows.map(({ json }) => json) };
}

test('wait says where the file is, and how far it is when the time is over', async () => {
  const asked: unknown[] = [];
  const client: Partial<Driftless> = {
    async untilDurable(path, places, { timeoutMs } = {}) {
      asked.push([path, places, timeoutMs]);
      return PLACES;
    },
  };
  const so = await told(RECEIPT_COMMANDS, client, 'wait', ['/r/f'], { durable: '3' });
  assert.deepEqual([so.code, so.lines], [0, ['/r/f: version 7 is on 1 store, laptop (just now), d2 (3 h ago)']]);
  assert.deepEqual(so.json, { ...PLACES, reached: true });
  const late = await told(RECEIPT_COMMANDS, client, 'wait', ['/r/f'], { durable: '4', timeout: '2m' });
  assert.deepEqual([late.code, late.lines[0]?.endsWith('d2 (3 h ago): 3 of 4 places')], [6, true]);
  assert.deepEqual(asked, [
    ['/r/f', 3, undefined],
    ['/r/f', 4, 120_000],
  ]);
  for (const durable of [undefined, '0', '-1', 'x', '1.5'])
    await assert.rejects(
      told(RECEIPT_COMMANDS, client, 'wait', ['/r/f'], { durable }),
      (error: AppError) => error.code === 'request_invalid',
    );
});

test('sync-status has a line for each folder of each device', async () => {
  const root: RestSyncedRoot = {
    ...{ device: 'd1', name: 'laptop', current: true, remote: '/work', state: 'in_sync', behind: 0, waiting: 0, problems: 0, held: false },
    ...{ reportedAt: ago(5 * MINUTE), seenAt: ago(5 * MINUTE + 1000) },
  };
  const roots: RestSyncedRoot[] = [
    root,
    {
      ...root,
      current: false,
      name: '',
      remote: null,
      state: 'offline',
      behind: 1,
      waiting: 1200,
      problems: 1,
      held: true,
      seenAt: ago(2 * DAY + 1000),
    },
    { ...root, state: 'unknown', behind: null },
  ];
  const { lines } = await told(RECEIPT_COMMANDS, { syncStatus: async () => roots }, 'sync-status');
  assert.deepEqual(lines, [
    'laptop (this device)  /work  in sync  seen 5 min ago',
    'd1  (the folder is gone)  offline  held  1 change behind  1,200 waiting  1 problem  seen 2 d ago',
    'laptop (this device)  /work  knows another history of the server  seen 5 min ago',
  ]);
  assert.equal((await told(RECEIPT_COMMANDS, { syncStatus: async () => [] }, 'sync-status')).lines.length, 1);
});

test('ls --long tells of each file where it is, page or not, many asked for together', async () => {
  const entry = { kind: 'file', size: 5, mtime: ago(0), version: 7, digest: null, executable: false, target: null, shared: null } as const;
  const entries: RestEntry[] = Array.from({ length: 701 }, (_, n) => ({ ...entry, path: `/r/${n}` }));
  entries.push({ ...entry, path: '/r/folder', kind: 'folder' });
  const asked: number[] = [];
  const client: Partial<Driftless> = {
    async *list() {
      yield* entries;
    },
    listPage: async () => ({ entries: entries.slice(700), next: null }),
    async placesOf(paths) {
      asked.push(paths.length);
      return paths.map((path) => (path === '/r/3' ? null : { ...PLACES, path }));
    },
  };
  const { lines, json } = await told(FILE_COMMANDS, client, 'ls', ['/r'], { long: true });
  assert.deepEqual([lines.length, asked], [702, [500, 201]]);
  assert.match(lines[0] as string, / 0 {2}on 1 store, laptop \(just now\), d2 \(3 h ago\)$/);
  assert.match(lines[3] as string, / 3$/);
  assert.match(lines[701] as string, / folder\/$/);
  assert.deepEqual((json as { places: RestPlaces | null }[]).map(({ places }) => places?.path ?? null).slice(2, 5), ['/r/2', null, '/r/4']);
  const page = await told(FILE_COMMANDS, client, 'ls', ['/r'], { long: true, limit: '2' });
  assert.match(page.lines[0] as string, / 700 {2}on 1 store/);
  assert.ok(!(await told(FILE_COMMANDS, client, 'ls', ['/r'])).lines.join('').includes('store'));
});
