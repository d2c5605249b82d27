import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { DiskFile } from '../../Client/sync/disk/disk.ts';
import type { SyncIndex } from '../../Client/sync/index/sync_index.ts';
import type { MemoryDisk } from '../../Client/sync/testing/memory_disk.ts';
import { systemError } from '../../Client/sync/testing/memory_disk_volume.ts';
import type { DeviceOptions } from './history.ts';
import { contentKey } from './ledger.ts';
import { settle } from './settle.ts';
import type { SimDevice } from './sim_device.ts';
import { openSimFolder } from './sim_server.ts';
import { World } from './world.ts';

const PLAIN: DeviceOptions = { foldsCase: false, foldsUnicode: false, birthTimes: true, timeStepMs: 0.001, skewMs: 0 };

/** Two devices on a real server. `broken`: what calls of their disks fail with, by the path. */
type Scene = {
  readonly world: World;
  readonly one: SimDevice;
  readonly other: SimDevice;
  /** No index can be written to. */
  readonly full: { is: boolean };
  /** So many staged files can be written; the others cannot be closed without an error either, as where that makes them durable. */
  readonly staging: { room: number };
  readonly broken: Map<string, { readonly code: string; readonly calls: readonly (keyof MemoryDisk)[] }>;
};

async function play(tell: (scene: Scene) => Promise<void>, options: Partial<DeviceOptions> = {}): Promise<void> {
  const broken: Scene['broken'] = new Map();
  const full = { is: false };
  const staging = { room: Number.POSITIVE_INFINITY };
  const filling = (index: SyncIndex): SyncIndex => ({
    ...index,
    transaction(work) {
      if (full.is) throw Object.assign(new Error('database or disk is full'), { code: 'ERR_SQLITE_ERROR', errcode: 13 });
      return index.transaction(work);
    },
  });
  const failing = (disk: MemoryDisk): MemoryDisk =>
    new Proxy(disk, {
      get(target, call: keyof MemoryDisk) {
        const made = target[call];
        if (typeof made !== 'function') return made;
        return (...given: string[]) => {
          for (const path of given) {
            const fault = broken.get(path);
            if (fault?.calls.includes(call)) throw systemError(fault.code, call, path);
          }
          const result = Reflect.apply(made, target, given);
          if (call !== 'create' || staging.room === Number.POSITIVE_INFINITY) return result;
          staging.room -= 1;
          return staging.room < 0 ? withoutRoom(result) : result;
        };
      },
    });
  const folder = await openSimFolder(1);
  const device = { ...PLAIN, ...options };
  const world = await World.open({ tickMs: 0.01, devices: [device, device] }, folder, { device: { disk: failing, index: filling } });
  try {
    await tell({ world, one: world.device(0), other: world.device(1), broken, full, staging });
  } catch (error) {
    if (error instanceof Error) error.message += `\n${world.trace.join('\n')}`;
    throw error;
  } finally {
    await world.close();
    await folder.close();
  }
}

function withoutRoom(file: DiskFile): DiskFile {
  return {
    ...file,
    write: () => {
      throw systemError('ENOSPC', 'write', 'staged');
    },
    close() {
      file.close();
      throw systemError('ENOSPC', 'fsync', 'staged');
    },
  };
}

function write({ world }: Scene, device: SimDevice, path: string, id: number): void {
  world.act(device, { kind: 'write', path, content: { id, size: 50 } });
  world.pause(5000);
}

/** A text of its own: what is in it matters. */
function writeText({ world }: Scene, device: SimDevice, path: string, text: string, pauseMs = 10_000): void {
  const before = keysAt(device, path);
  device.user.write(path, Buffer.from(text));
  world.ledger.observe(before, keysAt(device, path), { what: path });
  world.pause(pauseMs);
}

function keysAt(device: SimDevice, path: string): Map<string, number> {
  const keys = device.user.walk().flatMap((found) => (found.path === path ? (contentKey(found) ?? []) : []));
  return new Map(keys.map((key) => [key, 1]));
}

