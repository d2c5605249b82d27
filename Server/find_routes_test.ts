import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ROUTES } from '../Models/routes.ts';
import { uploadOf } from './testing/form.ts';
import { type Answer, openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let bob: User;
before(async () => {
  server = await openServer();
  [alice, bob] = [await server.addUser('alice'), await server.addUser('bob')];
  for (const path of ['/reports/Q3 final.pdf', '/reports/q3.txt', '/photos/beach.jpg']) {
    assert.equal((await server.ask(alice, uploadOf(path, 'x'.repeat(path.length)))).status, 200);
  }
});
after(() => server[Symbol.asyncDispose]());

const ask = (user: User, route: string, query: Record<string, string>): Promise<Answer> =>
  server.ask(user, { method: 'GET', url: `${route}?${new URLSearchParams(query)}` });
const paths = (answer: Answer): string[] => answer.json().entries.map((entry: { path: string }) => entry.path);

test('a search tells entries as a listing does, page by page', async () => {
  const first = await ask(alice, ROUTES.search, { text: 'q3', limit: '1' });
  assert.deepEqual([first.status, paths(first)], [200, ['/reports/q3.txt']]);
  const listed = await ask(alice, ROUTES.entry, { path: '/reports/q3.txt' });
  assert.deepEqual(first.json().entries[0], listed.json());
  const second = await ask(alice, ROUTES.search, { text: 'q3', limit: '1', after: first.json().next });
  assert.deepEqual([paths(second), second.json().next], [['/reports/Q3 final.pdf'], null]);
  assert.deepEqual(paths(await ask(alice, ROUTES.search, { text: 'Q3', larger: '15' })), ['/reports/Q3 final.pdf']);
  assert.deepEqual(paths(await ask(alice, ROUTES.search, { text: 'e', kind: 'image' })), ['/photos/beach.jpg']);
  assert.deepEqual(paths(await ask(alice, ROUTES.search, { text: 'e', kind: 'image', since: '2100-01-01T00:00:00Z' })), []);
  assert.deepEqual(paths(await ask(bob, ROUTES.search, { text: 'q3' })), []);
});

test('a folder is counted, and one that is not there is not found', async () => {
  const { changesSince, days, ...counted } = (await ask(alice, ROUTES.statistics, { path: '/reports' })).json();
  assert.ok(Date.parse(changesSince) < Date.now() && days.length > 0);
  assert.deepEqual(counted, {
    path: '/reports',
    files: 2,
    folders: 0,
    symlinks: 0,
    bytes: 21 + 15,
    kinds: [{ kind: 'document', files: 2, bytes: 36 }],
    busiest: [{ path: '/reports', changes: 2 }],
  });
  assert.equal((await ask(bob, ROUTES.statistics, { path: '/reports' })).json().code, 'not_found');
  assert.equal((await ask(bob, ROUTES.statistics, {})).json().files, 0);
});

test('what cannot be searched for is refused with its code', async () => {
  const refused: [Record<string, string>, string][] = [
    [{}, 'request_invalid'],
    [{ text: '' }, 'request_invalid'],
    [{ text: 'x'.repeat(256) }, 'request_invalid'],
    [{ text: 'x', kind: 'secret' }, 'request_invalid'],
    [{ text: 'x', since: 'yesterday' }, 'request_invalid'],
    [{ text: 'x', larger: '-1' }, 'request_invalid'],
    [{ text: 'x', limit: '0' }, 'request_invalid'],
    [{ text: 'x', after: 'elsewhere' }, 'cursor_invalid'],
    [{ text: 'x', after: '99999999999999999' }, 'cursor_invalid'],
  ];
  for (const [query, code] of refused) {
    const answer = await ask(alice, ROUTES.search, query);
    assert.equal(answer.json().code, code, JSON.stringify(query));
  }
});

test('text that no name holds finds nothing, whatever it is made of', async () => {
  for (const text of [
    '\0',
    'a\0b',
    'q3\0',
    'ab"cd',
    '"" OR key:*',
    'q3*',
    '\u{f0000}\u{f0000}\u{f0001}',
    '%',
    '_',
    '\\',
    "'; --",
    '\ud800x',
  ]) {
    const answer = await ask(alice, ROUTES.search, { text });
    assert.deepEqual([answer.status, paths(answer)], [200, []], JSON.stringify(text));
  }
});
