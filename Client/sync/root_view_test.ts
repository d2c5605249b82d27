import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Action, Plan } from './core/plan.ts';
import { type NodeId, ROOT } from './core/tree.ts';
import type { DiskFeatures } from './disk.ts';
import { openIgnoreRules } from './ignore_rules.ts';
import { openLocalTree } from './local_tree.ts';
import { planRows, planTotals } from './plan_rows.ts';
import { portableNames } from './portable_names.ts';
import { resolveConflict } from './resolve_conflict.ts';
import { conflictRows, explainRow, type RootView, statusRow } from './root_view.ts';
import type { RootSettings } from './roots.ts';
import { localPath, Scan } from './scan.ts';
import { openSyncIndex } from './sync_index.ts';
import { openMemoryDisk } from './testing/memory_disk.ts';
import { otherProgram } from './testing/memory_disk_user.ts';
import { MemoryVolume } from './testing/memory_disk_volume.ts';

const FEATURES: DiskFeatures = {
  ...{ hardLinks: true, foldsCase: false, foldsUnicode: false, birthTimes: true, permissions: true, symlinks: true },
  ...{ anyName: true, timeStepMs: 0 },
};
const SETTINGS: RootSettings = {
  ...{ version: 1, id: '0123456789abcdef', local: '/home/alice/Work', remote: '/work', auth: '127.0.0.1:4810', user: 'alice' },
  ...{ excludes: ['*.iso'], limitUp: 500_000, limitDown: null, paused: false },
};
const COPY = 'a (conflict from laptop 1a2b3c).txt';

/** A folder of which all that is there when `agree` is called is the same on both sides. */
function openFolder() {
  let nowMs = 1_700_000_000_000;
  const now = (): number => {
    nowMs += 1;
    return nowMs;
  };
  const volume = new MemoryVolume({ now });
  const disk = openMemoryDisk(volume);
  const index = openSyncIndex(':memory:');
  const names = portableNames(FEATURES);
  const user = otherProgram(volume);
  index.setRoot(1);
  index.setSetting('ignore_file', 'build/\n*.log\n');
  const rules = openIgnoreRules({ ignoreFile: 'build/\n*.log\n', excludes: SETTINGS.excludes });
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
  const view: RootView = { settings: SETTINGS, index, names, disk, state: 'idle', error: null, held: [], watching: null };
  return {
    ...{ disk, index, names, user, scan, idOf, view, now },
    tree: openLocalTree(disk, { now, timeStepMs: 0, copyName: (name, digits) => `${name} ${digits}`, onKept: () => undefined }),
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
    conflict: (): void =>
      index.addConflict({ copy: idOf(COPY), kind: 'edited_twice', path: 'a.txt', copyPath: COPY, baseVersion: 6, atMs: 1_700_000_000_000 }),
  };
}

describe('explain', () => {
  it('says of each entry one state and one reason', async () => {
    const { view, index, user, write, agree, conflict, idOf } = openFolder();
    user.makeFolder('sub');
    for (const path of ['a.txt', COPY, 'sub/same', 'sub/gone', 'new']) write(path, path);
    await agree();
    conflict();
    for (const path of ['x.log', 'x.iso', 'newer']) write(path, path);
    user.makeFolder('build');
    index.setLocal(idOf('sub/gone'), null);
    index.setProblem({ path: 'locked', id: null, reason: 'no_permission_local', detail: 'EACCES', sinceMs: 1, retryAtMs: 0 });
    const of = (path: string, change: Partial<RootView> = {}): string => {
      const { state, reason } = explainRow({ ...view, ...change }, path);
      return `${state} ${reason}`;
    };
    assert.equal(of(''), 'synced in_sync');
    assert.equal(of('sub/same'), 'synced in_sync');
    assert.equal(of('a.txt'), 'conflict in_conflict');
    assert.equal(of(COPY), 'conflict in_conflict');
    assert.equal(of('x.log'), 'excluded ignored');
    assert.equal(of('build/x'), 'excluded ignored');
    assert.equal(of('x.iso'), 'excluded excluded');
    assert.equal(of('newer'), 'waiting waiting_turn');
    assert.equal(of('locked/deep'), 'failed no_permission_local');
    assert.equal(of('sub/gone'), 'waiting waiting_turn');
    assert.equal(of('sub/gone', { held: [{ guard: 'deletes', side: 'remote', files: 200, of: 300 }] }), 'held held_deletes');
    assert.equal(of('sub/gone', { held: [{ guard: 'root', why: 'emptied' }] }), 'held held_root');
    assert.equal(of('sub/gone', { state: 'offline' }), 'waiting offline');
    assert.equal(of('sub/gone', { settings: { ...SETTINGS, paused: true } }), 'waiting paused');
    assert.throws(() => of('nothing'), { code: 'not_found' });
  });

  it('names the line, and who must act where no process runs', async () => {
    const { view, write, scan } = openFolder();
    write('x.log', 'x');
    write('new', 'x');
    await scan();
    assert.match(explainRow(view, 'x.log').meaning, /line 2 of \.driftlessignore: "\*\.log"/);
    assert.match(explainRow({ ...view, state: 'stopped' }, 'new').next, /^Start "driftless sync"/);
    assert.doesNotMatch(explainRow(view, 'new').next, /Start/);
  });
});

