import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { LINK_PREFIX } from '../../Models/links.ts';
import { foldName } from '../../Models/names.ts';
import type { Operation } from '../../Models/operations.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { Principal } from '../../Storage/metadata.ts';
import { uploadOf } from '../testing/form.ts';
import { HOSTILE_NAMES } from '../testing/hostile_names.ts';
import { openServer, type ServerFixture, type User } from '../testing/server_fixture.ts';
import { membersOf } from '../testing/zip_listing.ts';
import { checkZipSize, type ZipSource, zipOf } from './zip_stream.ts';

const LARGE = randomBytes(48 * 1024 * 1024);

let server: ServerFixture;
let alice: User;
let port: number;
let chunksRead = 0;
before(async () => {
  server = await openServer({
    wrapChunks: (chunks) => ({
      ...chunks,
      append: (...all) => chunks.append(...all),
      read: (...all) => {
        chunksRead += 1;
        return chunks.read(...all);
      },
    }),
  });
  alice = await server.addUser('alice');
  for (const [i, name] of HOSTILE_NAMES.entries()) await upload(`/hostile/${name}`, `content ${i}`);
  await upload('/large/large.bin', LARGE);
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  port = (server.app.server.address() as AddressInfo).port;
});
after(() => server[Symbol.asyncDispose]());

async function upload(path: string, content: string | Buffer): Promise<void> {
  const answer = await server.ask(alice, uploadOf(path, content));
  assert.equal(answer.status, 200, `${JSON.stringify(path)} ${answer.bytes}`);
}

async function link(path: string, options: Record<string, unknown> = {}): Promise<{ id: string; url: string }> {
  const payload = JSON.stringify({ path, ...options });
  const answer = await server.ask(alice, { method: 'POST', url: ROUTES.links, headers: { 'content-type': 'application/json' }, payload });
  const { id, token } = answer.json();
  return { id, url: `${LINK_PREFIX}/${token}` };
}

/** As it is, without a client that tidies the path up. */
async function raw(path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const [answer] = (await once(get({ host: '127.0.0.1', port, path, headers, agent: false }), 'response')) as [IncomingMessage];
  return answer;
}

async function commit(...operations: Operation[]): Promise<void> {
  const principal: Principal = { userId: alice.id, userName: 'alice', deviceId: '2'.repeat(32) };
  const results = await server.metadata.commit(principal, { id: randomBytes(16), firstOperation: 0, resumed: false }, [], operations);
  for (const result of results) assert.notEqual(result.status, 'refused', JSON.stringify(result));
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('paths below a link', () => {
  it('reach what is below it and nothing else, however they are written', async () => {
    await upload('/private/secret.txt', 'nobody');
    await upload('/work/a.txt', 'a');
    const { url } = await link('/work');
    const climbing = [
      '..',
      '%2e%2e',
      '..%2f',
      '%2e%2e%2f',
      '..%5c',
      '.%2e',
      '%252e%252e',
      '..;',
      '%c0%ae%c0%ae',
      '...',
      '%00',
      '%ff',
      '.',
      '%2e',
      '%20',
      '',
    ];
    const tried = climbing.flatMap((step) => [
      `${url}/${step}/private/secret.txt`,
      `${url}/${step}private/secret.txt`,
      `${url}/sub/${step}/${step}/private/secret.txt`,
    ]);
    for (const path of [...tried, `${url}/@1`, `${url}/%2fprivate%2fsecret.txt`, `${url}//a.txt`, `${url}%2fa.txt`, `${url}/a.txt%00`]) {
      const answer = await raw(path);
      const body = (await buffer(answer)).toString();
      assert.ok([400, 404].includes(answer.statusCode ?? 0), `${path} ${answer.statusCode}`);
      assert.doesNotMatch(body, /nobody/);
    }
    assert.equal((await raw(`${url}/a%2Etxt`)).statusCode, 200);
  });
});

describe('hostile names', () => {
  it('are text on a page: no tag, attribute or line of theirs, and every link leads to its file', async () => {
    const { url } = await link('/hostile');
    const answer = await raw(url, { accept: 'text/html' });
    const page = (await buffer(answer)).toString();
    assert.match(String(answer.headers['content-security-policy']), /^default-src 'none'; style-src 'sha256-[^']+'; .*sandbox allow-forms/);
    const tags = new Set(Array.from(page.matchAll(/<([^\s>]*)/g), ([, tag]) => tag));
    const known = 'a,bdi,body,footer,h1,head,header,html,main,meta,span,style,table,tbody,td,th,thead,time,title,tr';
    for (const tag of tags) assert.ok(tag === '!doctype' || known.split(',').includes(String(tag).replace('/', '')), `<${tag}`);
    const attributes = new Set(
      Array.from(page.matchAll(/<[^>]*>/g)).flatMap(([tag]) => Array.from(tag.matchAll(/ ([a-z-]+)="[^"]*"/g), ([, name]) => name)),
    );
    assert.deepEqual(
      [...attributes].filter((name) => /^on|^style$|src/.test(name ?? '')),
      [],
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for them
    assert.doesNotMatch(page, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\ufeff\u2028\u2029]/);
    const links = Array.from(page.matchAll(/<td>.*?href="([^"]*)"/g), ([, path]) => path as string);
    assert.equal(links.length, HOSTILE_NAMES.length);
    const contents = new Set<string>();
    for (const path of links) contents.add((await buffer(await raw(path))).toString());
    assert.equal(contents.size, HOSTILE_NAMES.length);
  });

  it('do nothing to a terminal, and are exact in JSON', async () => {
    const { url } = await link('/hostile');
    const text = (await buffer(await raw(url))).toString();
    assert.equal(text.split('\n').length, HOSTILE_NAMES.length + 1);
    assert.doesNotMatch(text, /[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]--[\n\u200c\u200d]]/v); // the joiners belong to scripts and emoji
    const json = (await buffer(await raw(url, { accept: 'application/json' }))).toString();
    assert.deepEqual(
      JSON.parse(json)
        .entries.map(({ name }: { name: string }) => name)
        .toSorted(),
      HOSTILE_NAMES.toSorted(),
    );
  });

  it('come as an attachment under their own name, that no browser opens in place', async () => {
    const { url } = await link('/hostile');
    for (const name of HOSTILE_NAMES) {
      const { headers, statusCode } = await raw(`${url}/${encodeURIComponent(name)}`);
      assert.equal(statusCode, 200, JSON.stringify(name));
      const [, plain = '', encoded = ''] =
        /^attachment; filename="([^"\\]*)"; filename\*=UTF-8''([\w.~!#$&+^`|%-]+)$/.exec(String(headers['content-disposition'])) ?? [];
      assert.match(plain, /^[\w .()-]+$/);
      assert.equal(decodeURIComponent(encoded), name);
      assert.equal(headers['content-type'], 'application/octet-stream');
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.match(String(headers['content-security-policy']), /^sandbox; default-src 'none'$/);
    }
  });
});

