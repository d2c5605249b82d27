import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { FastifyRequest, InjectOptions } from 'fastify';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { LINK_PREFIX } from '../../Models/links.ts';
import { ROUTES } from '../../Models/routes.ts';
import { formOf, uploadOf } from '../testing/form.ts';
import { type Answer, openServer, type ServerFixture, type User } from '../testing/server_fixture.ts';
import { createVisits } from './visits.ts';

const PAGE = { accept: 'text/html,application/xhtml+xml' };
const JSON_LIST = { accept: 'application/json' };
const SMALL = 'the quick brown fox\n';
const LARGE = randomBytes(3_000_000);

let server: ServerFixture;
let alice: User;
let bob: User;
let clockMs = 0;
before(async () => {
  server = await openServer({ monotonicMs: () => clockMs });
  alice = await server.addUser('alice');
  bob = await server.addUser('bob');
  for (const [path, content] of [
    ['/work/a.txt', SMALL],
    ['/work/sub/large.bin', LARGE],
    ['/private/secret.txt', 'nobody'],
  ] as const) {
    assert.equal((await server.ask(alice, uploadOf(path, content))).status, 200);
  }
});
after(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  clockMs += 10 * 3_600_000; // limits of one test are none of the next
});

type Made = { id: string; token: string; url: string };

async function post(user: User, route: string, body: unknown): Promise<Answer> {
  return server.ask(user, {
    method: 'POST',
    url: route,
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify(body),
  });
}

async function link(path: string, options: Record<string, unknown> = {}, user = alice): Promise<Made> {
  const answer = await post(user, ROUTES.links, { path, ...options });
  assert.equal(answer.status, 200, answer.bytes.toString());
  const { id, token } = answer.json();
  return { id, token, url: `${LINK_PREFIX}/${token}` };
}

function visit(url: string, options: Omit<InjectOptions, 'url'> = {}): Promise<Answer> {
  return server.ask(null, { method: 'GET', ...options, url });
}

async function names(url: string): Promise<string[]> {
  return (await visit(url, { headers: JSON_LIST })).json().entries.map((entry: { name: string }) => entry.name);
}

async function move(from: string, to: string, user = alice): Promise<void> {
  assert.equal((await post(user, ROUTES.move, { from, to })).status, 200);
}

async function deletePath(path: string): Promise<void> {
  const url = `${ROUTES.entry}?${new URLSearchParams({ path })}`;
  assert.equal((await server.ask(alice, { method: 'DELETE', url })).status, 200);
}

/** What differs from answer to answer is taken out. */
function constant({ status, headers, bytes }: Answer): unknown {
  const { date: _date, 'request-id': _id, ...others } = headers;
  return [status, others, bytes.toString().replace(/"requestId":"[^"]+"/, '')];
}

describe('a link to a file', () => {
  it('gives curl the content at its URL, with ranges and an ETag, and a browser a page', async () => {
    const { url } = await link('/work/a.txt');
    const whole = await visit(url, { headers: { accept: '*/*' } });
    assert.equal(whole.bytes.toString(), SMALL);
    assert.match(String(whole.headers['content-disposition']), /^attachment; filename="a.txt"/);
    assert.match(String(whole.headers['content-security-policy']), /sandbox/);
    const part = await visit(url, { headers: { range: 'bytes=4-8' } });
    assert.deepEqual([part.status, part.bytes.toString()], [206, 'quick']);
    const again = await visit(url, { headers: { 'if-none-match': String(whole.headers.etag) } });
    assert.equal(again.status, 304);
    const head = await visit(url, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers['content-length'], head.bytes.length], [200, String(SMALL.length), 0]);
    const page = await visit(url, { headers: PAGE });
    assert.match(String(page.headers['content-type']), /^text\/html/);
    assert.match(page.bytes.toString(), /<h1><bdi>a\.txt<\/bdi><\/h1>[\s\S]*the quick brown fox/);
    assert.equal((await visit(`${url}/more`)).status, 404);
  });
});

