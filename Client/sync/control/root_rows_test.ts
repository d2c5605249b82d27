import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Action, Plan } from '../core/plan.ts';
import { type NodeId, ROOT } from '../core/tree.ts';
import type { DiskFeatures } from '../disk/disk.ts';
import { type LocalTree, openLocalTree } from '../disk/local_tree.ts';
import { portableNames } from '../disk/portable_names.ts';
import { openSyncIndex, type Problem } from '../index/sync_index.ts';
import { type Keep, resolveConflict } from '../resolve_conflict.ts';
import { openIgnoreRules } from '../scan/ignore_rules.ts';
import { localPath, Scan } from '../scan/scan.ts';
import { type BeforeDiskCall, openMemoryDisk, ProcessKilled } from '../testing/memory_disk.ts';
import { otherProgram } from '../testing/memory_disk_user.ts';
import { MemoryVolume } from '../testing/memory_disk_volume.ts';
import { randomFrom } from '../testing/plan_random.ts';
import { StatusRow } from './control_messages.ts';
import { planRows, planTotals } from './plan_rows.ts';
import { conflictEntry, explainRow, type RootFacts, statusRow } from './root_rows.ts';

const FEATURES: DiskFeatures = {
  ...{ hardLinks: true, foldsCase: false, foldsUnicode: false, birthTimes: true, permissions: true, symlinks: true },
  ...{ anyName: true, timeStepMs: 0 },
};
const FACTS: RootFacts = {
  ...{ local: '/home/alice/Work', remote: '/work', state: 'idle', error: null, held: [], files: 1, waiting: 0, conflicts: 0 },
  ...{ watching: null, limitUp: 500_000, limitDown: null, rateUp: 0, rateDown: 0 },
};
const COPY = 'a (conflict from laptop 1a2b3c).txt';

function problem(path: string, reason: Problem['reason']): Problem {
  return { path, id: null, reason, detail: '', sinceMs: 1, retryAtMs: 0 };
}

/** A folder of which all that is there when `agree` is called is the same on both sides. */
function openFolder() {
  let nowMs = 1_700_000_000_000;
  const now = (): number => {
    nowMs += 1;
    return nowMs;
  };
  const volume = new MemoryVolume({ now });
  let before: BeforeDiskCall = () => undefined;
  let disk = openMemoryDisk(volume, (call) => before(call));
  const index = openSyncIndex(':memory:');
  const names = portableNames(FEATURES);
  const user = otherProgram(volume);
  index.setRoot(1);
  index.setSetting('ignore_file', 'build/\n*.log\n');
  const rules = openIgnoreRules({ ignoreFile: 'build/\n*.log\n', excludes: ['*.iso'] });
  const scan = async (): Promise<void> => {
    nowMs += 60_000;
    const breathe = async (): Promise<void> => undefined;
    await new Scan({ disk, index, rules, names, features: FEATURES, now, restless: new Set(), breathe }).full();
  };
  const idOf = (path: string): NodeId => {
    const visit = (folder: NodeId): NodeId[] => index.local.children(folder).flatMap(({ id }) => [id, ...visit(id)]);
    const found = visit(ROOT).find((id) => localPath(index, names, id) === path);
    assert(found !== undefined, path);
    return found;
  };
  const treeOn = (): LocalTree =>
    openLocalTree(disk, { now, timeStepMs: 0, copyName: (name, digits) => `${name} ${digits}`, onKept: () => undefined });
  let tree = treeOn();
  return {
    ...{ index, user, scan, idOf },
    write: (path: string, text: string): void => user.write(path, Buffer.from(text)),
    read: (path: string): string | undefined => user.find(path)?.bytes.toString(),
    async agree(): Promise<void> {
      await scan();
      for (const id of index.changed()) {
        const here = index.local.get(id);
        assert(here !== undefined);
        const content = here.content ?? `content of ${id}`;
        index.setLocal(id, { ...here, content });
        index.setRemote(id, { ...here, content, node: id + 1000, version: 7, size: here.seen.size, chunkCount: 1 });
        index.agree(id);
      }
    },
    resolve(keep: Keep): Promise<boolean> {
      const [row] = index.conflicts();
      assert(row !== undefined);
      return resolveConflict({ disk, tree, index, names, now }, row, keep);
    },
    /** From now on the process dies at its n-th call of the disk. */
    killAt(nth: number): void {
      let calls = 0;
      before = () => {
        calls += 1;
        if (calls === nth) throw new ProcessKilled('killed');
      };
    },
    /** Another process goes on, as a pass begins. */
    async restart(): Promise<void> {
      before = () => undefined;
      disk = openMemoryDisk(volume, (call) => before(call));
      tree = treeOn();
      const intents = index.intents();
      await tree.recover(intents);
      index.endIntents(intents.map(({ id }) => id));
    },
    onCall(hook: BeforeDiskCall): void {
      before = hook;
    },
    cutPower: (random: () => number): void => volume.cutPower(random),
    conflict: (): void =>
      index.addConflict({ copy: idOf(COPY), kind: 'edited_twice', path: 'a.txt', copyPath: COPY, baseVersion: 6, atMs: 1_700_000_000_000 }),
  };
}