const reasons = (device: SimDevice): string[] => device.index.problems().map(({ path, reason }) => `${path}: ${reason}`);

suite('problems of an engine', () => {
  test('a file that cannot be looked at is a problem until it can be', () =>
    play(async (scene) => {
      const { world, one, broken } = scene;
      write(scene, one, 'f', 1);
      await settle(world);
      broken.set('f', { code: 'EIO', calls: ['stat'] });
      for (let n = 0; n < 2; n += 1) {
        await world.pass(one, false, []);
        assert.deepEqual(reasons(one), ['f: local_error']);
      }
      broken.clear();
      await world.pass(one, false, []);
      assert.deepEqual(reasons(one), []);
    }));

  test('a file that may not be written is a problem until it may be', () =>
    play(async (scene) => {
      const { world, one, other, broken } = scene;
      write(scene, one, 'a/f', 1);
      await settle(world);
      write(scene, one, 'a/f', 2);
      await world.pass(one, false, []);
      broken.set('a/f', { code: 'EACCES', calls: ['rename'] });
      await world.pass(other, false, []);
      assert.deepEqual(reasons(other), ['a/f: no_permission_local']);
      broken.clear();
      world.pause(60_000);
      await world.pass(other, false, []);
      assert.deepEqual(reasons(other), []);
      await settle(world);
    }));

  test('what failed is looked at again when its time has come, also by a pass that is asked for nothing else', () =>
    play(async (scene) => {
      const { world, one, broken } = scene;
      write(scene, one, 'f', 1);
      broken.set('f', { code: 'EIO', calls: ['stat'] });
      const report = await world.pass(one, false, []);
      broken.clear();
      assert.ok(report?.retryAtMs != null && report.retryAtMs > one.now());
      world.pause(report.retryAtMs - one.now() + 1);
      one.hints.clear();
      const again = await world.pass(one, true, []);
      assert.deepEqual([again?.achieved, reasons(one), again?.retryAtMs], [1, [], null]);
    }));

  test('is not waited for when the clock was set back', () =>
    play(async (scene) => {
      const { world, one, other, broken } = scene;
      write(scene, one, 'f', 1);
      await settle(world);
      write(scene, one, 'f', 2);
      await world.pass(one, false, []);
      broken.set('f', { code: 'EBUSY', calls: ['rename'] });
      await world.pass(other, false, []);
      assert.deepEqual(reasons(other), ['f: local_error']);
      broken.clear();
      world.pause(-3_600_000);
      const report = await world.pass(other, false, []);
      assert.deepEqual([report?.achieved, reasons(other)], [1, []]);
    }));
});

suite('rules of what is left out', () => {
  async function ignored(scene: Scene): Promise<void> {
    const { world, one } = scene;
    one.user.makeFolder('a');
    writeText(scene, one, '.driftlessignore', 'a/x\n');
    write(scene, one, 'a/x', 1);
    world.pause(10_000);
    for (const device of world.devices) await world.pass(device, false, []);
    assert.equal(one.index.local.children(1).length, 2);
  }

  const isKnown = (device: SimDevice, name: string): boolean =>
    device.index.local.children(1).some(({ id }) => device.index.local.children(id).some((child) => child.name === name));

  test('what they let in is found although the server could not be reached when they changed', () =>
    play(async (scene) => {
      const { world, one } = scene;
      await ignored(scene);
      writeText(scene, one, '.driftlessignore', 'b\n');
      world.pause(10_000);
      one.hints.clear();
      one.hints.add('');
      const gone = { on: 'net', nth: 1, when: 'before', effect: { kind: 'refuse', code: 'storage_unavailable' } } as const;
      assert.equal(
        await world.pass(
          one,
          true,
          Array.from({ length: 20 }, (_, at) => ({ ...gone, nth: at + 1 })),
        ),
        null,
      );
      one.hints.add('');
      await world.pass(one, true, []);
      assert.equal(isKnown(one, 'x'), true);
    }));

  test('what they let in is found when they come from the server', () =>
    play(async (scene) => {
      const { world, one, other } = scene;
      await ignored(scene);
      writeText(scene, other, 'a/y', 'y');
      writeText(scene, other, '.driftlessignore', 'a/x\na/y\n');
      world.pause(10_000);
      for (const device of [other, one]) await world.pass(device, false, []);
      assert.equal(isKnown(other, 'y'), false);
      writeText(scene, one, '.driftlessignore', 'a/x\n');
      world.pause(10_000);
      await world.pass(one, false, []);
      other.hints.clear();
      await world.pass(other, true, []);
      assert.equal(isKnown(other, 'y'), true);
    }));
});