describe('a link to a folder', () => {
  it('lists it for browsers, programs and terminals, and gives what is in it and nothing beside it', async () => {
    const { url } = await link('/work');
    assert.deepEqual(await names(url), ['a.txt', 'sub']);
    assert.deepEqual(await names(`${url}/sub`), ['large.bin']);
    assert.match((await visit(url)).bytes.toString(), /^\d{4}-\d\d-\d\d \d\d:\d\d +20 {2}a\.txt\n.* sub\/\n$/);
    assert.match((await visit(`${url}/`, { headers: PAGE })).bytes.toString(), /href="\/l\/[\w-]+\/sub"/);
    assert.ok((await visit(`${url}/sub/large.bin`)).bytes.equals(LARGE));
  });

  it('follows the folder when it is moved, renamed or shared, and is over when it is deleted', async () => {
    await server.ask(alice, uploadOf('/moving/f/x.txt', 'x'));
    const { url } = await link('/moving/f');
    await move('/moving/f', '/elsewhere');
    await move('/elsewhere', '/elsewhere else');
    assert.deepEqual(await names(url), ['x.txt']);
    await post(alice, ROUTES.invitations, { path: '/elsewhere else', user: 'bob' });
    assert.deepEqual(await names(url), ['x.txt']);
    await deletePath('/elsewhere else');
    assert.equal((await visit(url)).status, 404);
  });
});

describe('a link that is over', () => {
  it('cannot be told from one that never was, in any form', async () => {
    await server.ask(alice, uploadOf('/over/gone/x', 'x'));
    const unknown = { url: `${LINK_PREFIX}/${randomBytes(16).toString('base64url')}` };
    const revoked = await link('/work');
    await server.ask(alice, { method: 'DELETE', url: `${ROUTES.links}/${revoked.id}` });
    const gone = await link('/over/gone', { password: 'hushhush' });
    await deletePath('/over/gone');
    const used = await link('/work/a.txt', { usesMax: 1 });
    assert.equal((await visit(used.url)).status, 200);
    for (const options of [
      {},
      { headers: PAGE },
      { headers: JSON_LIST },
      { method: 'HEAD' as const },
      { headers: { range: 'bytes=0-1' } },
    ]) {
      const expected = constant(await visit(unknown.url, options));
      for (const { url } of [revoked, gone]) assert.deepEqual(constant(await visit(url, options)), expected);
      if (!('range' in (options.headers ?? {}))) assert.deepEqual(constant(await visit(used.url, options)), expected);
    }
    for (const method of ['PUT', 'POST'] as const) {
      const of = ({ url }: { url: string }) => visit(`${url}/x`, { method, ...formOf([{ name: 'file', value: 'x', fileName: 'x' }]) });
      const expected = constant(await of(unknown));
      for (const one of [revoked, gone, used]) assert.deepEqual(constant(await of(one)), expected);
    }
  });

  it('because it was used up goes on only with what was begun, and shows nothing beside that', async () => {
    const unknown = `${LINK_PREFIX}/${randomBytes(16).toString('base64url')}`;
    const headers = { range: 'bytes=0-1' };
    const expected = constant(await visit(unknown, { headers }));
    for (const options of [{}, { mode: 'both' }, { mode: 'preview' }, { password: 'hushhush' }]) {
      const used = await link('/work', { ...options, usesMax: 1 });
      const given = 'password' in options ? { 'link-password': 'hushhush' } : {};
      assert.equal((await visit(`${used.url}/a.txt`, { headers: given })).status, 200);
      for (const path of [
        '',
        '/sub',
        '/a.txt?as=page',
        '/sub/large.bin',
        '/none',
        '/a.txt?as=preview',
        '?as=zip',
        '?as=json',
        '?as=file',
      ]) {
        for (const shown of [{}, given]) {
          const answer = await visit(`${used.url}${path}`, { headers: { ...headers, ...shown } });
          assert.deepEqual(constant(answer), expected, `${JSON.stringify(options)} ${path}`);
        }
        for (const more of [{ 'if-none-match': '*' }, { 'if-match': '"x"' }, { range: 'bytes=99999999-' }]) {
          const answer = await visit(`${used.url}${path}`, { headers: { ...headers, ...given, ...more } });
          assert.deepEqual(constant(answer), expected, `${JSON.stringify(options)} ${path} ${JSON.stringify(more)}`);
        }
      }
    }
  });

  it('ends with the account of its maker', async () => {
    const dave = await server.addUser('dave');
    await server.ask(dave, uploadOf('/x.txt', 'x'));
    const { url } = await link('/x.txt', {}, dave);
    assert.equal((await visit(url)).status, 200);
    await server.accounts.setDisabled(dave.id, true, Date.now());
    assert.equal((await visit(url)).status, 404);
  });
});

