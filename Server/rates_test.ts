import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { uploadOf } from './testing/form.ts';
import { type Answer, openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let bob: User;
let nowMs = 0;
before(async () => {
  server = await openServer({ monotonicMs: () => nowMs });
  [alice, bob] = [await server.addUser('alice'), await server.addUser('bob')];
  await server.addUser('carol');
  assert.equal((await post(alice, ROUTES.folders, { path: '/team' })).status, 200);
});
after(() => server[Symbol.asyncDispose]());

const post = (user: User, url: string, payload: object): Promise<Answer> => server.ask(user, { method: 'POST', url, payload });
const codes = (answers: readonly Answer[]): (string | number)[] => [
  ...new Set(answers.map((answer) => (answer.status < 300 ? 'ok' : answer.json().code))),
];

test('inviting one user, taking it back and inviting again goes on for so long, and then at its pace', async () => {
  const invite = (user: string): Promise<Answer> => post(alice, ROUTES.invitations, { path: '/team', user });
  const answers: Answer[] = [];
  for (let n = 0; n < LIMITS.invitesPerUserMax; n += 1) {
    const answer = await invite('bob');
    answers.push(answer);
    await post(alice, `${ROUTES.invitations}/${answer.json().id}/decline`, {});
  }
  assert.deepEqual(codes(answers), ['ok']);
  assert.deepEqual(codes([await invite('bob')]), ['too_many_requests']);
  assert.deepEqual(codes([await invite('carol')]), ['ok'], 'another user');
  nowMs += LIMITS.inviteRestoreMs;
  assert.deepEqual(codes([await invite('bob')]), ['ok']);
});

test('asking for users that are not there to be invited ends too', async () => {
  const guesses: Answer[] = [];
  for (let n = 0; n <= LIMITS.invitesMax; n += 1) guesses.push(await post(bob, ROUTES.invitations, { path: '/', user: `user-${n}` }));
  assert.deepEqual(codes(guesses), ['user_unknown', 'too_many_requests']);
  assert.equal(guesses.at(-2)?.status, 404);
});

test('making a link and revoking it goes on for so long, and then at its pace; what is made can be revoked at any time', async () => {
  await post(bob, ROUTES.folders, { path: '/own' });
  const make = (): Promise<Answer> => post(bob, ROUTES.links, { path: '/own' });
  const revoke = (made: Answer): Promise<Answer> => server.ask(bob, { method: 'DELETE', url: `${ROUTES.links}/${made.json().id}` });
  const last = await make();
  for (let n = 1; n < LIMITS.linksMadeMax; n += 1) assert.deepEqual(codes([await revoke(await make())]), ['ok']);
  assert.deepEqual(codes([await make()]), ['too_many_requests']);
  assert.deepEqual(codes([await revoke(last)]), ['ok']);
  assert.deepEqual(codes([await make()]), ['too_many_requests']);
  nowMs += LIMITS.linkRestoreMs;
  assert.deepEqual(codes([await make()]), ['ok']);
});

test('files are announced so often, and what is gone has a path like what is there', async () => {
  const { id } = (await post(alice, ROUTES.publications, { name: 'set', audience: { kind: 'everyone' } })).json();
  const announce = (gone: string[]): Promise<Answer> => post(alice, `${ROUTES.publications}/${id}/files`, { files: [], gone });
  for (const path of ['/absolute', '../up', 'a/../b', 'a//b', '.', 'a\u0000b', '\u001b[2J']) {
    const answer = await announce([path]);
    assert.equal(answer.status, 400, path);
    nowMs += LIMITS.announceRestoreMs;
  }
  const answers: Answer[] = [];
  for (let n = 0; n <= LIMITS.announcesMax; n += 1) answers.push(await announce(['gone']));
  assert.deepEqual(codes(answers), ['ok', 'too_many_requests']);
  assert.equal(answers.at(-2)?.status, 204);
  nowMs += LIMITS.announceRestoreMs;
  assert.deepEqual(codes([await announce([])]), ['ok']);
});

test('one visitor of links has so many places for uploads and zips, and so many requests; another one has their own', async () => {
  await server.ask(alice, uploadOf('/shown/a.txt', 'x'));
  const { token } = (await post(alice, ROUTES.links, { path: '/shown', mode: 'both' })).json();
  const visit = (from: string, path: string, method: 'GET' | 'PUT' | 'HEAD' = 'GET'): Promise<Answer> =>
    server.ask(null, { method, url: `/l/${token}${path}`, remoteAddress: from, ...(method === 'PUT' && { payload: 'x' }) });
  const all = (most: number, one: () => Promise<Answer>): Promise<Answer[]> => Promise.all(Array.from({ length: most + 1 }, one));
  const statuses = (answers: readonly Answer[]): number[] => answers.map(({ status }) => status).toSorted();

  const uploads = all(LIMITS.linkUploadsPerVisitorMax, () => visit('192.0.2.1', '/up', 'PUT'));
  assert.equal((await visit('192.0.2.2', '/up', 'PUT')).status, 201);
  assert.deepEqual(statuses(await uploads), [...Array(LIMITS.linkUploadsPerVisitorMax).fill(201), 429]);
  const zips = all(LIMITS.zipsPerVisitorMax, () => visit('192.0.2.1', '?as=zip'));
  assert.equal((await visit('192.0.2.2', '?as=zip')).status, 200);
  assert.deepEqual(statuses(await zips), [...Array(LIMITS.zipsPerVisitorMax).fill(200), 429]);

  nowMs += LIMITS.linkVisitsMax * LIMITS.linkVisitRestoreMs;
  const views = await all(LIMITS.linkVisitsMax, () => visit('192.0.2.1', '', 'HEAD'));
  assert.deepEqual([...new Set(statuses(views))], [200, 429]);
  assert.equal(views.filter(({ status }) => status === 429).length, 1);
  assert.equal((await visit('192.0.2.2', '')).status, 200);
  nowMs += LIMITS.linkVisitRestoreMs;
  assert.equal((await visit('192.0.2.1', '')).status, 200);
});