suite('an ignore file that is being written', () => {
  /** `secret` is left out by the ignore file, which both have. */
  async function leftOut(scene: Scene): Promise<void> {
    const { world, one } = scene;
    writeText(scene, one, '.driftlessignore', 'secret\n');
    writeText(scene, one, 'secret', 'secret');
    await settle(world);
  }
  const knows = (device: SimDevice, name: string): boolean => device.index.remote.children(1).some((node) => node.name === name);

  test('and is gone for a moment lets nothing go that it left out, at no moment of a pass', () =>
    play(async (scene) => {
      const { world, one, other } = scene;
      await leftOut(scene);
      for (let nth = 1; nth <= 3; nth += 1) {
        one.user.move('.driftlessignore', '.driftlessignore~');
        one.hints.add('');
        const back = { kind: 'user', device: 0, action: { kind: 'move', path: '.driftlessignore~', to: '.driftlessignore' } } as const;
        await world.pass(one, nth > 1, [{ on: 'net', nth, when: 'before', effect: back }]);
        assert.equal(knows(one, 'secret'), false, `back before request ${nth}`);
        if (one.user.find('.driftlessignore~') !== null) one.user.move('.driftlessignore~', '.driftlessignore');
        world.pause(5000);
        await settle(world);
        assert.equal(knows(one, 'secret'), false, `later, ${nth}`);
      }
      assert.equal(other.user.find('secret'), null);
    }));

  test('and is empty for a moment lets nothing go that it left out', () =>
    play(async (scene) => {
      const { world, one } = scene;
      await leftOut(scene);
      writeText(scene, one, '.driftlessignore', '', 0);
      const report = await world.pass(one, false, []);
      assert.equal(knows(one, 'secret'), false);
      assert.ok(report?.retryAtMs != null, 'nobody looks at it again');
      writeText(scene, one, '.driftlessignore', 'secret\n# and more\n');
      await settle(world);
      assert.equal(knows(one, 'secret'), false);
    }));

  test('leaves out what it says now, also while it is not still', () =>
    play(async (scene) => {
      const { world, one } = scene;
      await leftOut(scene);
      writeText(scene, one, 'other', 'other');
      writeText(scene, one, '.driftlessignore', 'other\n', 0);
      await world.pass(one, false, []);
      assert.deepEqual([knows(one, 'secret'), knows(one, 'other')], [false, false]);
    }));

  test('is obeyed as it is once it is still, and lets go what it left out once it was deleted', () =>
    play(async (scene) => {
      const { world, one, other } = scene;
      await leftOut(scene);
      writeText(scene, one, '.driftlessignore', 'other\n', 0);
      const report = await world.pass(one, false, []);
      world.pause((report?.retryAtMs ?? assert.fail('nobody looks at it again')) - one.now() + 200);
      one.hints.clear();
      await world.pass(one, true, []);
      assert.equal(knows(one, 'secret'), true);
      writeText(scene, one, 'other', 'other');
      await settle(world);
      assert.equal(knows(one, 'other'), false);
      world.act(one, { kind: 'remove', path: '.driftlessignore' });
      world.pause(5000);
      await settle(world);
      assert.ok(other.user.find('other') !== null);
    }));
});