describe('guessing', () => {
  it('of ten thousand random tokens only the first few are looked up', async () => {
    let lookups = 0;
    const visits = createVisits({
      links: {
        ...server.links,
        async find() {
          lookups += 1;
          return null;
        },
      },
      accounts: server.accounts,
      linkPasswords: { matches: async () => true },
      audit: { record: () => undefined },
      monotonicMs: () => clockMs,
    });
    const codes = new Map<string, number>();
    for (let i = 0; i < 10_000; i += 1) {
      const url = `${LINK_PREFIX}/${randomBytes(16).toString('base64url')}`;
      const request = { ip: `2001:db8::${(i % 1000).toString(16)}`, method: 'GET', headers: {}, raw: { url } } as unknown as FastifyRequest;
      await assert.rejects(visits.enter(request), (error: unknown) => {
        assert.ok(error instanceof AppError);
        codes.set(error.code, (codes.get(error.code) ?? 0) + 1);
        return true;
      });
    }
    const refused = 10_000 - LIMITS.linkGuessesMax;
    assert.deepEqual([lookups, ...codes], [LIMITS.linkGuessesMax, ['not_found', LIMITS.linkGuessesMax], ['too_many_requests', refused]]);
  });

  it('stops the guessing address for all links for a while, and no other one', async () => {
    const { url } = await link('/work/a.txt');
    const from = (remoteAddress: string, path = url) => visit(path, { remoteAddress });
    const guess = () => from('2001:db8::2', `${LINK_PREFIX}/${randomBytes(16).toString('base64url')}`);
    for (let i = 0; i < LIMITS.linkGuessesMax; i += 1) assert.equal((await guess()).status, 404);
    assert.equal((await guess()).status, 429);
    assert.equal((await from('2001:db8::1')).status, 429, 'a good token is not told from a bad one then');
    assert.equal((await from('2001:db8:0:1::1')).status, 200);
    clockMs += 2000;
    assert.equal((await from('2001:db8::1')).status, 200);
  });

  it('good links use up no guesses', async () => {
    const { url } = await link('/work/a.txt');
    for (let i = 0; i < 3 * LIMITS.linkGuessesMax; i += 1) assert.equal((await visit(url, { method: 'HEAD' })).status, 200);
  });
});

describe('a password', () => {
  it('is taken by header, by basic authentication and by the form of the page, whose cookie is good for this link alone', async () => {
    const { url, token } = await link('/work/a.txt', { password: 'pässword' });
    const other = await link('/work/a.txt', { password: 'pässword' });
    const asked = await visit(url);
    assert.deepEqual([asked.status, asked.json().code], [401, 'credentials_wrong']);
    assert.match(String(asked.headers['www-authenticate']), /^Basic/);
    const basic = { authorization: `Basic ${Buffer.from('anyone:pässword').toString('base64')}` };
    assert.equal((await visit(url, { headers: basic })).bytes.toString(), SMALL);
    const header = { 'link-password': Buffer.from('pässword').toString('latin1') };
    assert.equal((await visit(url, { headers: header })).status, 200);
    const page = await visit(url, { headers: PAGE });
    assert.equal(page.status, 401);
    assert.doesNotMatch(String(page.headers['www-authenticate']), /basic/i);
    assert.match(page.bytes.toString(), /<form method="post" action="\/l\//);
    const form = (password: string) => ({
      method: 'POST' as const,
      headers: { ...PAGE, 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ password }).toString(),
    });
    const wrong = await visit(url, form('password'));
    assert.deepEqual([wrong.status, wrong.headers['set-cookie']], [401, undefined]);
    assert.match(wrong.bytes.toString(), /wrong/);
    const right = await visit(url, form('pässword'));
    assert.deepEqual([right.status, right.headers.location], [303, `${url}/`]);
    const cookie = String(right.headers['set-cookie']);
    assert.match(cookie, new RegExp(`; Path=/l/${token}; .*HttpOnly; SameSite=Strict`));
    const [pass = ''] = cookie.split(';');
    assert.equal((await visit(url, { headers: { cookie: pass } })).status, 200);
    assert.equal((await visit(other.url, { headers: { cookie: pass } })).status, 401);
    for (const forged of [`${pass}x`, pass.replace(/=\d/, '=9'), 'driftless_link=', 'driftless_link=9999999999999.'.padEnd(73, 'A')]) {
      assert.equal((await visit(url, { headers: { cookie: forged } })).status, 401, forged);
    }
  });

  it('can be tried a few times by one address, all at once or not, and is never stored or logged', async () => {
    const { url, id } = await link('/work/a.txt', { password: 'canary-password' });
    const guess = (password: string, remoteAddress = '192.0.2.7') => visit(url, { headers: { 'link-password': password }, remoteAddress });
    const tried = await Promise.all(Array.from({ length: 12 }, (_, i) => guess(`guess-canary ${i}`)));
    const statuses = tried.map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 401).length, LIMITS.linkPasswordsPerAddressMax);
    assert.equal(statuses.filter((status) => status === 429).length, 12 - LIMITS.linkPasswordsPerAddressMax);
    assert.equal((await guess('canary-password')).status, 429, 'the right one too');
    assert.equal((await guess('canary-password', '192.0.2.8')).status, 200, 'from elsewhere it is good');
    clockMs += LIMITS.linkPasswordRestoreMs;
    assert.equal((await guess('canary-password')).status, 200);
    const { accesses } = (await server.ask(alice, { method: 'GET', url: `${ROUTES.links}/${id}/log` })).json();
    assert.deepEqual(
      accesses
        .map(({ action, address, requests }: { action: string; address: string; requests: number }) => [action, address, requests])
        .toSorted(),
      [
        ['download', '192.0.2.7', 1],
        ['download', '192.0.2.8', 1],
        ['password', '192.0.2.7', LIMITS.linkPasswordsPerAddressMax],
      ],
    );
    const results = server.audited
      .filter(({ detail }) => detail === `link ${id}`)
      .map(({ what, result, address }) => `${what} ${result} ${address}`);
    assert.deepEqual(
      results.toSorted(),
      statuses
        .map((status) => `link_password ${status === 401 ? 'credentials_wrong' : 'too_many_requests'} 192.0.2.7`)
        .concat('link_password too_many_requests 192.0.2.7')
        .toSorted(),
    );
    assert.doesNotMatch(server.logged.join('') + JSON.stringify(server.audited), /canary|guess-/);
  });
});

