import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ROUTES } from '../Models/routes.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let bob: User;
before(async () => {
  server = await openServer();
  [alice, bob] = [await server.addUser('alice'), await server.addUser('bob')];
});
after(() => server[Symbol.asyncDispose]());

const state = 'a'.repeat(32);
const show = (user: User, body: object) => server.ask(user, { method: 'POST', url: ROUTES.syncStates, payload: body });

test('a sync index that counts on is accepted, an older copy is not, and another user has states of their own', async () => {
  assert.deepEqual((await show(alice, { state, counter: 3 })).json(), { accepted: true });
  assert.deepEqual((await show(alice, { state, counter: 3 })).json(), { accepted: false });
  assert.deepEqual((await show(alice, { state, counter: 2 })).json(), { accepted: false });
  assert.deepEqual((await show(alice, { state, counter: 4 })).json(), { accepted: true });
  assert.deepEqual((await show(bob, { state, counter: 1 })).json(), { accepted: true });
});

test('what is not a state or not a counter is refused', async () => {
  const bad = [{}, { state }, { state: 'A'.repeat(32), counter: 1 }, { state: 'a', counter: 1 }];
  for (const counter of [-1, 1.5, '9', null, 2 ** 53]) bad.push({ state, counter } as { state: string; counter: number });
  for (const body of bad) {
    const answer = await show(alice, body);
    assert.deepEqual([answer.status, answer.json().code], [400, 'request_invalid'], JSON.stringify(body));
  }
});