suite('a line with a slash, when a folder above is renamed', () => {
  const textAt = (device: SimDevice, path: string): string | undefined => device.user.find(path)?.bytes.toString();

  test('that left out what is in it: it stays left out on both devices, until that line is taken out', () =>
    play(async (scene) => {
      const { world, one, other } = scene;
      writeText(scene, one, '.driftlessignore', 'a/x\n');
      one.user.makeFolder('a');
      writeText(scene, one, 'a/y', 'y');
      await settle(world);
      writeText(scene, one, 'a/x', 'of one');
      writeText(scene, other, 'a/x', 'of the other');
      await settle(world);
      world.act(one, { kind: 'move', path: 'a', to: 'b' });
      world.pause(10_000);
      await settle(world);
      writeText(scene, one, '.driftlessignore', '*.log\na/x\n');
      world.act(other, { kind: 'move', path: 'b', to: 'c/b' });
      world.pause(10_000);
      await settle(world);
      for (const [device, text] of [
        [one, 'of one'],
        [other, 'of the other'],
      ] as const) {
        assert.equal(textAt(device, 'c/b/x'), text);
        assert.deepEqual(reasons(device), ['c/b/x: ignored']);
      }
      writeText(scene, one, '.driftlessignore', '*.log\n');
      world.act(one, { kind: 'move', path: 'c/b', to: 'b' });
      world.loosen();
      await settle(world);
      for (const device of [one, other]) {
        const found = device.user.walk(['.driftless']).flatMap(({ path, bytes }) => (path.startsWith('b/x') ? [bytes.toString()] : []));
        assert.deepEqual(found.sort(), ['of one', 'of the other']);
      }
    }));

  test('the same when it came just before, and nobody had looked; what is new there is synced by its own name only', () =>
    play(async (scene) => {
      const { world, one, other } = scene;
      writeText(scene, one, '.driftlessignore', 'a/x\na/deep/y\n');
      for (const folder of ['a', 'a/deep']) one.user.makeFolder(folder);
      writeText(scene, one, 'a/deep/z', 'z');
      await settle(world);
      writeText(scene, one, 'a/x', 'x');
      writeText(scene, one, 'a/deep/y', 'y');
      world.act(one, { kind: 'move', path: 'a', to: 'b' });
      world.pause(10_000);
      await settle(world);
      writeText(scene, one, 'b/y', 'another');
      world.loosen();
      await settle(world);
      assert.deepEqual(reasons(one), ['b/deep/y: ignored', 'b/x: ignored']);
      assert.deepEqual([textAt(other, 'b/x'), textAt(other, 'b/deep/y')], [undefined, undefined]);
      assert.deepEqual([textAt(other, 'b/deep/z'), textAt(other, 'b/y')], ['z', 'another']);
    }));

  test('that leaves out what is in it from now on: it is deleted nowhere', () =>
    play(async (scene) => {
      const { world, one, other } = scene;
      writeText(scene, one, '.driftlessignore', 'b/x\n');
      one.user.makeFolder('a');
      writeText(scene, one, 'a/x', 'x');
      writeText(scene, one, 'a/y', 'y');
      await settle(world);
      world.act(one, { kind: 'move', path: 'a', to: 'b' });
      world.pause(10_000);
      world.loosen();
      await settle(world);
      for (const device of [one, other]) {
        assert.deepEqual([textAt(device, 'b/x'), textAt(device, 'b/y')], ['x', 'y']);
        assert.deepEqual(reasons(device), ['b/x: ignored']);
      }
      world.act(one, { kind: 'remove', path: '.driftlessignore' });
      world.pause(10_000);
      world.loosen();
      await settle(world);
      for (const device of [one, other]) assert.deepEqual([textAt(device, 'b/x'), textAt(device, 'b/y')], ['x', 'y']);
    }));
});