describe('limited uses', () => {
  it('of two who take the last one at once one gets it; looking takes none', async () => {
    const { url } = await link('/work/a.txt', { usesMax: 1 });
    for (const options of [{ headers: PAGE }, { headers: JSON_LIST }, { method: 'HEAD' as const }]) {
      const { status, bytes } = await visit(url, options);
      assert.equal(status, 200);
      assert.doesNotMatch(bytes.toString(), /quick brown/, 'nothing of the content unasked');
    }
    const both = await Promise.all([visit(url), visit(url)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), [200, 404]);
    assert.equal((await visit(url)).status, 404);
    assert.equal((await visit(url, { headers: PAGE })).status, 404);
  });

  it('a download that was cut off goes on, from the same address', async () => {
    const { url } = await link('/work/sub/large.bin', { usesMax: 1 });
    const part = (range: string, remoteAddress = '127.0.0.1') => visit(url, { headers: { range }, remoteAddress });
    assert.equal((await part('bytes=0-999')).status, 206);
    assert.equal((await part('bytes=1000-')).bytes.length, LARGE.length - 1000);
    assert.equal((await part('bytes=1000-', '192.0.2.1')).status, 404);
    assert.equal((await visit(url)).status, 404);
  });

  it('an upload that comes to nothing takes none', async () => {
    const { url } = await link('/work/sub', { mode: 'both', usesMax: 1 });
    assert.equal((await visit(`${url}/${'x'.repeat(300)}`, { method: 'PUT', payload: 'x' })).status, 404);
    const { headers, payload, boundary } = formOf([{ name: 'file', value: 'cut', fileName: 'cut.txt' }]);
    const cut = await visit(url, { method: 'POST', headers, payload: payload.subarray(0, payload.length - boundary.length - 6) });
    assert.equal(cut.status, 400, cut.bytes.toString());
    assert.deepEqual(await names(url), ['large.bin']);
    assert.equal((await visit(`${url}/one.txt`, { method: 'PUT', payload: 'one' })).status, 201);
    assert.equal((await visit(`${url}/two.txt`, { method: 'PUT', payload: 'two' })).status, 404);
    await deletePath('/work/sub/one.txt');
  });
});

