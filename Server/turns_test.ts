import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { uploadOf } from './testing/form.ts';
import { type Answer, openServer, type ServerFixture, type User } from './testing/server_fixture.ts';
import { createTurns } from './turns.ts';

let server: ServerFixture;
let alice: User;
before(async () => {
  server = await openServer();
  alice = await server.addUser('alice');
  for (const content of ['one\n', 'two\n']) assert.equal((await server.ask(alice, uploadOf('/f', content))).status, 200);
});
after(() => server[Symbol.asyncDispose]());

test('one user has so many turns, all together have so many, and each comes back however the work ends', async () => {
  const inTurn = createTurns({ most: 3, each: 2 });
  const ends: (() => void)[] = [];
  const begin = (user: string) => inTurn(user, () => new Promise<void>((resolve) => ends.push(resolve)));
  const running = [begin('a'), begin('a')];
  await assert.rejects(begin('a'), { code: 'too_many_requests' });
  running.push(begin('b'));
  await assert.rejects(begin('c'), { code: 'busy' });
  for (const end of ends.splice(0)) end();
  await Promise.all(running);
  for (let n = 0; n < 5; n += 1)
    await assert.rejects(
      inTurn('a', () => Promise.reject(new Error('broke'))),
      { message: 'broke' },
    );
  assert.equal(await inTurn('a', async () => 'done'), 'done');
});

test('of what looks at much a user gets so much at the same time, and as much again afterwards', async () => {
  const { versions } = (await server.ask(alice, { method: 'GET', url: `${ROUTES.versions}?path=/f` })).json();
  const since = new Date(0).toISOString();
  const post = (url: string, payload: object) => server.ask(alice, { method: 'POST', url, payload });
  const get = (url: string) => server.ask(alice, { method: 'GET', url });
  const { plan } = (await post(ROUTES.undo, { device: '2'.repeat(32), since })).json();
  const asks: Record<string, () => Promise<Answer>> = {
    statistics: () => get(ROUTES.statistics),
    usage: () => get(ROUTES.usage),
    diff: () => get(`${ROUTES.diff}?path=/f&from=${versions[1].version}`),
    'more of a plan': () => get(`${ROUTES.plans}?plan=${plan}`),
  };
  for (const [name, ask] of Object.entries(asks)) {
    const expected = (await ask()).status;
    const answers = await Promise.all(Array.from({ length: 4 * LIMITS.longRequestsPerUserMax }, ask));
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(refused.length > 0, name);
    assert.ok(answers.length - refused.length >= LIMITS.longRequestsPerUserMax, name);
    assert.equal((await ask()).status, expected, name);
  }
});