suite('changes too close to each other for the times of files', () => {
  const COARSE = { timeStepMs: 1000 };
  const edit = { kind: 'user', device: 0, action: { kind: 'write', path: 'f', content: { id: 2, size: 50 } } } as const;

  test('one right after the content was sent is found, however late the answer came', () =>
    play(async (scene) => {
      const { world, one } = scene;
      writeText(scene, one, 'g', 'g');
      await settle(world);
      world.pause(1000 - (one.now() % 1000) + 1);
      world.act(one, { kind: 'write', path: 'f', content: { id: 1, size: 50 } });
      await world.pass(one, false, [
        { on: 'net', nth: 2, when: 'before', effect: { kind: 'drop_reply' } },
        { on: 'net', nth: 2, when: 'after', effect: edit },
        ...[3, 4, 5, 6].map((nth) => ({ on: 'net', nth, when: 'before', effect: { kind: 'drop' } }) as const),
      ]);
      assert.equal(one.user.find('f')?.stat.mtimeMs, one.index.local.children(1).find(({ name }) => name === 'f')?.seen.mtimeMs);
      await settle(world);
    }, COARSE));

  test('a change of the mode between looking at a file and reading it is not taken for known', () =>
    play(async ({ world, one, other }) => {
      const same = { kind: 'write', path: 'f', content: { shared: 1 } } as const;
      const time = { kind: 'time', path: 'f', mtimeMs: 1_700_000_000_000 } as const;
      for (const action of [same, time]) world.act(one, action);
      world.pause(5000);
      await world.pass(one, false, []);
      for (const action of [same, time]) world.act(other, action);
      world.pause(5000);
      const chmod = { kind: 'user', device: 1, action: { kind: 'mode', path: 'f', mode: 0o600 } } as const;
      await world.pass(other, false, [{ on: 'disk', nth: 1, name: 'open', effect: chmod }]);
      world.pause(5000);
      await settle(world);
      const modes = [one, other].map((device) => device.user.find('f')?.stat.mode);
      assert.equal(modes[0], modes[1]);
    }));
});

test('what a failure left of resolving a conflict is put right by the next pass', () =>
  play(async (scene) => {
    const { world, one, other, broken } = scene;
    write(scene, one, 'f', 1);
    await settle(world);
    write(scene, one, 'f', 2);
    write(scene, other, 'f', 3);
    await settle(world);
    const conflict = other.index.conflicts()[0] ?? assert.fail('no conflict');
    broken.set('', { code: 'EIO', calls: ['syncFolder', 'syncAll'] });
    await assert.rejects(other.engine.resolve(conflict, 'theirs'), { code: 'local_io' });
    assert.equal(other.index.intents().length, 1);
    broken.clear();
    await world.pass(other, true, []);
    assert.deepEqual(other.index.intents(), []);
    await settle(world);
  }));

test('an approval is for the deletes that were held, not for many more that came since', () =>
  play(async ({ world, one }) => {
    for (let n = 0; n < 320; n += 1) world.act(one, { kind: 'write', path: `f${n}`, content: { id: n, size: 20 } });
    world.pause(5000);
    await world.pass(one, false, []);
    const remove = (from: number, to: number): void => {
      for (let n = from; n < to; n += 1) world.act(one, { kind: 'remove', path: `f${n}` });
      world.pause(5000);
    };
    remove(0, 110);
    assert.deepEqual((await world.pass(one, false, []))?.held, [{ guard: 'deletes', side: 'remote', files: 110, of: 320 }]);
    await one.engine.approve();
    remove(110, 315);
    assert.deepEqual((await world.pass(one, false, []))?.held, [{ guard: 'deletes', side: 'remote', files: 315, of: 320 }]);
    await one.engine.approve();
    await world.pass(one, false, []);
    assert.deepEqual(one.engine.held, []);
    assert.ok(one.index.agreedFiles() < 320, 'nothing was deleted'); // how many at once is the server's to say
  }));

