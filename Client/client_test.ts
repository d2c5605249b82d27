import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, it } from 'node:test';
import { connect, type Driftless, resume } from './client.ts';

type Seen = { method: string; path: string; query: Record<string, string>; range: string | undefined; body: unknown };
type Answer = { status?: number; json?: unknown; bytes?: string };

let seen: Seen[] = [];
let answer: (request: Seen) => Answer;
const server = http.createServer((request, response) => {
  respond(request, response).catch(assert.fail);
});

async function respond(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '', 'http://server');
  const body = await text(request);
  const { range } = request.headers;
  seen.push({
    method: request.method ?? '',
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    range,
    body: body === '' ? null : JSON.parse(body),
  });
  const { status = 200, json, bytes = json === undefined ? '' : JSON.stringify(json) } = answer(seen.at(-1) as Seen);
  response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' }).end(bytes);
}

const ID = 'ab'.repeat(16);
let home: string;
let me: Driftless;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'driftless-client-'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const login = {
    auth: '127.0.0.1:4810',
    user: { id: ID, name: 'alice' },
    deviceId: ID,
    sessionId: ID,
    renewalSecret: 'x',
    ticket: 'a.b.c',
    ticketExpiresAtMs: Date.now() + 600_000,
    clockOffsetMs: 0,
    serverUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    loggedInAtMs: 1,
  };
  await writeFile(join(home, 'profile.json'), JSON.stringify({ version: 1, deviceId: ID, daemons: {}, sessions: [login] }), {
    mode: 0o600,
  });
  me = await resume({ home });
});
after(async () => {
  await me.close();
  server.close();
  await rm(home, { recursive: true, force: true });
});
beforeEach(() => {
  seen = [];
});

function entry(path: string) {
  const file = { size: 1, mtime: '2026-11-20T15:20:31.123456Z', version: 1, digest: 'cd'.repeat(32), executable: false, target: null };
  return { path, kind: 'file', ...file, shared: null };
}
function change(cursor: string) {
  const what = { kind: 'put', path: '/a', from: null, version: 1, size: 1, digest: null };
  return { cursor, ...what, user: 'alice', device: ID, at: '2026-11-20T15:20:31Z' };
}
const INVITATION = {
  id: ID,
  folder: 'r',
  from: 'alice',
  to: 'bob',
  role: 'viewer',
  state: 'pending',
  message: null,
  createdAt: '2026-11-20T15:20:31Z',
  expiresAt: '2026-12-20T15:20:31Z',
  answeredAt: null,
};