describe('a link for previews only', () => {
  it('gives the first 1024 bytes and no way to more: no range, ETag, zip, form or length', async () => {
    const { url } = await link('/work', { mode: 'preview' });
    const file = `${url}/sub/large.bin`;
    const start = LARGE.subarray(0, LIMITS.previewBytes);
    for (const path of [file, `${file}?as=preview`]) {
      for (const headers of [{}, { range: 'bytes=2000-' }, { range: 'bytes=-5' }, { 'if-range': '"x"', range: 'bytes=1024-2000' }]) {
        const answer = await visit(path, { headers });
        assert.deepEqual([answer.status, answer.headers.etag, answer.headers['content-range']], [200, undefined, undefined]);
        assert.ok(answer.bytes.equals(start));
      }
      const head = await visit(path, { method: 'HEAD' });
      assert.deepEqual([head.headers['content-length'], head.headers.etag], ['1024', undefined]);
    }
    const { digest } = (await server.ask(alice, { method: 'GET', url: `${ROUTES.entry}?path=/work/sub/large.bin` })).json();
    for (const header of ['if-match', 'if-none-match'])
      assert.equal((await visit(file, { headers: { [header]: `"${digest}"` } })).status, 200, 'the digest is not confirmed');
    for (const path of [`${file}?as=file`, `${url}?as=zip`, `${url}/sub?as=zip`]) {
      for (const method of ['GET', 'HEAD'] as const) assert.equal((await visit(path, { method })).status, 403, path);
    }
    const page = await visit(file, { headers: PAGE });
    assert.equal(page.status, 200);
    assert.doesNotMatch(page.bytes.toString(), /as=file/);
    assert.doesNotMatch((await visit(url, { headers: PAGE })).bytes.toString(), /as=zip|<form/);
    assert.equal((await visit(`${url}/new.txt`, { method: 'PUT', payload: 'x' })).status, 403);
  });
});

