import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type NodeId, ROOT } from '../core/tree.ts';
import type { Disk, DiskFeatures } from '../disk/disk.ts';
import { portableNames } from '../disk/portable_names.ts';
import { openSyncIndex, type SyncIndex } from '../index/sync_index.ts';
import { type BeforeDiskCall, openMemoryDisk } from '../testing/memory_disk.ts';
import { type OtherProgram, otherProgram } from '../testing/memory_disk_user.ts';
import { MemoryVolume, systemError, type VolumeOptions } from '../testing/memory_disk_volume.ts';
import { lookAt, type Shown } from './folder_picture.ts';
import { openIgnoreRules } from './ignore_rules.ts';
import type { LookAhead } from './look_ahead.ts';
import { localPath, Scan, type ScanReport, seenStat } from './scan.ts';

const FEATURES: DiskFeatures = {
  hardLinks: true,
  foldsCase: false,
  foldsUnicode: false,
  birthTimes: true,
  permissions: true,
  symlinks: true,
  anyName: true,
  timeStepMs: 0,
};

/** A folder that was scanned and whose state then counts as agreed, as if it had been sent. */
class Fixture {
  nowMs = 1_700_000_000_000;
  readonly index: SyncIndex = openSyncIndex(':memory:');
  readonly user: OtherProgram;
  readonly names = portableNames(FEATURES);
  before: BeforeDiskCall = () => undefined;
  readonly #volume: MemoryVolume;

