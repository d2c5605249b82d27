import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import type { Operation } from '../Models/operations.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { openDatabase } from './database.ts';
import type { Principal } from './principal.ts';
import { openServerStore, type ServerStore } from './server_store.ts';
import type { MetadataSchema } from './sql/sql_metadata_schema.ts';
import { MIGRATIONS } from './sql_metadata.ts';
import type { SyncReport } from './sync_reports.ts';
import { newDatabases } from './testing/databases.ts';
import { alice, bob, type Content, commit, contentOf, copy, done, mkdir, move, put, remove, share } from './testing/metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two', 'parts');
const touch = (path: string, mtimeUs: number): Operation => ({ kind: 'mkdir', path, existingOk: true, mode: 0o755, mtimeUs });
const hex = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);

/** A device that has on its disk what a listing of its folder told, but for what it leaves out. */
class Disk {
  readonly who: Principal;
  readonly state: string;
  readonly files = new Map<number, string>(); // content id by node
  counter = 1;
  mark = '';
  #root: string;
  #store: ServerStore;

  constructor(store: ServerStore, user: Principal, name: string, root: string) {
    this.who = { ...user, deviceId: hex(name) };
    this.state = hex(`${name} ${root} index`);
    this.#root = root;
    this.#store = store;
  }

  /** @param leaveOut nodes that are not fetched. @returns what it can report then; `null`: its folder is not there */
  async fetch(leaveOut: (node: number) => boolean = () => false): Promise<SyncReport | null> {
    const folders = new Map<number, boolean>(); // whether what is in it comes here
    const missing: number[] = [];
    this.files.clear();
    try {
      for await (const part of this.#store.metadata.feed(this.who, { root: this.#root, cursor: null })) {
        if ('cursor' in part) {
          this.#root = `@${part.rootId}`;
          this.mark = hex(`${this.state} ${part.cursor} ${missing}`);
          const counts = { waiting: missing.length, problems: 0, held: false };
          return { ...counts, state: this.state, counter: this.counter, mark: this.mark, root: part.rootId, cursor: part.cursor, missing };
        }
        for (const node of part.present) {
          const isTop = folders.size === 0;
          const isHere = isTop || (folders.get(node.parentId) === true && !leaveOut(node.nodeId));
          if (!isHere && folders.get(node.parentId) === true) missing.push(node.nodeId);
          if (node.kind === 'folder') folders.set(node.nodeId, isHere);
          if (isHere && node.digest !== null) this.files.set(node.nodeId, Buffer.from(node.digest).toString('hex'));
        }
      }
    } catch (error) {
      if ((error as { code?: string }).code !== 'not_found') throw error;
    }
    return null;
  }

  async report(leaveOut?: (node: number) => boolean): Promise<boolean> {
    const report = await this.fetch(leaveOut);
    return report !== null && this.#store.syncReports.take(this.who, report);
  }
}