describe('uploads', () => {
  it('come in by PUT and by form, never over what is there, and are changes of the maker by the link', async () => {
    const { url, id } = await link('/work/sub', { mode: 'both' });
    assert.equal(
      (await visit(`${url}/n%C3%B6te.txt`, { method: 'PUT', payload: 'one', headers: { 'content-type': 'application/json' } })).status,
      201,
    );
    assert.equal((await visit(`${url}/n%C3%B6te.txt`, { method: 'PUT', payload: 'two' })).bytes.toString(), 'received nöte (2).txt\n');
    const form = formOf([
      { name: 'file', value: 'three', fileName: 'NÖTE.txt' },
      { name: 'file', value: '', fileName: '' },
      { name: 'file', value: 'four', fileName: 'nöte.txt' },
    ]);
    const sent = await visit(url, { method: 'POST', ...form, headers: { ...form.headers, ...PAGE } });
    assert.equal(sent.status, 200);
    assert.match(sent.bytes.toString(), /NÖTE \(3\)\.txt|NÖTE \(2\)\.txt/);
    const found = (await names(url)).filter((name) => /te/i.test(name));
    assert.equal(found.length, 4);
    const contents = await Promise.all(found.map(async (name) => (await visit(`${url}/${encodeURIComponent(name)}`)).bytes.toString()));
    assert.deepEqual(contents.toSorted(), ['four', 'one', 'three', 'two']);
    const { changes } = (await server.ask(alice, { method: 'GET', url: `${ROUTES.changes}?limit=5000` })).json();
    const made = changes.filter(({ path }: { path: string }) => path.startsWith('/work/sub/n'));
    assert.deepEqual(
      new Set(made.map(({ user, device }: { user: string; device: string }) => `${user} ${device}`)),
      new Set([`alice link ${id.slice(0, 8)}`]),
    );
    for (const name of found) await deletePath(`/work/sub/${name}`);
  });

  it('that do not fit tell nothing of how much the maker stores and may store', async () => {
    const erin = await server.addUser('erin');
    await server.ask(erin, uploadOf('/in/x.txt', 'x'));
    const { url } = await link('/in', { mode: 'both' }, erin);
    const admin = { ...alice, ticket: await server.ticketFor(alice, { claims: { role: 'admin' } }) };
    assert.equal((await post(admin, ROUTES.limits, { user: 'erin', quota: 1234 })).status, 200);
    const put = (headers: Record<string, string>) => visit(`${url}/big.bin`, { method: 'PUT', payload: randomBytes(2000), headers });
    for (const headers of [{}, PAGE, JSON_LIST]) {
      const { status, bytes } = await put(headers);
      assert.equal(status, 413);
      assert.doesNotMatch(bytes.toString(), /erin|1234|1\.2|2000|\d B/);
      if (!('accept' in headers)) assert.match(bytes.toString(), /no room/);
    }
    assert.match((await put(PAGE)).bytes.toString(), /<h1>No space left/);
  });

  it('of one name at the same time are all kept', async () => {
    await server.ask(alice, uploadOf('/crowd/first.txt', 'x'));
    const { url } = await link('/crowd', { mode: 'both' });
    const sent = Array.from({ length: 8 }, (_, i) => `content ${i}`);
    const put = (payload: string, i: number) => visit(`${url}/same.txt`, { method: 'PUT', payload, remoteAddress: `192.0.2.${i}` });
    for (const { status } of await Promise.all(sent.map(put))) assert.equal(status, 201);
    const found = (await names(url)).filter((name) => name.startsWith('same'));
    const kept = await Promise.all(found.map(async (name) => (await visit(`${url}/${encodeURIComponent(name)}`)).bytes.toString()));
    assert.deepEqual(kept.toSorted(), sent);
  });

  it('into a drop tell nothing of what is there: no listing, no content, not even that a name was taken', async () => {
    const { url } = await link('/work', { mode: 'upload' });
    assert.deepEqual(await names(url), []);
    assert.equal((await visit(url)).bytes.length, 0);
    const page = (await visit(url, { headers: PAGE })).bytes.toString();
    assert.match(page, /<form method="post" enctype="multipart\/form-data"/);
    assert.doesNotMatch(page, /a\.txt|sub/);
    const there = ['/a.txt', '/sub', '/sub/large.bin'];
    const absent = ['/b.txt', '/bus', '/bus/large.bin'];
    for (const [i, path] of there.entries()) {
      for (const as of ['', '?as=file', '?as=preview', '?as=zip', '?as=json', '?as=page']) {
        for (const method of ['GET', 'HEAD'] as const) {
          const [one, two] = [await visit(`${url}${path}${as}`, { method }), await visit(`${url}${absent[i]}${as}`, { method })];
          assert.deepEqual(constant(one), constant(two));
          assert.equal(one.status, 404);
        }
      }
      const told = async (name: string) => {
        const { status, bytes } = await visit(`${url}${name}`, { method: 'PUT', payload: 'new' });
        return [
          status,
          bytes
            .toString()
            .replace(name.slice(1), 'NAME')
            .replace(/"requestId":"[^"]+"/, ''),
        ];
      };
      assert.deepEqual(await told(path), await told(absent[i] as string));
    }
    for (const path of ['?as=zip', '?as=file', '?as=preview']) assert.ok([403, 409].includes((await visit(`${url}${path}`)).status));
    const all = await names((await link('/work')).url);
    assert.deepEqual(all, ['a (2).txt', 'a.txt', 'b.txt', 'bus', 'sub', 'sub (2)']);
    assert.equal((await visit(`${(await link('/work/a.txt')).url}`)).bytes.toString(), SMALL);
    for (const path of ['/work/a (2).txt', '/work/b.txt', '/work/bus', '/work/sub (2)']) await deletePath(path);
  });

  it('end when the maker may only read any more, and all of the link when the maker has left', async () => {
    await server.ask(alice, uploadOf('/team/t.txt', 't'));
    const { id } = (await post(alice, ROUTES.invitations, { path: '/team', user: 'bob', role: 'editor' })).json();
    const { path } = (await post(bob, `${ROUTES.invitations}/${id}/accept`, {})).json();
    const both = await link(path, { mode: 'both' }, bob);
    const drop = await link(path, { mode: 'upload' }, bob);
    const put = ({ url }: Made) => visit(`${url}/x.txt`, { method: 'PUT', payload: 'x' });
    assert.deepEqual([(await put(both)).status, (await put(drop)).status], [201, 201]);
    await post(bob, ROUTES.leave, { path });
    assert.deepEqual([(await put(both)).status, (await put(drop)).status, (await visit(both.url)).status], [404, 404, 404]);
    const second = (await post(alice, ROUTES.invitations, { path: '/team', user: 'bob', role: 'viewer' })).json();
    await post(bob, `${ROUTES.invitations}/${second.id}/accept`, {});
    assert.deepEqual([(await put(both)).status, (await put(drop)).status, (await visit(both.url)).status], [403, 404, 200]);
    assert.equal((await visit(both.url, { headers: JSON_LIST })).json().uploads, false);
    assert.doesNotMatch((await visit(both.url, { headers: PAGE })).bytes.toString(), /<form/);
    assert.equal((await post(bob, ROUTES.links, { path, mode: 'upload' })).status, 403);
  });
});