describe('the library', () => {
  it('goes on with a session of the profile, of the user asked for, and sends nothing for it', async () => {
    assert.equal(me.username, 'alice');
    await (await connect({ username: 'alice', auth: '127.0.0.1:4810', home })).close();
    await assert.rejects(connect({ username: 'bob', auth: '127.0.0.1:4810', home }), { code: 'not_logged_in' });
    await assert.rejects(resume({ home: join(home, 'other') }), { code: 'not_logged_in' });
    assert.deepEqual(seen, []);
  });

  it('lists page after page, only as far as they are taken', async () => {
    const pages: Record<string, unknown> = {
      first: { entries: [entry('/r/a'), entry('/r/b')], next: 'second' },
      second: { entries: [], next: 'third' },
      third: { entries: [entry('/r/c')], next: null },
    };
    answer = ({ query }) => ({ json: pages[query.after ?? 'first'] });
    const paths: string[] = [];
    for await (const { path } of me.list('/r', { search: 'x', sort: 'size', order: 'desc' })) paths.push(path);
    assert.deepEqual(paths, ['/r/a', '/r/b', '/r/c']);
    assert.deepEqual(seen[1]?.query, { path: '/r', search: 'x', sort: 'size', order: 'desc', after: 'second' });
    seen = [];
    for await (const { path } of me.list()) if (path === '/r/b') break;
    assert.equal(seen.length, 1);
  });

  it('gives the changes behind a cursor until there are no more, also past an empty page', async () => {
    const pages: Record<string, unknown> = {
      '0': { changes: [change('1'), change('2')], cursor: '2', more: true },
      '2': { changes: [], cursor: '5', more: true },
      '5': { changes: [change('6')], cursor: '6', more: false },
    };
    answer = ({ query }) => ({ json: pages[query.after ?? ''] });
    const cursors = (await Array.fromAsync(me.changes({ after: '0' }))).map(({ cursor }) => cursor);
    assert.deepEqual(cursors, ['1', '2', '6']);
    assert.equal((await me.changesPage({ after: '5', limit: 3 })).cursor, '6');
    assert.deepEqual(seen.at(-1)?.query, { after: '5', limit: '3' });
  });

  it('reads content, and the part of it that is asked for', async () => {
    answer = () => ({ bytes: 'content' });
    for (const range of [undefined, { start: 2 }, { start: 2, end: 5 }, { end: 1 }])
      assert.equal(await text(await me.read('/f', range)), 'content');
    assert.deepEqual(
      seen.map(({ range }) => range),
      [undefined, 'bytes=2-', 'bytes=2-4', 'bytes=0-0'],
    );
    for (const range of [{ start: 5, end: 5 }, { start: -1 }, { start: 0.5 }, { end: Number.NaN }]) {
      await assert.rejects(me.read('/f', range), { code: 'range_invalid' });
    }
    assert.equal((await me.preview('/f')).toString(), 'content');
  });

  it('asks for each change of the tree and of who shares it as the routes have it', async () => {
    const written = { path: '/b', version: 3, unchanged: false };
    const member = { user: 'bob', displayName: null, role: 'viewer', state: 'member', inherited: false };
    answer = ({ method, path }) => {
      if (path === '/v1/invitations') return { json: INVITATION };
      if (path.endsWith('/decline') || path === '/v1/leave') return { status: 204 };
      if (path === '/v1/members' && method === 'DELETE') return { status: 204 };
      if (path === '/v1/members') return { json: method === 'POST' ? member : { members: [member] } };
      return { json: written };
    };
    assert.deepEqual(await me.createFolder('/b'), written);
    assert.deepEqual(await me.move('/a', '/b'), written);
    assert.deepEqual(await me.copy('/a', '/b'), written);
    assert.equal(await me.delete('/a'), undefined);
    assert.deepEqual(await me.invite('/r', 'bob', { role: 'editor', message: 'hi' }), INVITATION);
    await me.invite('/r', 'bob', { lifetimeS: 60 });
    assert.deepEqual(await me.accept(ID), { path: '/b' });
    await me.accept(ID, { at: '/x/r' });
    await me.decline(ID);
    await me.leave('/r');
    assert.deepEqual(await me.members('/r'), [member]);
    assert.deepEqual(await me.setRole('/r', 'bob', 'viewer'), member);
    await me.uninvite('/r', 'bob');
    assert.deepEqual(
      seen.map(({ method, path, query, body }) => [method, path, body ?? query]),
      [
        ['POST', '/v1/folders', { path: '/b' }],
        ['POST', '/v1/move', { from: '/a', to: '/b' }],
        ['POST', '/v1/copy', { from: '/a', to: '/b' }],
        ['DELETE', '/v1/entry', { path: '/a' }],
        ['POST', '/v1/invitations', { path: '/r', user: 'bob', role: 'editor', message: 'hi' }],
        ['POST', '/v1/invitations', { path: '/r', user: 'bob', role: 'viewer', lifetimeS: 60 }],
        ['POST', `/v1/invitations/${ID}/accept`, {}],
        ['POST', `/v1/invitations/${ID}/accept`, { at: '/x/r' }],
        ['POST', `/v1/invitations/${ID}/decline`, {}],
        ['POST', '/v1/leave', { path: '/r' }],
        ['GET', '/v1/members', { path: '/r' }],
        ['POST', '/v1/members', { path: '/r', user: 'bob', role: 'viewer' }],
        ['DELETE', '/v1/members', { path: '/r', user: 'bob' }],
      ],
    );
  });

  it('throws the code that the server answered', async () => {
    answer = () => ({ status: 404, json: { type: 'about:blank', title: 'x', status: 404, code: 'not_found' } });
    await assert.rejects(me.entry('/r'), { name: 'AppError', code: 'not_found' });
    await assert.rejects(Array.fromAsync(me.list('/r')), { code: 'not_found' });
    await assert.rejects(me.read('/r'), { code: 'not_found' });
  });

  it('is closed at the end of its block', async () => {
    let outside: Driftless;
    {
      await using inside = await resume({ home });
      outside = inside;
    }
    await assert.rejects(outside.whoami(), { code: 'cancelled' });
  });
});
