import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ROUTES } from '../Models/routes.ts';
import { uploadOf } from './testing/form.ts';
import { type Answer, openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let administrator: User;
before(async () => {
  server = await openServer();
  [alice, administrator] = [await server.addUser('alice'), await server.addUser('administrator')];
});
after(() => server[Symbol.asyncDispose]());

const get = (user: User, url: string): Promise<Answer> => server.ask(user, { method: 'GET', url });
const set = (user: User, body: object): Promise<Answer> => server.ask(user, { method: 'POST', url: ROUTES.limits, payload: body });

test('an administrator sets limits, others cannot even see them', async () => {
  for (const answer of [await set(alice, { quota: 'none' }), await get(alice, ROUTES.limits)]) {
    assert.deepEqual([answer.status, answer.json().code], [403, 'forbidden']);
  }
  assert.deepEqual((await set(administrator, { user: 'ALICE', quota: 100, refused: ['exe'] })).json(), {
    quota: 100,
    fileSize: null,
    allowed: null,
    refused: ['exe'],
  });
  const admin = { by: 'administrator', deviceId: '2'.repeat(32), address: '127.0.0.1' };
  assert.deepEqual(server.audited, [
    ...['POST', 'GET'].map(() => ({
      what: 'forbidden',
      result: 'forbidden',
      userId: alice.id,
      userName: 'alice',
      deviceId: '2'.repeat(32),
      address: '127.0.0.1',
      detail: ROUTES.limits,
    })),
    { what: 'limits_changed', result: 'ok', userId: alice.id, userName: 'alice', ...admin, detail: '{"quota":100,"refused":["exe"]}' },
  ]);
  assert.deepEqual((await get(administrator, `${ROUTES.limits}?user=alice`)).json().quota, 100);
  assert.deepEqual((await get(administrator, ROUTES.limits)).json(), { quota: null, fileSize: null, allowed: null, refused: null });
  const ticket = await server.ticketFor(alice, { claims: { role: 'admin' } });
  assert.equal((await get({ ...alice, ticket }, ROUTES.limits)).status, 200, 'whose ticket says so');
});

test('an upload over the quota is refused with figures, and usage tells them', async () => {
  assert.equal((await server.ask(alice, uploadOf('/a', 'x'.repeat(60)))).status, 200);
  assert.equal((await server.ask(alice, uploadOf('/a', 'y'.repeat(70)))).status, 200);
  const refused = await server.ask(alice, uploadOf('/b', 'x'.repeat(50)));
  assert.deepEqual([refused.status, refused.json().code], [413, 'quota_exceeded']);
  assert.match(refused.json().detail, /needs 50 B, 30 B left of the 100 B of alice/);
  const kind = await server.ask(alice, uploadOf('/a.exe', 'x'));
  assert.deepEqual([kind.status, kind.json().code], [403, 'type_refused']);
  assert.deepEqual((await get(alice, ROUTES.usage)).json(), { quota: 100, live: 70, versions: 60, trash: 0, shared: 0 });
});

test('limits that make no sense are refused', async () => {
  const wrong = [
    {},
    { user: 'alice' },
    { quota: -1 },
    { quota: 1.5 },
    { quota: 'much' },
    { fileSize: '1G' },
    { allowed: 'exe' },
    { refused: ['.exe'] },
    { refused: ['EXE'] },
  ];
  for (const body of wrong) assert.equal((await set(administrator, body)).json().code, 'request_invalid', JSON.stringify(body));
  assert.equal((await set(administrator, { user: 'nobody', quota: 1 })).json().code, 'user_unknown');
});

test('who was invited with a quota has it from the first request on, until an administrator sets another', async () => {
  const invite = { digest: randomBytes(32), usesLeft: 2, expiresAtMs: 2, quotaBytes: 40, label: null, madeBy: 'root', madeAtMs: 1 };
  await server.accounts.addInviteCode(invite);
  const ksf = { memoryKiB: 8, iterations: 1, parallelism: 1 };
  const invited = async (name: string): Promise<User> => {
    const user = { id: randomBytes(16).toString('hex'), name, sessionId: randomBytes(16).toString('hex') };
    const account = { id: user.id, name, role: 'user' as const, disabled: false, record: randomBytes(192), ksf };
    await server.accounts.addInvited(account, { digest: invite.digest, atMs: 1 });
    await server.accounts.openSession({
      id: user.sessionId,
      userId: user.id,
      deviceId: '2'.repeat(32),
      deviceName: 'test',
      atMs: Date.now(),
    });
    return { ...user, ticket: await server.ticketFor(user) };
  };
  const [erin, frank] = [await invited('erin'), await invited('frank')];
  const tooMuch = await server.ask(erin, uploadOf('/a', 'x'.repeat(41)));
  assert.deepEqual([tooMuch.status, tooMuch.json().code], [413, 'quota_exceeded']);
  assert.equal((await server.ask(erin, uploadOf('/a', 'x'.repeat(40)))).status, 200);
  assert.equal((await set(administrator, { user: 'erin', quota: 'none' })).status, 200);
  assert.equal((await get(erin, ROUTES.usage)).json().quota, null);

  assert.equal((await set(administrator, { user: 'frank', quota: 70 })).status, 200); // before frank has been here
  assert.equal((await get(frank, ROUTES.usage)).json().quota, 70);
});