describe('a zip', () => {
  it('holds every file, empty folders too; no name in it climbs, is absolute, a symlink or the same as another', async () => {
    const hostile = ['a\\..\\..\\evil', 'a_.._.._evil', '..\\x', '\\root', 'C:\\boot.ini', 'c:evil', 'C_evil', 'COM1', 'ünïcödé ✓'];
    for (const name of hostile) await upload(`/zipped/${name}`, name);
    await upload('/zipped/back\\slash/inner', 'inner');
    await commit({ kind: 'mkdir', path: '/zipped/empty', existingOk: false, mode: null, mtimeUs: null });
    await commit({ kind: 'symlink', path: '/zipped/link', target: '/etc/passwd', mtimeUs: 0, base: 'absent' });
    const { url } = await link('/zipped');
    const answer = await raw(`${url}?as=zip`);
    assert.match(String(answer.headers['content-disposition']), /filename="zipped\.zip"/);
    const members = membersOf(await buffer(answer));
    const names = members.map(({ name }) => name);
    assert.equal(members.length, hostile.length + 2);
    for (const { name, mode, flags } of members) {
      assert.match(name, /^zipped\//);
      assert.doesNotMatch(name, /\\|\/\.{1,2}\/|\/\/|\/[a-z]:/i);
      assert.equal(flags & 0x800, 0x800, 'names are UTF-8');
      assert.equal(mode & 0o170000, name.endsWith('/') ? 0o040000 : 0o100000);
    }
    assert.equal(new Set(names.map((name) => foldName(name))).size, names.length);
    assert.deepEqual(members.map(({ content }) => content.toString()).toSorted(), [...hostile, 'inner', ''].toSorted());
    assert.ok(names.includes('zipped/empty/') && names.includes('zipped/back_slash/inner') && names.includes('zipped/a_.._.._evil (2)'));
  });

  it('is read no faster than it is taken', async () => {
    const { url } = await link('/large');
    const answer = await raw(`${url}?as=zip`);
    chunksRead = 0;
    answer.once('data', () => answer.pause());
    await until(() => chunksRead > 0);
    let before = -1;
    while (before !== chunksRead) {
      before = chunksRead;
      await new Promise((resolve) => setTimeout(resolve, 300)); // nobody tells when a connection is full
    }
    assert.ok(chunksRead * LIMITS.chunkBytesNormal < LARGE.length / 2, `${chunksRead} chunks were read for a reader who stopped`);
    answer.destroy();
  });

  it('with more entries than it may have is refused before it begins, and broken off if they come while it is made', async () => {
    const facts = { size: 0, mtimeUs: 0, version: 1, digest: null, mode: 0o755, chunkCount: 0, target: null, shared: null };
    const source = (count: number): ZipSource => ({
      async *entries(path) {
        if (path === '@1')
          yield Array.from({ length: count - 1 }, (_, i) => ({ name: `${i}`, kind: 'folder', nodeId: i, ...facts }) as const);
      },
      contents: async () => [],
    });
    const tooLarge = (error: unknown): boolean => error instanceof AppError && error.code === 'too_large';
    await checkZipSize(source(LIMITS.zipEntriesMax), '@1');
    await assert.rejects(checkZipSize(source(LIMITS.zipEntriesMax + 1), '@1'), tooLarge);
    await assert.rejects(Array.fromAsync(zipOf(source(LIMITS.zipEntriesMax + 1), { path: '@1', name: 'root' })), tooLarge);
  });
});

describe('revoking', () => {
  for (const [what, path] of [
    ['a download', '/large/large.bin'],
    ['a zip', '/large?as=zip'],
  ] as const) {
    it(`ends ${what} that is under way`, async () => {
      const [target = '', query] = path.split('?');
      const { id, url } = await link(target);
      const answer = await raw(query === undefined ? url : `${url}?${query}`);
      let bytes = 0;
      answer.on('data', (piece: Buffer) => {
        bytes += piece.length;
      });
      const ended = new Promise<string>((resolve) => {
        answer.once('end', () => resolve('whole'));
        answer.once('error', () => resolve('broken'));
        answer.once('aborted', () => resolve('broken'));
      });
      await once(answer, 'data');
      answer.pause();
      const revoked = await server.ask(alice, { method: 'DELETE', url: `${ROUTES.links}/${id}` });
      assert.equal(revoked.status, 204);
      await new Promise((resolve) => setTimeout(resolve, 2 * LIMITS.linkCheckMs));
      answer.resume();
      assert.equal(await ended, 'broken');
      assert.ok(bytes < LARGE.length);
    });
  }
});