describe('explain', () => {
  it('says what the reason means and what to do', () => {
    const rule = { source: 'ignored', line: 2, pattern: '*.log' } as const;
    const row = explainRow('x.log', { path: 'x.log', state: 'excluded', reason: 'ignored', details: { rule }, node: null }, true);
    assert.deepEqual([row.path, row.state, row.reason], ['x.log', 'excluded', 'ignored']);
    assert.match(row.meaning, /line 2 of \.driftlessignore: "\*\.log"/);
    assert.throws(() => explainRow('x', null, true), { code: 'not_found' });
  });

  it('says who must act where no process runs', () => {
    const found = { path: 'x', state: 'waiting', reason: 'waiting_turn', details: {}, node: null } as const;
    assert.match(explainRow('x', found, false).next, /^Start "driftless sync"/);
    assert.doesNotMatch(explainRow('x', found, true).next, /Start/);
  });
});

describe('status', () => {
  it('is in sync when nothing differs and nothing is wrong', () => {
    const of = (facts: Partial<RootFacts>, problems: Problem[] = []): string => statusRow({ ...FACTS, ...facts }, problems).state;
    assert.equal(of({}), 'in_sync');
    assert.equal(of({ waiting: 1 }), 'waiting');
    assert.equal(of({}, [problem('a', 'name_not_utf8')]), 'waiting');
    assert.equal(of({}, [problem('a', 'ignored'), problem('b', 'special_file')]), 'in_sync');
    assert.equal(of({ held: [{ guard: 'root', why: 'emptied' }] }), 'held');
    assert.deepEqual(
      (['new', 'working', 'paused', 'offline', 'closed', 'ended'] as const).map((state) => of({ state, waiting: 1 })),
      ['working', 'working', 'paused', 'offline', 'stopped', 'failed'],
    );
  });

  it('says what is held and what is wrong, each with what to do', () => {
    const problems = Array.from({ length: 50 }, (_, n) => problem(`f${n}`, 'name_not_utf8'));
    const row = statusRow({ ...FACTS, held: [{ guard: 'deletes', side: 'remote', files: 200, of: 300 }] }, problems);
    assert.deepEqual([row.problemCount, row.problems.length], [50, 20]);
    assert.match(row.held[0]?.meaning ?? '', /^200 entries of 300 would be deleted/);
    assert.match(row.held[0]?.next ?? '', /driftless approve/);
    assert.match(row.problems[0]?.next ?? '', /Rename/);
    assert.deepEqual(StatusRow.parse(row), row);
  });
});

