import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { ROUTES } from '../Models/routes.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { uploadOf } from './testing/form.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
before(async () => {
  server = await openServer();
  alice = await server.addUser('alice');
});
after(() => server[Symbol.asyncDispose]());

const RUNS = { numRuns: 150 };
const seed = testSeed('mutated requests');
console.log(`seed ${seed}`);

/** Ways to damage bytes: one changed, a stretch taken out, a stretch repeated. */
const damage = fc.record({
  kind: fc.constantFrom('change', 'remove', 'repeat'),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  by: fc.nat(255),
});

function damaged(bytes: Buffer, { kind, at, by }: { kind: string; at: number; by: number }): Buffer {
  const from = Math.min(Math.floor(at * bytes.length), bytes.length - 1);
  const to = Math.min(from + 1 + by, bytes.length);
  if (kind === 'change') {
    const copy = Buffer.from(bytes);
    copy[from] = by;
    return copy;
  }
  const stretch = kind === 'remove' ? [] : [bytes.subarray(from, to), bytes.subarray(from, to)];
  return Buffer.concat([bytes.subarray(0, from), ...stretch, bytes.subarray(to)]);
}

test('no damage to a form makes the server fail, and what it takes it holds as it came', async () => {
  const whole = uploadOf('/fuzz.txt', 'content '.repeat(20), { mtime: '2024-01-01T00:00:00Z', base: 'any' });
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), async (damages) => {
      const answer = await server.ask(alice, { ...whole, payload: damages.reduce(damaged, whole.payload) });
      assert.ok(answer.status < 500, answer.bytes.toString());
      if (answer.status !== 200) return;
      const { path, size } = answer.json();
      const down = await server.ask(alice, { method: 'GET', url: `${ROUTES.files}?${new URLSearchParams({ path })}` });
      assert.deepEqual([down.status, down.bytes.length], [200, size]);
    }),
    { ...RUNS, seed },
  );
});

test('no JSON body, query or header makes the server fail', async () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.jsonValue().map((value) => JSON.stringify(value)),
  );
  const posts = server.app.routeTable.filter((route) => route.method === 'POST' && !route.public);
  const gets = server.app.routeTable.filter((route) => ['GET', 'HEAD', 'DELETE'].includes(route.method) && !route.public);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...posts), fc.constantFrom('path', 'from', 'user', 'id'), anything, async ({ url }, field, value) => {
      const bodies = [value, JSON.stringify({ path: '/a', from: '/a', to: '/b', user: 'bob', [field]: value })];
      for (const payload of bodies) {
        const answer = await server.ask(alice, { method: 'POST', url, headers: { 'content-type': 'application/json' }, payload });
        assert.ok(answer.status < 500, `${url} ${answer.bytes}`);
      }
    }),
    { ...RUNS, seed },
  );
  const field = fc.constantFrom('path', 'after', 'limit', 'search', 'sort', 'base');
  const header = fc.constantFrom('range', 'if-range', 'if-match', 'if-none-match', 'idempotency-key');
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...gets),
      field,
      header,
      fc.string({ unit: 'grapheme' }),
      async ({ method, url }, name, headerName, value) => {
        const query = new URLSearchParams({ path: '/fuzz.txt', [name]: value });
        const headers = { [headerName]: encodeURIComponent(value) };
        const answer = await server.ask(alice, { method: method as 'GET', url: `${url}?${query}`, headers });
        assert.ok(answer.status < 500, `${method} ${url}?${query} ${answer.bytes}`);
      },
    ),
    { ...RUNS, seed },
  );
});