  constructor(options: Omit<VolumeOptions, 'now'> = {}) {
    this.#volume = new MemoryVolume({ ...options, now: () => this.tick() });
    this.user = otherProgram(this.#volume);
    this.index.setRoot(1);
  }

  tick(): number {
    this.nowMs += 1;
    return this.nowMs;
  }

  scan(folders?: string[], options: { ignore?: string | null; restless?: string[]; ahead?: FakeAhead } = {}): Promise<ScanReport> {
    const { ignore = null, restless = [], ahead } = options;
    const disk = openMemoryDisk(this.#volume, (call) => this.before(call));
    const scanning = new Scan({
      disk,
      ...(ahead === undefined ? {} : { lookAhead: () => ahead.on(disk) }),
      index: this.index,
      rules: openIgnoreRules({ ignoreFile: ignore, excludes: [] }),
      names: this.names,
      features: FEATURES,
      now: () => this.nowMs,
      restless: new Set(restless),
      breathe: async () => undefined,
    });
    return folders === undefined ? scanning.full() : scanning.folders(folders);
  }

  /** What is here now is what both sides have. */
  async agree(): Promise<void> {
    this.nowMs += 60_000;
    await this.scan();
    for (const id of this.index.changed()) {
      const here = this.index.local.get(id);
      if (here === undefined) this.index.setRemote(id, null);
      else {
        const content = here.content ?? `content of ${id}`;
        this.index.setLocal(id, { ...here, content });
        this.index.setRemote(id, { ...here, content, node: id + 1000, version: 1, size: 0, chunkCount: 1 });
      }
      this.index.agree(id);
    }
    assert.deepEqual(this.index.changed(), []);
    this.nowMs += 60_000;
  }

  id(path: string): NodeId {
    const found = this.ids().get(path);
    assert.ok(found !== undefined, `${path} is not known`);
    return found;
  }

  ids(): Map<string, NodeId> {
    const found = new Map<string, NodeId>();
    const visit = (folder: NodeId): void => {
      for (const { id } of this.index.local.children(folder)) {
        const path = localPath(this.index, this.names, id);
        if (path !== null) found.set(path, id);
        visit(id);
      }
    };
    visit(ROOT);
    return found;
  }
}

const bytes = (text: string): Buffer => Buffer.from(text);

suite('scan', () => {
  test('what is there is found, with its kind, and content is not read', async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('a');
    fixture.user.write('a/b', bytes('one'));
    fixture.user.symlink('b', 'a/link');
    await fixture.scan();
    const { index } = fixture;
    assert.deepEqual([...fixture.ids().keys()].sort(), ['a', 'a/b', 'a/link']);
    assert.equal(index.local.get(fixture.id('a/b'))?.content, null);
    assert.equal(index.local.get(fixture.id('a/link'))?.content, 'b');
  });

  test('nothing changed: nothing differs', async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('a');
    fixture.user.write('a/b', bytes('one'));
    await fixture.agree();
    const report = await fixture.scan();
    assert.deepEqual(fixture.index.changed(), []);
    assert.deepEqual(report.suspects, []);
    assert.equal(report.entries, 2);
  });

  for (const [how, edit] of [
    ['truncated and written', (user: OtherProgram) => user.write('f', bytes('other'))],
    ['saved by rename', (user: OtherProgram) => user.save('f', bytes('other'))],
    ['changed with the same size and the same time of change', (user: OtherProgram) => user.editQuietly('f', bytes('eno'))],
  ] as const) {
    test(`a file that was ${how} is the same node with unknown content`, async () => {
      const fixture = new Fixture();
      fixture.user.write('f', bytes('one'));
      await fixture.agree();
      const id = fixture.id('f');
      edit(fixture.user);
      await fixture.scan();
      assert.equal(fixture.id('f'), id);
      assert.equal(fixture.index.local.get(id)?.content, null);
    });
  }

  test('a moved file, a moved folder and a file moved out of a moved folder keep their nodes', async () => {
    const fixture = new Fixture();
    for (const folder of ['a', 'a/deep', 'b']) fixture.user.makeFolder(folder);
    for (const file of ['a/1', 'a/deep/2', 'b/3']) fixture.user.write(file, bytes(file));
    await fixture.agree();
    const before = new Map([...fixture.ids()]);
    fixture.user.move('a', 'c');
    fixture.user.move('c/deep/2', 'two');
    fixture.user.move('b/3', 'c/three');
    await fixture.scan();
    for (const [now, then] of [
      ['c', 'a'],
      ['c/1', 'a/1'],
      ['c/deep', 'a/deep'],
      ['two', 'a/deep/2'],
      ['c/three', 'b/3'],
      ['b', 'b'],
    ] as const)
      assert.equal(fixture.id(now), before.get(then), now);
    assert.equal(fixture.ids().size, 6);
    assert.equal(fixture.index.local.get(fixture.id('c/1'))?.content !== null, true, 'what is in a moved folder needs no reading');
  });

  test('a folder that was moved away and made anew is another one; one that was made anew in its place is the same', async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('photos');
    fixture.user.write('photos/1', bytes('1'));
    fixture.user.makeFolder('notes');
    fixture.user.write('notes/1', bytes('n'));
    await fixture.agree();
    const [photos, notes, note] = [fixture.id('photos'), fixture.id('notes'), fixture.id('notes/1')];
    fixture.user.move('photos', 'zphotos');
    fixture.user.makeFolder('photos');
    fixture.user.remove('notes');
    fixture.user.makeFolder('notes');
    fixture.user.write('notes/1', bytes('n'));
    await fixture.scan();
    assert.equal(fixture.id('zphotos'), photos);
    assert.notEqual(fixture.id('photos'), photos);
    assert.equal(fixture.id('notes'), notes);
    assert.equal(fixture.id('notes/1'), note);
  });