test('a disk that is full where the index is ends the pass, and not the engine', () =>
  play(async (scene) => {
    const { world, one } = scene;
    write(scene, one, 'f', 1);
    scene.full.is = true;
    await assert.rejects(one.engine.pass(), { code: 'local_io' });
    scene.full.is = false;
    await world.pass(one, false, []);
    await settle(world);
  }));

test('a disk that gets full while content is copied here is told of, and what was copied before is there', () =>
  play(async (scene) => {
    const { world, one, other, staging } = scene;
    const text = 'copied here '.repeat(8000); // long enough to be looked for
    writeText(scene, one, 'old', text);
    await settle(world);
    for (const path of ['copy1', 'copy2', 'copy3']) writeText(scene, one, path, text);
    await world.pass(one, false, []);
    staging.room = 1;
    const report = await world.livePass(other, {}, []); // throws whatever would end a loop
    assert.equal(report.problems, 2);
    const [copied, ...missing] = ['copy1', 'copy2', 'copy3'].toSorted(
      (a, b) => Number(other.user.find(b) !== null) - Number(other.user.find(a) !== null),
    );
    assert.equal(other.user.find(copied ?? '')?.bytes.toString(), text);
    assert.deepEqual(
      reasons(other),
      missing.map((path) => `${path}: disk_full`),
    );
    staging.room = Number.POSITIVE_INFINITY;
    world.pause(60_000);
    await world.livePass(other, {}, []);
    assert.deepEqual([reasons(other), missing.map((path) => other.user.find(path)?.bytes.toString())], [[], [text, text]]);
  }));

test('a folder that was put into a new one of its own name comes to the other device', () =>
  play(async (scene) => {
    const { world, one, other } = scene;
    write(scene, one, 'b/a/f', 1);
    await settle(world);
    one.user.move('b', 'x');
    one.user.makeFolder('b');
    one.user.move('x', 'b/b');
    for (const path of ['b', '']) one.hints.add(path);
    world.pause(5000);
    await world.pass(one, true, []);
    await settle(world);
    assert.ok(other.user.find('b/b/a/f') !== null);
    assert.equal(other.user.find('b/a'), null);
  }));

test('what comes into a folder just before it is moved is a change of the folder, and its time is the same on both devices', () =>
  play(async (scene) => {
    const { world, one, other } = scene;
    write(scene, one, 'a/f', 1);
    await settle(world);
    world.act(one, { kind: 'move', path: 'a', to: 'b' });
    world.pause(5000);
    await world.pass(one, false, []);
    const action = { kind: 'write', path: 'a/g', content: { id: 2, size: 60 } } as const;
    await world.pass(other, false, [{ on: 'disk', nth: 1, name: 'rename', effect: { kind: 'user', device: 1, action } }]);
    await settle(world);
    const [here, there] = [one, other].map(({ user }) => user.find('b')?.stat.mtimeMs);
    assert.ok(other.user.find('b/g') !== null && here !== undefined);
    assert.equal(there, here);
  }));

test('what a device does not know cannot be there twice by being moved, also while no process runs; what it knows is edited', () =>
  play(async (scene) => {
    const { world, one } = scene;
    const placesOf = (path: string): number[] => [...keysAt(one, path).keys()].map((key) => world.ledger.placesOf(key));
    const move = (path: string, to: string): void => world.act(one, { kind: 'move', path, to });
    write(scene, one, 'never synced', 1);
    move('never synced', 'a');
    assert.deepEqual(placesOf('a'), [1], 'there is no index yet');
    for (const [id, path] of ['gone', 'also gone', 'folder/f'].entries()) write(scene, one, path, id + 2);
    await settle(world);
    await world.kill(one);
    move('a', 'b');
    assert.deepEqual(placesOf('b'), [1]);
    for (const path of ['gone', 'also gone']) world.act(one, { kind: 'remove', path });
    move('b', 'gone');
    assert.deepEqual(placesOf('gone'), [2]);
    move('folder', 'also gone');
    assert.deepEqual(placesOf('also gone/f'), [1], 'a folder is no edit of a file');
  }));
