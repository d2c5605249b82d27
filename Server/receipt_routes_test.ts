import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { listen } from './listen.ts';
import { EventClient } from './testing/event_client.ts';
import { uploadOf } from './testing/form.ts';
import { type Answer, openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let bob: User;
const STORES = 2;

before(async () => {
  server = await openServer({
    wrapChunks: (chunks) => ({
      copies: STORES,
      append: (all, durable) => chunks.append(all, durable),
      sync: () => chunks.sync(),
      read: (range, into) => chunks.read(range, into),
      close: () => chunks.close(),
    }),
  });
  [alice, bob] = [await server.addUser('alice'), await server.addUser('bob')];
});
after(() => server[Symbol.asyncDispose]());

const post = (user: User, url: string, payload: object): Promise<Answer> => server.ask(user, { method: 'POST', url, payload });
const placesOf = async (user: User, ...paths: string[]): Promise<unknown[]> => (await post(user, ROUTES.places, { paths })).json().places;
const rootsOf = async (user: User): Promise<{ state: string; waiting: number }[]> =>
  (await server.ask(user, { method: 'GET', url: ROUTES.syncStatus })).json().roots;

/** What a device that has all of /w would say now. */
async function report(user: User): Promise<object> {
  const who = { userId: user.id, userName: user.name, deviceId: '2'.repeat(32) };
  const [root] = await server.metadata.stat(who, ['/w']);
  const { cursor } = await server.metadata.changes(who, { after: null, limit: 1000 });
  const said = { missing: [], waiting: 0, problems: 0, held: false };
  return { state: 'a'.repeat(32), counter: 1, mark: 'b'.repeat(32), root: root?.nodeId, cursor, ...said };
}

test('a file is on the stores of the server and on the devices that say so, each under its name; to others there is no such file', async () => {
  const { version } = (await server.ask(alice, uploadOf('/w/f', 'one'))).json();
  const nowhere = { path: '/w/f', version, durable: STORES, stores: STORES, devices: [] };
  assert.deepEqual(await placesOf(alice, '/w/f', '/w', '/none'), [nowhere, null, null]);
  assert.deepEqual((await post(alice, ROUTES.syncReports, await report(alice))).json(), { accepted: true });
  const [there] = (await placesOf(alice, '/w/f')) as [{ devices: { reportedAt: string }[] }];
  const reportedAt = there.devices[0]?.reportedAt ?? '';
  assert.ok(Math.abs(Date.now() - Date.parse(reportedAt)) < 60_000);
  assert.deepEqual(there, { ...nowhere, durable: STORES + 1, devices: [{ device: '2'.repeat(32), name: 'test', reportedAt }] });
  assert.deepEqual(await placesOf(bob, '/w/f'), [null]);
  const [{ nodeId } = { nodeId: 0 }] = await server.metadata
    .stat({ userId: alice.id, userName: alice.name, deviceId: '' }, ['/w/f'])
    .then((found) => found.flatMap((entry) => entry ?? []));
  assert.deepEqual(await placesOf(alice, `@${nodeId}`, '@999999'), [there, null]);
  assert.deepEqual(await placesOf(bob, `@${nodeId}`), [null]);
  const [root] = await rootsOf(alice);
  assert.deepEqual(root, {
    ...{ device: '2'.repeat(32), name: 'test', current: true, remote: '/w', state: 'offline' },
    ...{ behind: 0, waiting: 0, problems: 0, held: false, reportedAt, seenAt: reportedAt },
  });
  assert.deepEqual(await rootsOf(bob), []);
  assert.deepEqual((await post(alice, ROUTES.syncReports, { ...(await report(alice)), counter: 0 })).json(), { accepted: false });
});

test('who follows events is told what a device of theirs has reported, of each of its folders and as sync-status tells it, and nobody else', async () => {
  const base = await listen(server.app, { host: '127.0.0.1', port: 0 });
  const dora = await server.addUser('dora');
  assert.equal((await server.ask(dora, uploadOf('/w/f', 'one'))).status, 200);
  using hers = new EventClient(base, dora.ticket, 'now');
  using bobs = new EventClient(base, bob.ticket, 'now');
  for (const client of [hers, bobs]) await client.until(({ type }) => type === 'connected');
  const said = await report(dora);
  const reports = [
    said,
    { ...said, state: 'c'.repeat(32), waiting: 3, held: true },
    { ...said, counter: 0 },
    { ...said, counter: 2, waiting: 7 },
  ];
  for (const one of reports) await post(dora, ROUTES.syncReports, one);
  const told = (await hers.until(({ waiting }) => waiting === 7)).filter(({ type }) => type === 'synced');
  assert.deepEqual(
    told.map(({ remote, state, waiting, behind }) => [remote, state, waiting, behind]),
    [
      ['/w', 'in_sync', 0, 0],
      ['/w', 'held', 3, 0],
      ['/w', 'working', 7, 0],
    ],
  );
  const together = [
    { ...said, counter: 3, waiting: 11 },
    { ...said, state: 'c'.repeat(32), counter: 2, waiting: 12 },
  ];
  await Promise.all(together.map((one) => post(dora, ROUTES.syncReports, one)));
  for (const { waiting: wanted } of together) await hers.until(({ waiting }) => waiting === wanted);
  const { type: _, ...last } = hers.messages.findLast(({ type }) => type === 'synced') ?? { type: '' };
  const root = (await rootsOf(dora)).find(({ waiting }) => waiting === last.waiting);
  assert.deepEqual({ ...last, current: true }, root);
  await post(bob, ROUTES.folders, { path: '/end' });
  assert.ok(!(await bobs.until(({ path }) => path === '/end')).some(({ type }) => type === 'synced'));
});

test('a device whose session has ended is no place', async () => {
  const carol = await server.addUser('carol');
  assert.equal((await server.ask(carol, uploadOf('/w/f', 'one'))).status, 200);
  await post(carol, ROUTES.syncReports, await report(carol));
  const durable = async (): Promise<unknown> => ((await placesOf(carol, '/w/f'))[0] as { durable: number }).durable;
  assert.equal(await durable(), STORES + 1);
  await server.accounts.endSession(carol.sessionId, Date.now()); // it is let in for a second more
  assert.equal(await durable(), STORES);
  assert.deepEqual(
    (await rootsOf(carol)).map(({ state }) => state),
    ['signed_out'],
  );
});

test('what is no report, and no list of paths, is refused', async () => {
  const good = await report(alice);
  const bad: object[] = [
    { state: 'A'.repeat(32) },
    { counter: -1 },
    { mark: '' },
    { root: 0 },
    { cursor: '' },
    { cursor: 'x'.repeat(8193) },
    { missing: [0] },
  ];
  bad.push(
    { missing: 'all' },
    { missing: Array.from({ length: LIMITS.syncReportMissingMax + 1 }, (_, i) => i + 1) },
    { waiting: 0.5 },
    { held: 'no' },
  );
  for (const part of bad)
    assert.equal((await post(alice, ROUTES.syncReports, { ...good, ...part })).json().code, 'request_invalid', JSON.stringify(part));
  for (const paths of [[], ['f'], 'f', [''], Array.from({ length: LIMITS.placesPathsMax + 1 }, () => '/f')])
    assert.equal((await post(alice, ROUTES.places, { paths })).json().code, 'request_invalid');
  assert.equal((await post(alice, ROUTES.places, { paths: ['/a/../b'] })).json().code, 'name_invalid');
});