  test('two folders that changed names are told apart by what they are', async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('a');
    fixture.user.makeFolder('b');
    fixture.user.write('a/1', bytes('1'));
    await fixture.agree();
    const [a, b] = [fixture.id('a'), fixture.id('b')];
    fixture.user.move('a', 't');
    fixture.user.move('b', 'a');
    fixture.user.move('t', 'b');
    await fixture.scan();
    assert.deepEqual([fixture.id('b'), fixture.id('a')], [a, b]);
    assert.equal(fixture.ids().size, 3);
  });

  test('a hard link is a new file; an inode that is used again is not the old file', async () => {
    const fixture = new Fixture();
    fixture.user.write('f', bytes('one'));
    fixture.user.write('g', bytes('two'));
    await fixture.agree();
    const [f, g] = [fixture.id('f'), fixture.id('g')];
    fixture.user.hardLink('f', 'link');
    fixture.user.remove('g');
    fixture.user.write('h', bytes('new'));
    await fixture.scan();
    assert.equal(fixture.id('f'), f);
    assert.ok(![f, g].includes(fixture.id('link')));
    assert.ok(![f, g].includes(fixture.id('h')));
    assert.equal(fixture.index.local.get(g), undefined);
  });

  test('what is gone is gone with all below it', async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('a');
    fixture.user.makeFolder('a/b');
    fixture.user.write('a/b/c', bytes('c'));
    await fixture.agree();
    fixture.user.remove('a');
    await fixture.scan(['']);
    assert.equal(fixture.ids().size, 0);
    assert.equal(fixture.index.changed().length, 3);
  });

  test('a file in the place of a folder and a folder in the place of a file are new', async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('a');
    fixture.user.write('f', bytes('f'));
    await fixture.agree();
    const [a, f] = [fixture.id('a'), fixture.id('f')];
    fixture.user.remove('a');
    fixture.user.remove('f');
    fixture.user.write('a', bytes('a'));
    fixture.user.makeFolder('f');
    await fixture.scan();
    assert.equal(fixture.index.local.get(a), undefined);
    assert.equal(fixture.index.local.get(f), undefined);
    assert.equal(fixture.index.local.get(fixture.id('a'))?.kind, 'file');
  });

  for (const code of ['EACCES', 'EIO', 'EMFILE']) {
    test(`a folder that answers ${code} is not empty, and a file that does is not gone`, async () => {
      const fixture = new Fixture();
      fixture.user.makeFolder('a');
      fixture.user.write('a/b', bytes('b'));
      fixture.user.write('f', bytes('f'));
      await fixture.agree();
      fixture.before = ({ name, path }) => {
        if ((name === 'list' && path === 'a') || (name === 'stat' && path === 'f')) throw Object.assign(new Error(code), { code });
      };
      const report = await fixture.scan();
      assert.deepEqual(fixture.index.changed(), []);
      assert.deepEqual([...report.unreadable].sort(), [fixture.id('a'), fixture.id('f')].sort());
      assert.deepEqual(report.findings.map(({ path }) => path).sort(), ['a', 'f']);
    });
  }

  test('what is ignored is not gone: it leaves the index on both sides', async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('build');
    fixture.user.write('build/out', bytes('o'));
    fixture.user.write('keep', bytes('k'));
    await fixture.agree();
    const report = await fixture.scan(undefined, { ignore: 'build/\n' });
    assert.deepEqual(fixture.index.changed(), []);
    assert.deepEqual([...fixture.ids().keys()], ['keep']);
    assert.deepEqual(report.findings, [{ path: 'build', id: null, reason: 'ignored', detail: '1: build/' }]);
    assert.equal(fixture.index.agreedCount(), 1);
  });

  test('names that are not UTF-8 are reported and what is beside them is synced', async () => {
    const fixture = new Fixture();
    fixture.user.makeUndecodable('', Buffer.from([0x66, 0xff]));
    fixture.user.write('g', bytes('g'));
    const report = await fixture.scan();
    assert.deepEqual([...fixture.ids().keys()], ['g']);
    assert.deepEqual(report.findings, [{ path: 'f\ufffd', id: null, reason: 'name_not_utf8', detail: '66ff' }]);
  });

  test('another mode is found where the time of change does not tell', async () => {
    const fixture = new Fixture();
    fixture.user.write('f', bytes('one'));
    await fixture.agree();
    const id = fixture.id('f');
    const { nowMs } = fixture;
    fixture.user.setMode('f', 0o755);
    const { ctimeMs } = fixture.user.find('f')?.stat ?? { ctimeMs: nowMs };
    const here = fixture.index.local.get(id);
    assert.ok(here !== undefined);
    fixture.index.setLocal(id, { ...here, seen: { ...here.seen, ctimeMs } });
    await fixture.scan();
    assert.equal(fixture.index.local.get(id)?.mode, 0o755);
  });

  test('a link that was made anew differs by its time, also where it leads to the same', async () => {
    const fixture = new Fixture();
    fixture.user.symlink('target', 'link');
    await fixture.agree();
    const id = fixture.id('link');
    fixture.user.remove('link');
    fixture.user.symlink('target', 'link');
    await fixture.scan();
    assert.deepEqual(fixture.index.changed(), [id]);
    assert.equal(fixture.index.local.get(id)?.mtimeUs, (fixture.user.find('link')?.stat.mtimeMs ?? 0) * 1000);
  });

  test('a link that was made at the moment of the scan is read once more', async () => {
    const fixture = new Fixture();
    fixture.user.symlink('one', 'link');
    await fixture.scan();
    const id = fixture.id('link');
    fixture.user.remove('link');
    fixture.user.symlink('two', 'link');
    const here = fixture.index.local.get(id);
    const now = fixture.user.find('link')?.stat;
    assert.ok(here !== undefined && now !== undefined);
    const { ino, birthMs, size, mtimeMs, ctimeMs } = now;
    // as if it had got the same number, in the same step of the clock
    fixture.index.setLocal(id, { ...here, seen: { ...here.seen, ino, birthMs, size, mtimeMs, ctimeMs } });
    await fixture.scan();
    assert.equal(fixture.index.local.get(id)?.content, 'two');
  });

  test('a link that was just placed keeps its time where the disk keeps times in longer steps', async () => {
    const fixture = new Fixture({ timeStepMs: 1000 });
    fixture.user.symlink('target', 'link');
    await fixture.agree();
    const id = fixture.id('link');
    const mtimeUs = 1_600_000_012_345_678;
    fixture.user.setTimes('link', mtimeUs / 1000);
    const agreed = fixture.index.ancestor.get(id);
    const stat = fixture.user.find('link')?.stat;
    assert.ok(agreed !== undefined && stat !== undefined && stat.mtimeMs === 1_600_000_012_000);
    fixture.index.settle({ ...agreed, mtimeUs, seen: seenStat(stat, stat.ctimeMs, FEATURES) });
    assert.ok(fixture.index.local.get(id)?.seen.racy);
    fixture.nowMs += 60_000;
    await fixture.scan();
    assert.deepEqual(fixture.index.changed(), []);
    const here = fixture.index.local.get(id);
    assert.deepEqual([here?.mtimeUs, here?.seen.racy], [mtimeUs, false]);
  });

  test('a file that was changed at the moment of the scan and given an old time is suspect too', async () => {
    const fixture = new Fixture();
    fixture.user.write('f', bytes('one'));
    fixture.user.setTimes('f', 1_000_000);
    await fixture.scan();
    assert.ok(fixture.index.local.get(fixture.id('f'))?.seen.racy);
  });

  test('a file changed at the moment of the scan is suspect until time has passed', async () => {
    const fixture = new Fixture();
    fixture.user.write('f', bytes('one'));
    await fixture.scan();
    const id = fixture.id('f');
    const here = fixture.index.local.get(id);
    assert.ok(here?.seen.racy);
    fixture.index.setLocal(id, { ...here, content: 'x' });
    fixture.index.setRemote(id, { ...here, content: 'x', node: 7, version: 1, size: 3, chunkCount: 1 });
    assert.ok(fixture.index.agree(id));
    assert.deepEqual((await fixture.scan()).suspects, [id]);
  });

  test('a look at some folders sees a move between them, and leaves the rest alone', async () => {
    const fixture = new Fixture();
    for (const folder of ['a', 'b', 'c']) fixture.user.makeFolder(folder);
    for (const file of ['a/1', 'c/2']) fixture.user.write(file, bytes(file));
    await fixture.agree();
    const one = fixture.id('a/1');
    fixture.user.move('a/1', 'b/1');
    fixture.user.write('c/2', bytes('other'));
    const report = await fixture.scan(['a', 'b']);
    assert.equal(fixture.id('b/1'), one);
    assert.deepEqual([...report.folders].sort(), ['a', 'b']);
    assert.notEqual(fixture.index.local.get(fixture.id('c/2'))?.content, null);
  });

  test('a file that is being written to just now is left as it is known', async () => {
    const fixture = new Fixture();
    fixture.user.write('old', bytes('1'));
    await fixture.agree();
    fixture.user.write('old', bytes('22'));
    fixture.user.write('new', bytes('1'));
    await fixture.scan(undefined, { restless: ['old', 'new'] });
    assert.deepEqual(fixture.index.changed(), []);
  });

  test('a renamed folder is found also while its new name is told of as if it were being written to', async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('old');
    fixture.user.write('old/f', bytes('1'));
    await fixture.agree();
    const [folder, file] = [fixture.id('old'), fixture.id('old/f')];
    fixture.user.move('old', 'new');
    await fixture.scan([''], { restless: ['new', 'new/f'] });
    assert.equal(fixture.id('new'), folder);
    assert.deepEqual(fixture.index.changed(), [folder]);
    assert.equal(fixture.id('new/f'), file);
  });

  test('a file that has another name and is left for now is not gone from where it was', async () => {
    const fixture = new Fixture();
    for (const name of ['a', 'b']) fixture.user.makeFolder(name);
    fixture.user.write('a/f', bytes('1'));
    await fixture.agree();
    const file = fixture.id('a/f');
    fixture.user.move('a/f', 'b/g');
    await fixture.scan(['a', 'b'], { restless: ['b/g'] });
    assert.equal(fixture.id('a/f'), file);
    await fixture.scan(['b']);
    assert.equal(fixture.id('b/g'), file);
  });

  test('a file that took the place of another one while that was left is gone from where it was', async () => {
    const fixture = new Fixture();
    for (const name of ['a', 'b']) fixture.user.makeFolder(name);
    for (const name of ['a/draft', 'b/f']) fixture.user.write(name, bytes(name));
    await fixture.agree();
    const [draft, file] = [fixture.id('a/draft'), fixture.id('b/f')];
    fixture.user.remove('b/f');
    fixture.user.move('a/draft', 'b/f');
    await fixture.scan(['a', 'b'], { restless: ['b/f'] });
    assert.notEqual(fixture.index.local.get(draft), undefined);
    await fixture.scan(['b']);
    assert.equal(fixture.index.local.get(draft), undefined);
    assert.equal(fixture.id('b/f'), file);
  });

  test('a file with two names loses one of them also while the other one is written to', async () => {
    const fixture = new Fixture();
    fixture.user.write('f', bytes('1'));
    fixture.user.hardLink('f', 'g');
    await fixture.agree();
    const gone = fixture.id('g');
    fixture.user.remove('g');
    await fixture.scan(undefined, { restless: ['f'] });
    assert.equal(fixture.index.local.get(gone), undefined);
  });
});