describe('conflicts', () => {
  async function inConflict() {
    const folder = openFolder();
    folder.write('a.txt', 'theirs');
    folder.write(COPY, 'mine');
    await folder.agree();
    folder.conflict();
    return folder;
  }

  it('are listed with what both came from', async () => {
    const { index } = await inConflict();
    assert.deepEqual(index.conflicts().map(conflictEntry), [
      { path: 'a.txt', copy: COPY, kind: 'edited_twice', baseVersion: 6, at: '2023-11-14T22:13:20.000Z' },
    ]);
  });

  for (const [keep, left, copy] of [
    ['mine', 'mine', undefined],
    ['theirs', 'theirs', undefined],
    ['both', 'theirs', 'mine'],
  ] as const) {
    it(`to keep ${keep} leaves what is given up in the trash, and changes nothing else`, async () => {
      const folder = await inConflict();
      assert.equal(await folder.resolve(keep), true);
      assert.deepEqual([folder.read('a.txt'), folder.read(COPY)], [left, copy]);
      assert.deepEqual([folder.index.conflicts(), folder.index.intents()], [[], []]);
      const kept = folder.user.walk().map(({ bytes }) => bytes.toString());
      for (const content of ['mine', 'theirs']) assert(kept.includes(content), content);
    });
  }

  for (const [keep, edited] of [
    ['mine', 'a.txt'],
    ['mine', COPY],
    ['theirs', COPY],
  ] as const) {
    it(`to keep ${keep} is not carried out when ${edited} was edited since it was last looked at`, async () => {
      const folder = await inConflict();
      folder.write(edited, 'newest');
      assert.equal(await folder.resolve(keep), false);
      const left = { 'a.txt': 'theirs', [COPY]: 'mine', [edited]: 'newest' };
      for (const [path, content] of Object.entries(left)) assert.equal(folder.read(path), content, path);
      assert.equal(folder.index.conflicts().length, 1);
    });
  }

  for (const power of [false, true]) {
    it(`to keep mine leaves one of both versions at the path whenever ${power ? 'the power is cut' : 'the process is killed'}`, async () => {
      let isOver = false;
      for (let nth = 1; !isOver; nth += 1) {
        const folder = await inConflict();
        folder.killAt(nth);
        isOver = await folder.resolve('mine').catch((error: unknown) => {
          assert(error instanceof ProcessKilled, String(error));
          return false;
        });
        if (power) folder.cutPower(randomFrom(nth).next);
        await folder.restart();
        assert.match(folder.read('a.txt') ?? 'nothing', /^(mine|theirs)$/, `killed at call ${nth}`);
        const kept = folder.user.walk().map(({ bytes }) => bytes.toString());
        for (const content of ['mine', 'theirs']) assert(kept.includes(content), `killed at call ${nth}: ${content}`);
        assert.equal(folder.index.conflicts().length, isOver ? 0 : 1);
      }
    });
  }

  it('to keep mine leaves everything as it was when the copy is written to in between', async () => {
    const folder = await inConflict();
    folder.onCall(({ name, path }) => {
      if (name === 'stat' && path === COPY && folder.read('a.txt') === undefined) folder.write(COPY, 'newest');
    });
    assert.equal(await folder.resolve('mine'), false);
    assert.deepEqual([folder.read('a.txt'), folder.read(COPY)], ['theirs', 'newest']);
    assert.deepEqual(folder.index.intents(), []);
  });

  it('that are over end by themselves', async () => {
    const folder = await inConflict();
    folder.user.remove(COPY);
    await folder.scan();
    assert.equal(await folder.resolve('mine'), true);
    assert.deepEqual([folder.read('a.txt'), folder.index.conflicts()], ['theirs', []]);
  });

  it('a folder is not put in the place of a file, nor the other way round', async () => {
    const folder = openFolder();
    folder.user.makeFolder('a.txt');
    folder.write(COPY, 'mine');
    await folder.agree();
    folder.conflict();
    assert.equal(await folder.resolve('mine'), false);
    assert.equal(folder.read(COPY), 'mine');
  });
});

describe('a plan', () => {
  it('is told in paths, kinds and bytes', async () => {
    const { index, user, write, agree, scan, idOf } = openFolder();
    user.makeFolder('sub');
    write('sub/a', 'four');
    write('b', 'b');
    await agree();
    write('sub/a', 'longer');
    write('new', 'xyz');
    await scan();
    const remote = { parent: ROOT, name: 'there', kind: 'file', content: 'c', mode: 0o644, mtimeUs: 1 } as const;
    index.setRemote(900, { ...remote, id: 900, node: 5000, version: 1, size: 1000, chunkCount: 1 });
    const sub = idOf('sub');
    const step: Action[] = [
      { type: 'replace', side: 'remote', id: idOf('sub/a') },
      { type: 'put', side: 'remote', id: idOf('new'), parent: sub, name: 'new' },
      { type: 'put', side: 'local', id: 900, parent: ROOT, name: 'there' },
      { type: 'make', side: 'local', id: sub, parent: ROOT, name: 'sub' },
      { type: 'move', side: 'remote', id: idOf('b'), parent: sub, name: 'c' },
      { type: 'delete', side: 'remote', id: idOf('b') },
      { type: 'set_aside', id: idOf('sub/a'), name: 'a (conflict)' },
      { type: 'touch', side: 'local', id: sub },
      { type: 'hash', id: idOf('new') },
    ];
    const plan: Plan = { steps: [step.slice(0, 3), step.slice(3)], conflicts: [], stuck: [] };
    const rows = [...planRows(plan, { index })];
    assert.deepEqual(
      rows.map(({ kind, side, path, to, entry, bytes }) => [kind, side, path, to, entry, bytes]),
      [
        ['up', 'remote', 'sub/a', null, 'file', 6],
        ['up', 'remote', 'sub/new', null, 'file', 3],
        ['down', 'local', 'there', null, 'file', 1000],
        ['down', 'local', 'sub', null, 'folder', 0],
        ['move', 'remote', 'b', 'sub/c', 'file', 0],
        ['delete', 'remote', 'b', null, 'file', 0],
        ['conflict', 'local', 'sub/a', 'sub/a (conflict)', 'file', 0],
        ['attributes', 'local', 'sub', null, 'folder', 0],
        ['compare', null, 'new', null, 'file', 0],
      ],
    );
    assert.deepEqual(planTotals(rows), {
      ...{ up: 2, down: 2, move: 1, delete: 1, conflict: 1, attributes: 1, compare: 1 },
      ...{ bytesUp: 9, bytesDown: 1000 },
    });
  });
});
