import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
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
const rootsOf = async (user: User): Promise<{ state: string }[]> =>
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
  const [root] = await rootsOf(alice);
  assert.deepEqual(root, {
    ...{ device: '2'.repeat(32), name: 'test', current: true, remote: '/w', state: 'offline' },
    ...{ behind: 0, waiting: 0, problems: 0, held: false, reportedAt, seenAt: reportedAt },
  });
  assert.deepEqual(await rootsOf(bob), []);
  assert.deepEqual((await post(alice, ROUTES.syncReports, { ...(await report(alice)), counter: 0 })).json(), { accepted: false });
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
