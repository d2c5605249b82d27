import assert from 'node:assert/strict';
import { hash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { fetchOf, openFolder, openRemoteClient, type RemoteClient, uploadOf } from '../Client/testing/remote_client.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { openServer, type ServerFixture, type User } from '../Server/testing/server_fixture.ts';
import { type CuttingProxy, openProxy } from './cutting_proxy.ts';

type PushItems = Parameters<RemoteClient['push']>[0];
type PushOutcome = Parameters<Parameters<RemoteClient['push']>[1]>[1];
type FetchItems = Parameters<RemoteClient['fetch']>[0];
type FetchOutcome = Parameters<Parameters<RemoteClient['fetch']>[1]>[1];

let server: ServerFixture;
let port: number;

before(async () => {
  server = await openServer();
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  port = (server.app.server.address() as AddressInfo).port;
});

after(() => server[Symbol.asyncDispose]());

type Place = {
  readonly user: User;
  readonly root: number; // node of the remote folder
  readonly folder: string;
  readonly disk: ReturnType<typeof openFolder>;
  readonly remote: RemoteClient;
  readonly proxy: CuttingProxy;
};

let users = 0;

/** A user with an empty remote folder, a local one, and a connection that may be cut. */
async function openPlace(t: TestContext, nextCut?: () => number): Promise<Place> {
  users += 1;
  const user = await server.addUser(`user${users}`);
  const made = await server.ask(user, { method: 'POST', url: '/v1/folders', payload: { path: '/work' } });
  assert.equal(made.status, 200);
  const principal = { userId: user.id, userName: user.name, deviceId: '2'.repeat(32) };
  const [entry] = await server.metadata.stat(principal, ['/work']);
  assert.ok(entry);
  const folder = await mkdtemp(join(tmpdir(), 'driftless-remote-'));
  const proxy = await openProxy(port, nextCut);
  const remote = openRemoteClient(proxy.url, user.ticket);
  const disk = openFolder(folder);
  t.after(async () => {
    await remote.close();
    await proxy[Symbol.asyncDispose]();
    disk.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { user, root: entry.nodeId, folder, disk, remote, proxy };
}

/** Each answered once. */
async function push(remote: RemoteClient, items: PushItems): Promise<Map<number, PushOutcome>> {
  const outcomes = new Map<number, PushOutcome>();
  await remote.push(items, (key, outcome) => {
    assert.ok(!outcomes.has(key), `item ${key} is answered twice`);
    outcomes.set(key, outcome);
  });
  return outcomes;
}

async function fetchAll(remote: RemoteClient, items: FetchItems): Promise<Map<number, FetchOutcome>> {
  const outcomes = new Map<number, FetchOutcome>();
  await remote.fetch(items, (key, outcome) => {
    assert.ok(!outcomes.has(key), `item ${key} is told of twice`);
    if ('file' in outcome) outcome.file.close();
    outcomes.set(key, outcome);
  });
  return outcomes;
}

function wordOf(outcome: PushOutcome | undefined): string {
  return outcome === undefined ? 'nothing' : outcome.result.status === 'refused' ? outcome.result.code : outcome.result.status;
}

/** What the server has now, for a fetch. */
function nodeOf(outcome: PushOutcome | undefined) {
  assert.ok(outcome !== undefined && outcome.result.status !== 'refused' && outcome.snapshot !== null, wordOf(outcome));
  const { digest, size, chunkCount } = outcome.snapshot;
  return { nodeId: outcome.result.nodeId, version: outcome.result.version, digest, size, chunkCount };
}

const sumOf = (bytes: Uint8Array): string => hash('sha256', bytes);

test('folders, short, empty and long files and links go up in one push, and come down the same', async (t) => {
  const { root, folder, disk, remote } = await openPlace(t);
  const contents = [Buffer.from('short'), Buffer.alloc(0), randomBytes(3_000_000), randomBytes(512 * 1024), randomBytes(512 * 1024 + 1)];
  for (const [i, content] of contents.entries()) await writeFile(join(folder, `${i}`), content);
  const outcomes = await push(remote, [
    { key: 100, operation: { kind: 'mkdir', path: `@${root}/deep/er`, existingOk: true, mode: 0o750, mtimeUs: 5_000_000 } },
    ...contents.map((_, i) => ({ key: i, upload: uploadOf(disk, `${i}`, `@${root}/deep/er/${i}`) })),
    { key: 101, operation: { kind: 'symlink', path: `@${root}/link`, target: 'deep/er/0', mtimeUs: 1, base: 'absent' } },
    { key: 102, operation: { kind: 'delete', path: `@${root}/nothing`, base: 'any', onlyEmpty: true } },
  ]);
  assert.deepEqual([...outcomes.keys()], [100, 0, 1, 2, 3, 4, 101, 102]);
  assert.deepEqual([...outcomes.values()].map(wordOf), [...Array.from({ length: 7 }, () => 'done'), 'not_found']);
  const items = contents.map((_, i) => fetchOf(disk, `${i} again`, i, nodeOf(outcomes.get(i))));
  await fetchAll(remote, items);
  for (const [i, content] of contents.entries()) assert.equal(sumOf(await readFile(join(folder, `${i} again`))), sumOf(content));
});

test('a file that is not as it was looked at is refused, and the others are not held up', async (t) => {
  const { root, folder, disk, remote } = await openPlace(t);
  for (const name of ['before', 'during', 'gone', 'long', 'fine'])
    await writeFile(join(folder, name), name === 'long' ? randomBytes(900_000) : name);
  const items = ['before', 'during', 'gone', 'long', 'fine'].map((name, key) => ({
    key,
    upload: uploadOf(disk, name, `@${root}/${name}`),
  }));
  await writeFile(join(folder, 'before'), 'other content');
  await rm(join(folder, 'gone'));
  const during = items[1]?.upload;
  assert.ok(during);
  const changing = { ...during, open: () => changedWhileRead(during.open()) };
  const outcomes = await push(
    remote,
    items.map(({ key, upload }) => ({ key, upload: key === 1 ? changing : upload })),
  );
  assert.deepEqual(
    items.map(({ key }) => wordOf(outcomes.get(key))),
    ['file_changed', 'file_changed', 'file_changed', 'done', 'done'],
  );
});

function changedWhileRead<T extends { stat(): { mtimeMs: number } }>(file: T): T {
  let looks = 0;
  return new Proxy(file, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name === 'stat')
        return () => {
          looks += 1;
          const stat = target.stat();
          return looks === 1 ? stat : { ...stat, mtimeMs: stat.mtimeMs + 1 };
        };
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('content that the server should have is not sent, and is sent when it has it not after all', async (t) => {
  const { root, folder, disk, remote, proxy } = await openPlace(t);
  const content = randomBytes(300_000);
  await writeFile(join(folder, 'a'), content);
  const known = (): boolean => true;
  const first = await push(remote, [{ key: 1, upload: uploadOf(disk, 'a', `@${root}/a`, { known }) }]);
  assert.equal(wordOf(first.get(1)), 'done');
  assert.ok(proxy.up > content.length);
  proxy.reset();
  const second = await push(remote, [{ key: 1, upload: uploadOf(disk, 'a', `@${root}/b`, { known }) }]);
  assert.equal(wordOf(second.get(1)), 'done');
  assert.ok(proxy.up < 4096, `${proxy.up} bytes`);
});

test('a byte put in at the head of a long file costs less than 4 KiB in each direction, up and down', async (t) => {
  const { user, root, folder, disk, remote, proxy } = await openPlace(t);
  const other = openRemoteClient(proxy.url, user.ticket);
  t.after(() => other.close());
  const content = randomBytes(64 << 20);
  await writeFile(join(folder, 'big'), content);
  const first = nodeOf((await push(remote, [{ key: 1, upload: uploadOf(disk, 'big', `@${root}/big`) }])).get(1));
  await fetchAll(other, [fetchOf(disk, 'copy', 1, first)]);
  await writeFile(join(folder, 'big'), Buffer.concat([Buffer.from('!'), content]));
  proxy.reset();
  const second = nodeOf(
    (await push(remote, [{ key: 1, upload: uploadOf(disk, 'big', `@${first.nodeId}`, { base: first.version, previous: first }) }])).get(1),
  );
  const sent = { up: proxy.up, down: proxy.down };
  proxy.reset();
  await fetchAll(other, [fetchOf(disk, 'new', 1, second, { name: 'copy', version: first.version })]);
  const fetched = { up: proxy.up, down: proxy.down };
  proxy.reset();
  other.remembered.clear();
  await fetchAll(other, [fetchOf(disk, 'newer', 1, second, { name: 'copy', version: first.version })]);
  t.diagnostic(`pushed: ${sent.up} up, ${sent.down} down; fetched: ${fetched.up} up, ${fetched.down} down`);
  for (const bytes of [sent.up, sent.down, fetched.up, fetched.down, proxy.up, proxy.down]) assert.ok(bytes <= 4096, `${bytes} bytes`);
  for (const name of ['new', 'newer']) assert.equal(sumOf(await readFile(join(folder, name))), sumOf(await readFile(join(folder, 'big'))));
});

/** Sizes that make files of every kind, more of the short ones. */
function randomSize(random: () => number): number {
  const kind = random();
  return kind < 0.1 ? 0 : kind < 0.8 ? Math.floor(random() * 60_000) : kind < 0.9 ? 400_000 : Math.floor(600_000 + random() * 6_000_000);
}

const IN_FLIGHT_BYTES = 4 << 20; // what client, system and server may hold of a stream that breaks

test('connections cut at random: everything goes up once and comes down once, and little is sent again', async (t) => {
  const seed = Number(process.env.SEED ?? 20_261_120);
  t.diagnostic(`SEED=${seed}`);
  const random = seededRandom(seed);
  let cutting = true;
  const nextCut = (): number => (cutting ? Math.floor(200_000 + random() * 8_000_000) : Number.POSITIVE_INFINITY);
  const { user, root, folder, disk, remote, proxy } = await openPlace(t, nextCut);
  const contents = Array.from({ length: 120 }, () => randomBytes(randomSize(random)));
  for (const [i, content] of contents.entries()) await writeFile(join(folder, `${i}`), content);
  const all = contents.reduce((sum, { length }) => sum + length, 0);
  const outcomes = await push(
    remote,
    contents.map((_, key) => ({ key, upload: uploadOf(disk, `${key}`, `@${root}/${key}`) })),
  );
  t.diagnostic(`${all} bytes of content; up: ${proxy.up}, ${proxy.cuts} cuts`);
  assert.ok(proxy.cuts >= 3, 'it was cut');
  assert.ok(proxy.up < all * 1.05 + (proxy.cuts + 1) * IN_FLIGHT_BYTES, `${proxy.up} bytes`);
  assert.deepEqual(
    contents.map((_, key) => wordOf(outcomes.get(key))),
    contents.map(() => 'done'),
  );
  const principal = { userId: user.id, userName: user.name, deviceId: '2'.repeat(32) };
  const { changes } = await server.metadata.changes(principal, { after: null, limit: 1000 });
  assert.equal(changes.filter(({ kind }) => kind === 'put').length, contents.length, 'each was put once');
  proxy.reset();
  const items = contents.map((_, key) => fetchOf(disk, `${key} again`, key, nodeOf(outcomes.get(key))));
  const fetched = await fetchAll(remote, items);
  t.diagnostic(`down: ${proxy.down}, ${proxy.cuts} cuts`);
  assert.ok(proxy.cuts >= 3, 'it was cut');
  assert.ok(proxy.down < all * 1.05 + (proxy.cuts + 1) * IN_FLIGHT_BYTES, `${proxy.down} bytes`);
  assert.equal(fetched.size, contents.length);
  for (const [i, content] of contents.entries())
    assert.equal(sumOf(await readFile(join(folder, `${i} again`))), sumOf(content), `file ${i}`);
  cutting = false;
});

test('whoever watches hears of a change, also after the connection was lost', async (t) => {
  const { user, root, remote, proxy } = await openPlace(t);
  const other = openRemoteClient(`http://127.0.0.1:${port}`, user.ticket);
  t.after(() => other.close());
  let hints = 0;
  let woken = (): void => undefined;
  const hint = (): Promise<void> =>
    new Promise((resolve) => {
      woken = resolve;
    });
  let heard = hint();
  remote.watch(() => {
    hints += 1;
    woken();
  });
  await heard;
  for (const name of ['a', 'b']) {
    heard = hint();
    await push(other, [{ key: 1, operation: { kind: 'mkdir', path: `@${root}/${name}`, existingOk: false, mode: null, mtimeUs: null } }]);
    await heard;
  }
  heard = hint();
  proxy.cut();
  await heard; // the new connection
  heard = hint();
  await push(other, [{ key: 1, operation: { kind: 'mkdir', path: `@${root}/c`, existingOk: false, mode: null, mtimeUs: null } }]);
  await heard;
  assert.ok(hints >= 5);
});

test('of its own push a device hears nothing, and its answer stands for the changes; of what others push it hears', async (t) => {
  const { user, root, remote } = await openPlace(t);
  const other = openRemoteClient(`http://127.0.0.1:${port}`, user.ticket);
  t.after(() => other.close());
  const hints = { own: 0, others: 0 };
  let woken = (): void => undefined;
  const until = async (enough: () => boolean): Promise<void> => {
    while (!enough()) {
      await new Promise<void>((resolve) => {
        woken = resolve;
      });
    }
  };
  for (const [who, client] of [['own', remote] as const, ['others', other] as const]) {
    client.watch(() => {
      hints[who] += 1;
      woken();
    });
  }
  await until(() => hints.own > 0 && hints.others > 0);
  const { cursor } = await remote.changes(`@${root}`, null, () => undefined);
  const make = (client: RemoteClient, name: string, from: string | null) => {
    const operation = { kind: 'mkdir', path: `@${root}/${name}`, existingOk: false, mode: null, mtimeUs: null } as const;
    return client.push([{ key: 1, operation }], () => undefined, from);
  };
  const connected = { ...hints };
  const past = await make(remote, 'mine', cursor);
  const told: unknown[] = [];
  await until(() => hints.others > connected.others);
  const end = await remote.changes(`@${root}`, past, (page) => told.push(page));
  assert.deepEqual([past, told], [end.cursor, []]);
  assert.equal(hints.own, connected.own);
  await make(other, 'theirs', null);
  await until(() => hints.own > connected.own);
  assert.equal(await make(remote, 'more', past), null, 'there is more behind it');
});

test('a long new file is told to the other devices of its user while it is sent, and to nobody else', async (t) => {
  const { user, root, folder, disk, remote } = await openPlace(t);
  const other = openRemoteClient(`http://127.0.0.1:${port}`, user.ticket);
  const stranger = openRemoteClient(`http://127.0.0.1:${port}`, (await server.addUser(`stranger${users}`)).ticket);
  t.after(() => Promise.all([other.close(), stranger.close()]));
  const told = Promise.withResolvers<{ id: string; path: string; size: number }>();
  const ready = Promise.withResolvers<void>();
  other.watch(ready.resolve, told.resolve);
  stranger.watch(
    () => undefined,
    () => assert.fail('a stranger is told'),
  );
  await ready.promise;
  const content = randomBytes(20_000_000);
  await writeFile(join(folder, 'long'), content);
  remote.limits.upBytesPerSecond = 20_000_000;
  let committed = false;
  const pushing = push(remote, [{ key: 1, upload: uploadOf(disk, 'long', `@${root}/long`) }]).finally(() => {
    committed = true;
  });
  const { id, path, size } = await told.promise;
  assert.deepEqual([path, size, committed], [`@${root}/long`, content.length, false]);
  await assert.rejects(Array.fromAsync(stranger.arriving(id, new AbortController().signal)), { code: 'not_found' });
  const pieces: Uint8Array[] = [];
  let early = 0; // chunks that came before the file was there
  for await (const chunk of other.arriving(id, new AbortController().signal)) {
    if (!committed) early += 1;
    pieces.push(...chunk.content.map((piece) => Buffer.from(piece)));
  }
  await pushing;
  assert.ok(early > 2, `${early} chunks`);
  assert.equal(sumOf(Buffer.concat(pieces)), sumOf(content));
  await assert.rejects(Array.fromAsync(other.arriving(id, new AbortController().signal)), { code: 'not_found' });
});

test('changes tell the whole folder first and then what is new, by paths and by nodes', async (t) => {
  const { root, folder, disk, remote } = await openPlace(t);
  await writeFile(join(folder, 'f'), 'content');
  const made = await push(remote, [
    { key: 1, operation: { kind: 'mkdir', path: `@${root}/sub`, existingOk: false, mode: 0o700, mtimeUs: 7 } },
    { key: 2, upload: uploadOf(disk, 'f', `@${root}/sub/f`) },
    { key: 3, operation: { kind: 'symlink', path: `@${root}/link`, target: 'sub/f', mtimeUs: 1, base: 'absent' } },
  ]);
  const read = async (from: string, cursor: string | null) => {
    const told = new Map<string, unknown>();
    const end = await remote.changes(from, cursor, ({ present, gone }) => {
      for (const { name, kind, parentId, mode, digest, target } of present)
        told.set(name, [kind, parentId === root, mode, digest?.toString('hex') ?? target]);
      for (const id of gone) told.set(`gone ${id}`, true);
    });
    return { told, end };
  };
  const file = nodeOf(made.get(2));
  const whole = await read('/work', null);
  assert.equal(whole.end.rootId, root);
  assert.deepEqual(whole.told.get('sub'), ['folder', true, 0o700, null]);
  assert.deepEqual((whole.told.get('f') as unknown[]).at(-1), file.digest.toString('hex'));
  assert.deepEqual((whole.told.get('link') as unknown[]).at(-1), 'sub/f');
  assert.deepEqual([...(await read(`@${root}`, whole.end.cursor)).told.keys()], []);
  await push(remote, [
    { key: 1, operation: { kind: 'move', from: `@${file.nodeId}`, to: `@${root}/g`, base: file.version } },
    { key: 2, operation: { kind: 'delete', path: `@${root}/link`, base: 'any', onlyEmpty: true } },
  ]);
  const news = await read(`@${root}`, whole.end.cursor);
  const told = [...news.told.keys()];
  assert.ok(told.includes('g') && told.some((name) => name.startsWith('gone')) && !told.includes('f'), told.join());
  await assert.rejects(read('/nowhere', null), { code: 'not_found' });
  await assert.rejects(read('/work', 'nonsense'), { code: 'cursor_invalid' });
});

test('a long file with nothing of its old content goes on where the connection broke, although each part could be a delta', async (t) => {
  let cutting = false;
  const { root, folder, disk, remote, proxy } = await openPlace(t, () => (cutting ? 7_000_000 : Number.POSITIVE_INFINITY));
  await writeFile(join(folder, 'f'), randomBytes(30_000_000));
  const first = nodeOf((await push(remote, [{ key: 1, upload: uploadOf(disk, 'f', `@${root}/f`) }])).get(1));
  const content = randomBytes(30_000_000);
  await writeFile(join(folder, 'f'), content);
  cutting = true;
  proxy.reset();
  const upload = uploadOf(disk, 'f', `@${first.nodeId}`, { base: first.version, previous: first });
  assert.equal(wordOf((await push(remote, [{ key: 1, upload }])).get(1)), 'done');
  t.diagnostic(`${proxy.up} bytes, ${proxy.cuts} cuts`);
  assert.ok(proxy.cuts >= 3);
  assert.ok(proxy.up < content.length * 1.05 + (proxy.cuts + 1) * IN_FLIGHT_BYTES, `${proxy.up} bytes`);
});