/** Looks when it is asked for what it saw: as late as that can be. */
class FakeAhead implements LookAhead {
  readonly given: string[] = [];
  readonly arrival = Promise.resolve();
  closed = false;
  readonly #sees: boolean;
  #disk: Disk | null = null;
  #waiting: string[] = [];

  constructor(sees: boolean) {
    this.#sees = sees;
  }

  on(disk: Disk): this {
    this.#disk = disk;
    return this;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  give(folders: readonly string[]): void {
    this.given.push(...folders);
    this.#waiting.push(...folders);
  }

  take(): ReadonlyMap<string, Shown | null> {
    const disk = this.#disk;
    const looked = this.#waiting.map((folder) => [folder, this.#sees && disk !== null ? lookAt(disk, folder) : null] as const);
    this.#waiting = [];
    return new Map(looked);
  }

  close(): void {
    this.closed = true;
  }
}

suite('a scan with help', () => {
  async function manyFolders(): Promise<Fixture> {
    const fixture = new Fixture();
    for (let i = 0; i < 100; i += 1) {
      fixture.user.makeFolder(`d${i}`);
      fixture.user.makeFolder(`d${i}/inside`);
      fixture.user.write(`d${i}/inside/f`, bytes('1'));
    }
    await fixture.agree();
    await fixture.scan(); // keeps what the folders look like
    fixture.before = () => void fixture.tick(); // a scan takes its time
    return fixture;
  }

  for (const sees of [true, false]) {
    test(`finds the same as one without, where the other thread ${sees ? 'sees all' : 'fails'}`, async () => {
      const fixture = await manyFolders();
      fixture.user.write('d3/inside/f', bytes('22'));
      fixture.user.write('d4/new', bytes('1'));
      fixture.user.remove('d5/inside/f');
      fixture.user.move('d6/inside', 'd7/moved');
      const moved = fixture.id('d6/inside');
      const ahead = new FakeAhead(sees);
      const { entries } = await fixture.scan(undefined, { ahead });
      assert.ok(ahead.given.length > 50);
      assert.ok(ahead.closed);
      assert.equal(entries, 300);
      assert.equal(fixture.index.local.get(fixture.id('d3/inside/f'))?.content, null);
      assert.ok(fixture.id('d4/new') > 0);
      assert.equal(fixture.id('d7/moved'), moved);
      const changed = fixture.index.changed();
      await fixture.scan();
      assert.deepEqual(fixture.index.changed(), changed);
    });
  }

  test('looks into a folder that is not there any more by the time the other thread comes to it', async () => {
    const fixture = await manyFolders();
    const ahead = new FakeAhead(true);
    fixture.before = () => {
      fixture.tick();
      if (ahead.given.length === 0 || fixture.user.find('d1') === null) return;
      for (const path of ['d1/inside/f', 'd1/inside', 'd1']) fixture.user.remove(path);
    };
    await fixture.scan(undefined, { ahead });
    fixture.before = () => undefined;
    await fixture.scan();
    assert.equal(fixture.ids().has('d1'), false);
    assert.equal(fixture.ids().has('d2/inside/f'), true);
  });
});

test('a folder that looks as it did before something was put into it has lost that', async () => {
  const fixture = new Fixture();
  await fixture.agree();
  await fixture.scan(); // keeps what the empty folder looks like
  const id = fixture.index.newId();
  const seen = { ino: 99, birthMs: 1, size: 3, mtimeMs: 1, ctimeMs: 1, mode: 0o644, racy: false };
  fixture.index.setLocal(id, { id, parent: ROOT, name: 'f', kind: 'file', content: 'c', mode: 0o644, mtimeUs: 1000, seen });
  await fixture.scan();
  assert.equal(fixture.index.local.get(id), undefined);
});

for (const first of ['the one that is there', 'the one that is not']) {
  test(`of two nodes under one name the one that is not there is gone, also when ${first} was known first`, async () => {
    const fixture = new Fixture();
    fixture.user.write('f', bytes('one'));
    await fixture.agree();
    const here = fixture.index.local.get(fixture.id('f'));
    assert.ok(here !== undefined);
    const other = fixture.index.newId();
    const gone = first === 'the one that is there' ? other : here.id;
    const seen = { ...here.seen, ino: here.seen.ino + 100 };
    fixture.index.setLocal(other, { ...here, id: other, seen: gone === other ? seen : here.seen });
    if (gone === here.id) fixture.index.setLocal(here.id, { ...here, mode: 0o600, seen });
    await fixture.scan();
    assert.equal(fixture.index.local.get(gone), undefined);
    assert.notEqual(fixture.index.local.get(gone === other ? here.id : other), undefined);
  });
}

for (const [what, options] of [
  ['the same node', {}],
  ['another node, without birth times', { birthTimes: false }],
] as const) {
  test(`where names fold together, a file or folder whose name is spelled anew is ${what}, and the old spelling is gone`, async () => {
    const fixture = new Fixture({ foldsCase: true, ...options });
    fixture.user.makeFolder('a');
    fixture.user.write('a/f', bytes('one'));
    fixture.user.write('b', bytes('two'));
    await fixture.agree();
    const before = [fixture.id('a'), fixture.id('b')];
    fixture.user.move('a', 'A');
    fixture.user.move('b', 'B');
    await fixture.scan();
    assert.deepEqual([...fixture.ids().keys()].sort(), ['A', 'A/f', 'B']);
    const isSame = before[0] === fixture.id('A') && before[1] === fixture.id('B');
    assert.equal(isSame, !('birthTimes' in options));
  });
}

test('two names of one file that differ only in case are two files, where the disk keeps them apart', async () => {
  const fixture = new Fixture();
  fixture.user.write('b', bytes('two'));
  await fixture.agree();
  fixture.user.hardLink('b', 'B');
  await fixture.scan();
  assert.deepEqual([...fixture.ids().keys()].sort(), ['B', 'b']);
});

test('a moved file whose old place cannot be looked at does not end the scan', async () => {
  const fixture = new Fixture();
  fixture.user.makeFolder('closed');
  fixture.user.write('closed/f', bytes('one'));
  fixture.user.makeFolder('open');
  await fixture.agree();
  fixture.user.move('closed/f', 'open/f');
  fixture.user.write('z', bytes('two'));
  fixture.before = ({ path, name }) => {
    if (path.startsWith('closed/') || (path === 'closed' && name === 'list')) throw systemError('EACCES', name, path);
  };
  await fixture.scan();
  assert.ok(fixture.ids().has('z'));
  assert.ok(fixture.ids().has('open/f'));
  assert.ok(fixture.ids().has('closed/f'));
});

for (const kind of ['file', 'folder'] as const) {
  test(`a ${kind} that was given a name which the server cannot hold is reported, and is not gone`, async () => {
    const fixture = new Fixture();
    if (kind === 'folder') {
      fixture.user.makeFolder('f');
      fixture.user.write('f/inside', bytes('one'));
    } else fixture.user.write('f', bytes('one'));
    await fixture.agree();
    fixture.user.move('f', 'f\u0001');
    const report = await fixture.scan();
    assert.deepEqual(
      report.findings.map(({ path, reason }) => [path, reason]),
      [['f\u0001', 'name_not_there']],
    );
    assert.deepEqual(fixture.index.changed(), []);
    fixture.user.move('f\u0001', 'g');
    const id = fixture.id('f');
    await fixture.scan();
    assert.equal(fixture.id('g'), id);
  });
}

for (const name of ['a', 'b'] as const) {
  test(`a folder that was put into a new one of its own name, as ${name}, is in that one`, async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('b');
    fixture.user.makeFolder('b/a');
    fixture.user.write('b/a/f', bytes('one'));
    await fixture.agree();
    const file = fixture.id('b/a/f');
    fixture.user.move('b', 'x');
    fixture.user.makeFolder('b');
    fixture.user.move('x', `b/${name}`);
    for (let n = 0; n < 2; n += 1) {
      await fixture.scan();
      assert.deepEqual([...fixture.ids().keys()].sort(), ['b', `b/${name}`, `b/${name}/a`, `b/${name}/a/f`]);
    }
    assert.equal(fixture.id(`b/${name}/a/f`), file);
  });
}