for (const [name, addressFor] of newDatabases()) {
  async function open(t: TestContext, now?: () => number): Promise<ServerStore> {
    const store = await openServerStore(await addressFor(t), now === undefined ? {} : { now });
    t.after(() => store.close());
    return store;
  }
  /** Names of the devices that have it. */
  async function devicesWith(store: ServerStore, path: string, who = alice): Promise<string[] | null> {
    const [found] = await store.syncReports.places(who, [path]);
    return found === null || found === undefined ? null : found.devices.map(({ deviceId }) => deviceId).sort();
  }

  test(`a device has a file from its report on, until the file, or a folder above it, is another one, on ${name}`, async (t) => {
    const store = await open(t);
    await done(store.metadata, alice, [put('/w/a/f', one), put('/w/g', one), put('/out/h', one)], [one]);
    const laptop = new Disk(store, alice, 'laptop', '/w');
    const id = laptop.who.deviceId;
    const has = (path: string): Promise<string[] | null> => devicesWith(store, path);
    assert.deepEqual(await has('/w/a/f'), []);
    await laptop.report();
    assert.deepEqual([await has('/w/a/f'), await has('/w/g'), await has('/out/h')], [[id], [id], []]);
    assert.deepEqual([await has('/w/a'), await has('/w/none'), await devicesWith(store, '/w/g', bob)], [null, null, null]);
    await done(store.metadata, alice, [put('/w/g', two), move('/w/a', '/w/b'), move('/out/h', '/w/h')], [two]);
    assert.deepEqual([await has('/w/b/f'), await has('/w/g'), await has('/w/h')], [[], [], []]);
    await laptop.report();
    assert.deepEqual([await has('/w/b/f'), await has('/w/g'), await has('/w/h')], [[id], [id], [id]]);
    await done(store.metadata, alice, [touch('/w/b', 5), touch('/w', 6), touch('/w/b', 7)]);
    assert.deepEqual([await has('/w/b/f'), await has('/w/g')], [[id], [id]], 'a folder has another time whenever something in it changes');
    await done(store.metadata, alice, [move('/w', '/moved')]);
    assert.deepEqual(await has('/moved/g'), [id], 'the folder itself is followed wherever it goes');
    await done(store.metadata, alice, [remove('/moved/b')]);
    await laptop.report();
    await store.history.undelete(alice, '/moved/b', null);
    assert.deepEqual(await has('/moved/b/f'), [], 'it was taken away there, and is not back yet');
    await assert.rejects(store.syncReports.places(alice, ['/a/../b']), { code: 'name_invalid' });
  });

  test(`what is said to be missing is, with all below it, and of a report that says nothing nothing is known, on ${name}`, async (t) => {
    const store = await open(t);
    const [, , f] = await done(store.metadata, alice, [mkdir('/w'), mkdir('/w/a'), put('/w/a/f', one), put('/w/g', one)], [one]);
    const [a] = await store.metadata.stat(alice, ['/w/a']);
    const laptop = new Disk(store, alice, 'laptop', '/w');
    for (const node of [f?.nodeId, a?.nodeId]) {
      assert.ok(await laptop.report((id) => id === node));
      assert.deepEqual([await devicesWith(store, '/w/a/f'), await devicesWith(store, '/w/g')], [[], [laptop.who.deviceId]]);
    }
    const report = await laptop.fetch();
    assert.ok(report !== null && (await store.syncReports.take(laptop.who, { ...report, missing: null, held: true })));
    assert.deepEqual(await devicesWith(store, '/w/g'), []);
    const [root] = await store.syncReports.roots(alice);
    assert.deepEqual([root?.path, root?.behind, root?.held, root?.deviceId], ['/w', 0, true, laptop.who.deviceId]);
  });

  test(`an index that is an older copy of itself, or one of two, makes what it reported void, on ${name}`, async (t) => {
    const store = await open(t);
    await done(store.metadata, alice, [put('/w/f', one)], [one]);
    const laptop = new Disk(store, alice, 'laptop', '/w');
    const { state, who } = laptop;
    const has = async (): Promise<boolean> => (await devicesWith(store, '/w/f'))?.length === 1;
    const show = (counter: number, reported?: string): Promise<boolean> =>
      store.syncStates.advance(alice.userId, { state, counter, reported });
    assert.ok(await show(1));
    assert.ok((await laptop.report()) && (await has()));
    assert.ok((await show(2, laptop.mark)) && (await has()), 'it goes on with what it said last');
    assert.ok(await show(3, hex('of before')));
    assert.equal(await has(), false, 'it came from a backup');
    const report = await laptop.fetch();
    assert.ok(report);
    assert.equal(await store.syncReports.take(who, { ...report, counter: 2 }), false, 'another copy has counted further');
    assert.equal(await has(), false);
    assert.ok((await store.syncReports.take(who, { ...report, counter: 3 })) && (await has()));
    assert.equal(await show(3, laptop.mark), false);
    assert.equal(await has(), false, 'there are two of it');
    assert.ok((await store.syncReports.take(who, { ...report, counter: 9 })) && (await has()));
    assert.ok(await show(10));
    assert.equal(await has(), false, 'an index that knows of no report');
    assert.equal((await store.syncReports.roots(alice)).length, 0);
  });

  test(`a report of another history, or too old, counts for nothing, and says so, on ${name}`, async (t) => {
    let nowMs = 1_700_000_000_000;
    const address = await addressFor(t);
    const store = await openServerStore(address, { now: () => nowMs });
    t.after(() => store.close());
    await done(store.metadata, alice, [put('/w/f', one)], [one]);
    const laptop = new Disk(store, alice, 'laptop', '/w');
    const report = await laptop.fetch();
    assert.ok(report);
    const inHistory = {
      ...report,
      cursor: Buffer.from(`0000${Buffer.from(report.cursor, 'base64url').toString().slice(4)}`).toString('base64url'),
    };
    for (const cursor of [inHistory.cursor, 'AAAA', '']) {
      assert.ok(await store.syncReports.take(laptop.who, { ...report, cursor }));
      assert.deepEqual(await devicesWith(store, '/w/f'), []);
      assert.deepEqual(
        (await store.syncReports.roots(alice)).map(({ behind }) => behind),
        [null],
      );
    }
    assert.ok(await laptop.report());
    nowMs += LIMITS.syncReportCountedMs - 1;
    assert.deepEqual(await devicesWith(store, '/w/f'), [laptop.who.deviceId]);
    nowMs += 1;
    assert.deepEqual([await devicesWith(store, '/w/f'), await store.syncReports.roots(alice)], [[], []]);
    // written to since it went back: other rows have the numbers of before
    assert.ok(await laptop.report());
    const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
    await database.write((trx) => trx.updateTable('commits').set({ at_ms: 5 }).execute());
    await database.close();
    assert.deepEqual(await devicesWith(store, '/w/f'), []);
  });

  test(`what a device is behind is what changed below its folder, wherever that lies, on ${name}`, async (t) => {
    const store = await open(t);
    await done(store.metadata, alice, [put('/w/f', one), put('/out/x', one), mkdir('/w/team/in')], [one]);
    await share(store.metadata, '/w/team', bob);
    const [laptop, phone] = [new Disk(store, alice, 'laptop', '/w'), new Disk(store, alice, 'phone', '/')];
    for (const device of [laptop, phone]) await device.report();
    const behind = async (): Promise<(number | null)[]> => {
      const roots = await store.syncReports.roots(alice);
      return [laptop, phone].map(({ state }) => roots.find((root) => root.state === state)?.behind ?? null);
    };
    assert.deepEqual(await behind(), [0, 0]);
    await done(store.metadata, alice, [put('/out/x', two), move('/out/x', '/out/y'), mkdir('/wide')], [two]);
    assert.deepEqual(await behind(), [0, 3]);
    await done(store.metadata, bob, [put('/team/in/f', one)], [one]);
    await done(store.metadata, alice, [move('/w/f', '/out/f')]);
    assert.deepEqual(await behind(), [2, 5]);
    await store.notices.tell(alice, { kind: 'quota', details: { used: 80, limit: 100, full: false, by: null } });
    assert.deepEqual(await behind(), [2, 5], 'a notice is nothing to carry out');
    await laptop.report();
    assert.deepEqual(await behind(), [0, 5]);
    await done(store.metadata, alice, [move('/w/team', '/team'), remove('/w')]);
    assert.deepEqual((await store.syncReports.roots(alice)).find(({ state }) => state === laptop.state)?.path, null);
  });

  test(`a device that keeps a file in two folders is one place, and of other people's devices nothing is told, on ${name}`, async (t) => {
    const store = await open(t);
    await done(store.metadata, alice, [put('/team/a/f', one)], [one]);
    await share(store.metadata, '/team', bob);
    const disks = [
      new Disk(store, alice, 'laptop', '/team'),
      new Disk(store, alice, 'laptop', '/team/a'),
      new Disk(store, bob, 'desk', '/team'),
    ];
    for (const disk of disks) assert.ok(await disk.report());
    assert.deepEqual(await devicesWith(store, '/team/a/f'), [hex('laptop')]);
    assert.deepEqual(await devicesWith(store, '/team/a/f', bob), [hex('desk')]);
    await store.metadata.leave(bob, '/team');
    await done(store.metadata, alice, [put('/team/a/g', one)]);
    assert.equal(await devicesWith(store, '/team/a/f', bob), null);
    await share(store.metadata, '/team', bob);
    assert.deepEqual(await devicesWith(store, '/team/a/f', bob), [], 'who is out may have given it up');
    assert.ok(await disks[2]?.report());
    assert.deepEqual(await devicesWith(store, '/team/a/f', bob), [hex('desk')]);
  });

  test(`of random histories no device is ever said to have what it has not, and of a fresh report all of it counts, on ${name}`, async (t) => {
    const seed = testSeed('reports of devices');
    t.diagnostic(`seed ${seed}`);
    const random = seededRandom(seed);
    const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
    const store = await open(t);
    const contents = Array.from({ length: 6 }, (_, i) => contentOf(`content ${i}`));
    const folders = ['', '/w', '/w/a', '/w/a/b', '/w/c', '/out', '/out/a', '/w/team', '/w/team/in', '/team', '/team/in'];
    const files = folders.flatMap((folder) => ['f', 'g'].map((file) => `${folder}/${file}`));
    await done(store.metadata, alice, [put('/w/a/b/f', contents[0] as Content), mkdir('/w/team/in'), mkdir('/out')], contents);
    await done(store.metadata, bob, [put('/own', contents[0] as Content)], contents);
    await share(store.metadata, '/w/team', bob);
    const disks = [alice, bob].flatMap((user) =>
      ['/', '/w', '/w/team', '/team'].map((root, i) => new Disk(store, user, `${user.userName} ${i}`, root)),
    );
    let claims = 0;

    async function check(fresh: Disk | null): Promise<void> {
      for (const user of [alice, bob]) {
        const entries = await store.metadata.stat(user, files);
        const places = await store.syncReports.places(user, files);
        for (const [i, place] of places.entries()) {
          const entry = entries[i];
          assert.equal(place === null, entry?.kind !== 'file');
          if (place === null || entry === null || entry === undefined || entry.digest === null) continue;
          const digest = Buffer.from(entry.digest).toString('hex');
          for (const disk of disks) {
            const isSaid = place.devices.some(({ deviceId }) => deviceId === disk.who.deviceId);
            const isThere: boolean = disk.who.userId === user.userId && disk.files.get(entry.nodeId) === digest;
            assert.ok(!isSaid || isThere, `${disk.state} is said to have ${files[i]} (seed ${seed})`);
            if (disk === fresh) assert.equal(isSaid, isThere, `${disk.state} has ${files[i]} (seed ${seed})`);
            if (isSaid) claims += 1;
          }
        }
      }
    }

    async function act(user: Principal): Promise<unknown> {
      const [path, to] = [pick(folders) || '/w', pick(folders) || '/out'];
      switch (Math.floor(random() * 10)) {
        case 8:
          return commit(store.metadata, user, [touch(path, Math.floor(random() * 1000))]);
        case 0:
        case 1:
        case 2:
          return commit(store.metadata, user, [put(pick(files), pick(contents))], contents);
        case 3:
          return commit(store.metadata, user, [move(path, `${to}/${pick(['a', 'b', 'c', 'in'])}`)]);
        case 4:
          return commit(store.metadata, user, [move(pick(files), pick(files))]);
        case 5:
          return commit(store.metadata, user, [copy(path, `${to}/${pick(['a', 'b', 'c'])}`)]);
        case 6:
          return commit(store.metadata, user, [remove(random() < 0.5 ? path : pick(files))]);
        case 7:
          return store.history.undelete(user, pick([...folders.slice(1), ...files]), null);
        default:
          return user === bob && random() < 0.5 ? store.metadata.leave(bob, '/team') : share(store.metadata, path, bob);
      }
    }

    for (let step = 0; step < 200; step += 1) {
      const disk = random() < 0.4 ? pick(disks) : null;
      if (disk === null) {
        await act(pick([alice, alice, bob])).catch((error: { code?: string }) => assert.ok(typeof error.code === 'string', String(error)));
        await check(null);
        continue;
      }
      const isPartial = random() < 0.4;
      if (await disk.report(() => isPartial && random() < 0.2)) await check(disk);
      else disk.files.clear();
    }
    assert.ok(claims > 100, `only ${claims} claims were checked`);
  });
}