describe('status', () => {
  it('is in sync when nothing differs and nothing is wrong', async () => {
    const { view, write, agree, scan } = openFolder();
    write('a.txt', 'one');
    await agree();
    const row = statusRow(view);
    assert.deepEqual([row.state, row.files, row.waiting, row.problemCount, row.limitUp], ['in_sync', 1, 0, 0, 500_000]);
    write('new', 'x');
    await scan();
    assert.deepEqual([statusRow(view).state, statusRow(view).waiting], ['waiting', 1]);
    assert.equal(statusRow({ ...view, state: 'working' }).state, 'working');
    assert.equal(statusRow({ ...view, state: 'stopped' }).state, 'stopped');
  });

  it('says what is held and what is wrong, each with what to do, and not what was left out on purpose', () => {
    const { view, index } = openFolder();
    for (let n = 0; n < 50; n += 1) {
      index.setProblem({ path: `f${n}`, id: null, reason: 'name_not_utf8', detail: '', sinceMs: 1, retryAtMs: 0 });
    }
    index.setProblem({ path: 'x.log', id: null, reason: 'ignored', detail: '', sinceMs: 1, retryAtMs: 0 });
    const row = statusRow({ ...view, held: [{ guard: 'deletes', side: 'remote', files: 200, of: 300 }] });
    assert.deepEqual([row.state, row.problemCount, row.problems.length], ['held', 50, 20]);
    assert.match(row.held[0]?.meaning ?? '', /^200 entries of 300 would be deleted/);
    assert.match(row.held[0]?.next ?? '', /driftless approve/);
    assert.match(row.problems[0]?.next ?? '', /Rename/);
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
    const { view } = await inConflict();
    assert.deepEqual(conflictRows(view), [
      { path: 'a.txt', copy: COPY, kind: 'edited_twice', baseVersion: 6, at: '2023-11-14T22:13:20.000Z' },
    ]);
  });

  for (const [keep, left, copy] of [
    ['mine', 'mine', undefined],
    ['theirs', 'theirs', undefined],
    ['both', 'theirs', 'mine'],
  ] as const) {
    for (const named of ['a.txt', COPY]) {
      it(`--keep ${keep} ${named}: what is given up is in the trash, and nothing else is changed`, async () => {
        const folder = await inConflict();
        assert.deepEqual(await resolveConflict(folder, named, keep), { path: 'a.txt', copy: COPY });
        assert.deepEqual([folder.read('a.txt'), folder.read(COPY)], [left, copy]);
        assert.deepEqual([conflictRows(folder.view), folder.index.intents()], [[], []]);
        const kept = folder.user.walk().map(({ bytes }) => bytes.toString());
        for (const content of ['mine', 'theirs']) assert(kept.includes(content), content);
      });
    }
  }

  it('that are over, or never were, are not found', async () => {
    const { user, scan, ...folder } = await inConflict();
    await assert.rejects(resolveConflict(folder, 'b', 'mine'), { code: 'not_found' });
    user.remove(COPY);
    await scan();
    await assert.rejects(resolveConflict(folder, 'a.txt', 'mine'), { code: 'not_found' });
    assert.deepEqual([folder.read('a.txt'), conflictRows(folder.view)], ['theirs', []]);
  });

  it('an edit while it is decided is kept, and the decision is not carried out', async () => {
    for (const edited of ['a.txt', COPY]) {
      const folder = await inConflict();
      const seal = folder.tree.seal.bind(folder.tree);
      folder.tree.seal = async () => {
        await seal();
        folder.write(edited, 'newest');
      };
      await assert.rejects(resolveConflict(folder, 'a.txt', 'mine'), { code: 'file_changed' });
      assert.equal(folder.read(edited), 'newest');
      assert.equal(conflictRows(folder.view).length, 1);
    }
  });

  it('the copy keeps its mode and time under the disputed name; a symlink stays one', async () => {
    const folder = openFolder();
    folder.write('a.txt', 'theirs');
    folder.user.symlink('elsewhere', COPY);
    await folder.agree();
    folder.conflict();
    await resolveConflict(folder, 'a.txt', 'mine');
    assert.deepEqual([folder.user.find('a.txt')?.target, folder.user.find(COPY)], ['elsewhere', null]);
  });

  it('a folder is not put in the place of a file, nor the other way round', async () => {
    const folder = openFolder();
    folder.user.makeFolder('a.txt');
    folder.write(COPY, 'mine');
    await folder.agree();
    folder.conflict();
    await assert.rejects(resolveConflict(folder, 'a.txt', 'mine'), { code: 'not_a_file' });
    assert.equal(folder.read(COPY), 'mine');
  });
});

describe('a plan', () => {
  it('is told in paths, kinds and bytes', async () => {
    const { index, names, user, write, agree, scan, idOf } = openFolder();
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
    const rows = [...planRows(plan, { index, names })];
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