suite('another file system below the folder', () => {
  async function agreed(): Promise<Fixture> {
    const fixture = new Fixture();
    fixture.user.makeFolder('d');
    fixture.user.write('d/f', bytes('one'));
    fixture.user.makeFolder('d/sub');
    fixture.user.write('d/sub/g', bytes('two'));
    await fixture.agree();
    return fixture;
  }

  for (const looked of [undefined, ['d'], ['d/sub', 'd/new folder'], ['', 'd']]) {
    test(`mounted over a known folder is not looked into, and what was known there is not gone: ${looked ?? 'all of it'}`, async () => {
      const fixture = await agreed();
      const known = fixture.ids();
      const unmount = fixture.user.mount('d');
      fixture.user.write('d/f', bytes('of another'));
      fixture.user.makeFolder('d/new folder');
      const { findings } = await fixture.scan(looked);
      assert.deepEqual(findings, [{ path: 'd', id: known.get('d'), reason: 'other_file_system', detail: '' }]);
      assert.deepEqual(fixture.index.changed(), []);
      unmount();
      assert.deepEqual((await fixture.scan(looked)).findings, []);
      assert.deepEqual(fixture.index.changed(), []);
      assert.deepEqual(fixture.ids(), known);
    });
  }

  test('that was there from the beginning is not synced; the folder below it is, once it is seen', async () => {
    const fixture = new Fixture();
    fixture.user.makeFolder('d');
    const unmount = fixture.user.mount('d');
    fixture.user.write('d/f', bytes('of another'));
    const { findings } = await fixture.scan();
    assert.deepEqual(findings, [{ path: 'd', id: null, reason: 'other_file_system', detail: '' }]);
    assert.deepEqual([...fixture.ids()], []);
    unmount();
    await fixture.scan();
    assert.deepEqual([...fixture.ids().keys()], ['d']);
  });

  test('where the server has a folder, it is that one which is left as it is', async () => {
    const fixture = new Fixture();
    const there = { parent: ROOT, name: 'd', kind: 'folder', content: '', mode: 0o755, mtimeUs: 0 } as const;
    fixture.index.setRemote(7, { ...there, id: 7, node: 1007, version: 1, size: 0, chunkCount: 0 });
    fixture.user.makeFolder('d');
    fixture.user.mount('d');
    const { findings } = await fixture.scan();
    assert.deepEqual(findings, [{ path: 'd', id: 7, reason: 'other_file_system', detail: '' }]);
  });

  test('mounted while the folder is looked at makes nothing gone', async () => {
    const fixture = await agreed();
    fixture.user.write('d/f2', bytes('so that it is looked at whole'));
    const known = fixture.ids();
    fixture.before = ({ name, path }) => {
      if (name !== 'list' || path !== 'd') return;
      fixture.before = () => undefined;
      fixture.user.mount('d');
    };
    const { findings } = await fixture.scan();
    assert.deepEqual(findings, [{ path: 'd', id: known.get('d'), reason: 'other_file_system', detail: '' }]);
    assert.deepEqual(fixture.ids(), known);
  });
});
