import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation } from '../../Models/operations.ts';
import type { Metadata, PageQuery, SortKey } from '../metadata.ts';
import { alice, bob, contentOf, done, mkdir, type OpenPlace, put, remove, share, symlink, walkedFolders } from './metadata_fixture.ts';

const sizes = ['a', 'bbb', 'cc', 'dddd', 'bbb'].map((text) => contentOf(text));

async function paged(store: Metadata, query: Partial<PageQuery> & { path: string }): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | null = null; ; ) {
    const page = await store.page(alice, { search: null, sort: 'name', descending: false, limit: 2, ...query, after });
    found.push(...page.entries.map((entry) => entry.path));
    if (page.next === null) return found;
    after = page.next;
  }
}

/** Names in an order that PostgreSQL's own collations would not give. */
const NAMES = ['Zeta', '_x', 'alpha', 'Ärger', 'b-1', 'b1', 'B 2', 'é', 'z%_\\', '日本'];

export function contractOfReading(open: OpenPlace): void {
  test('a user who has stored nothing has an empty root, and nothing else', async (t) => {
    const store = await (await open(t)).open();
    await done(store, bob, [mkdir('/x')]);
    const [root, x] = await store.stat(alice, ['/', '/x']);
    assert.deepEqual([root?.kind, root?.path, root?.shared], ['folder', '/', null]);
    assert.equal(x, null);
    assert.deepEqual(await store.manifests(alice, ['/x']), [null]);
    assert.deepEqual(await walkedFolders(store, alice), ['/']);
    assert.deepEqual(await paged(store, { path: '/' }), []);
    await assert.rejects(walkedFolders(store, alice, '/x'), { code: 'not_found' });
    await assert.rejects(store.page(alice, { path: '/x', search: null, sort: 'name', descending: false, after: null, limit: 5 }), {
      code: 'not_found',
    });
    await assert.rejects(store.members(alice, '/x'), { code: 'not_found' });
    await assert.rejects(store.stat(alice, ['x']), { code: 'path_invalid' });
    assert.deepEqual(await store.changes(alice, { after: null, limit: 5 }).then((page) => [page.changes, page.more]), [[], false]);
  });

  test('reading asks for exact names and well-formed paths', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/Docs/A', sizes[0] as never)], [sizes[0] as never]);
    assert.deepEqual(await store.stat(alice, ['/docs/A', '/Docs/a', '/Docs/A/x']), [null, null, null]);
    await assert.rejects(store.stat(alice, ['/Docs/../Docs']), { code: 'name_invalid' });
    await assert.rejects(store.manifests(alice, ['Docs']), { code: 'path_invalid' });
    await assert.rejects(walkedFolders(store, alice, '/docs'), { code: 'not_found' });
    await assert.rejects(walkedFolders(store, alice, '/Docs/A'), { code: 'not_a_folder' });
  });

  test('folders come in the order asked, a missing one as an empty page, a large one in several', async (t) => {
    const store = await (await open(t)).open();
    const names = Array.from({ length: 5000 }, (_, i) => `/large/f${String(i).padStart(5, '0')}`);
    for (let i = 0; i < names.length; i += 1000) {
      await done(
        store,
        alice,
        names.slice(i, i + 1000).map((path): Operation => symlink(path, 'x')),
      );
    }
    await done(store, alice, [mkdir('/small/one'), mkdir('/empty')]);
    const pages: [path: string, entries: number, last: boolean][] = [];
    const seen: string[] = [];
    for await (const page of store.readFolders(alice, ['/small', '/missing', '/large', '/empty', '/large/f00001', '/small'])) {
      pages.push([page.path, page.entries.length, page.last]);
      if (page.path === '/large') seen.push(...page.entries.map((entry) => `/large/${entry.name}`));
      assert.ok(page.entries.length <= 5000);
    }
    assert.deepEqual(seen, names);
    const large = pages.filter(([path]) => path === '/large');
    assert.ok(large.length >= 2);
    assert.deepEqual(
      large.map(([, , last]) => last),
      large.map((_, i) => i === large.length - 1),
    );
    const others = pages.filter(([path]) => path !== '/large');
    assert.deepEqual(others, [
      ['/small', 1, true],
      ['/missing', 0, true],
      ['/empty', 0, true],
      ['/large/f00001', 0, true],
      ['/small', 1, true],
    ]);
    assert.equal(pages[2]?.[0], '/large');
    await assert.rejects(
      async () => {
        for await (const _ of store.readFolders(alice, ['/a//b'])) assert.fail('there is no such path');
      },
      { code: 'name_invalid' },
    );
  });

  test('walking gives every folder once, each before what is in it, into shared folders too', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/a/b/c'), mkdir('/shared/in/it'), mkdir('/z')]);
    await done(store, bob, [mkdir('/mine')]);
    await share(store, '/shared', bob);
    const folders = await walkedFolders(store, alice);
    assert.deepEqual([...folders].sort(), ['/', '/a', '/a/b', '/a/b/c', '/shared', '/shared/in', '/shared/in/it', '/z']);
    for (const path of folders) {
      const parent = path.slice(0, path.lastIndexOf('/')) || '/';
      assert.ok(folders.indexOf(parent) <= folders.indexOf(path), path);
    }
    assert.deepEqual((await walkedFolders(store, bob)).sort(), ['/', '/mine', '/shared', '/shared/in', '/shared/in/it']);
    assert.deepEqual(await walkedFolders(store, bob, '/shared/in'), ['/shared/in', '/shared/in/it']);
  });

  test('a folder is paged by name, size or time, both ways, each entry once', async (t) => {
    const store = await (await open(t)).open();
    const operations = sizes.map((content, i) => put(`/d/${NAMES[i]}`, content, { mtimeUs: [5, 3, 9, 3, 1][i] as number }));
    await done(store, alice, [...operations, mkdir('/d/folder')], sizes);
    const by = async (sort: SortKey, descending: boolean): Promise<string[]> =>
      (await paged(store, { path: '/d', sort, descending })).map((path) => path.slice(3));
    assert.deepEqual(
      await by('name', false),
      ['_x', 'alpha', 'Ärger', 'b-1', 'folder', 'Zeta'].sort((a, b) => (fold(a) < fold(b) ? -1 : 1)),
    );
    assert.deepEqual(await by('name', true), (await by('name', false)).reverse());
    assert.deepEqual((await by('size', false)).slice(1), ['Zeta', 'alpha', '_x', 'b-1', 'Ärger']);
    assert.deepEqual(await by('size', true), (await by('size', false)).reverse());
    assert.deepEqual((await by('mtime', false)).slice(0, 5), ['b-1', '_x', 'Ärger', 'Zeta', 'alpha']);
    assert.deepEqual(await by('mtime', true), (await by('mtime', false)).reverse());
  });

  test('listings are in the order of the folded names\u2019 bytes on every database', async (t) => {
    const store = await (await open(t)).open();
    await done(
      store,
      alice,
      NAMES.map((name) => mkdir(`/${name}`)),
    );
    const expected = [...NAMES].sort((a, b) => Buffer.compare(Buffer.from(fold(a)), Buffer.from(fold(b)))).map((name) => `/${name}`);
    assert.deepEqual(await paged(store, { path: '/' }), expected);
    for await (const page of store.readFolders(alice, ['/']))
      assert.deepEqual(
        page.entries.map((entry) => `/${entry.name}`),
        expected,
      );
  });

  test('a search finds part of a name anywhere below, folded, and takes every character as itself', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [...NAMES.map((name) => mkdir(`/x/y/${name}`)), mkdir('/alphabet'), mkdir('/x/ALPHA'), mkdir('/gone/alpha')]);
    await done(store, alice, [remove('/gone')]);
    assert.deepEqual(await paged(store, { path: '/', search: 'AlphA' }), ['/x/ALPHA', '/x/y/alpha', '/alphabet'].sort(byName));
    assert.deepEqual(await paged(store, { path: '/x/y', search: 'alpha' }), ['/x/y/alpha']);
    assert.deepEqual(await paged(store, { path: '/', search: '%_\\' }), ['/x/y/z%_\\']);
    assert.deepEqual(await paged(store, { path: '/', search: 'ARGER' }), []);
    assert.deepEqual(await paged(store, { path: '/', search: 'ä' }), ['/x/y/Ärger']);
    assert.equal((await paged(store, { path: '/', search: 'b', descending: true })).length, 4);
  });

  test('a search goes into shared folders, and shows their top with the caller\u2019s role', async (t) => {
    const store = await (await open(t)).open();
    await done(store, bob, [mkdir('/team')]);
    const { id } = await store.invite(bob, { path: '/team', userId: alice.userId, userName: 'alice', role: 'viewer', message: null });
    await store.accept(alice, id);
    await done(store, bob, [mkdir('/team/team-notes')]);
    const { entries } = await store.page(alice, { path: '/', search: 'team', sort: 'name', descending: false, after: null, limit: 10 });
    assert.deepEqual(
      entries.map((entry) => [entry.path, entry.shared]),
      [
        ['/team', { role: 'viewer', owner: 'bob' }],
        ['/team/team-notes', null],
      ],
    );
  });

  test('a position of another listing, or none at all, is refused', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/a'), mkdir('/b')]);
    const query: PageQuery = { path: '/', search: null, sort: 'name', descending: false, after: null, limit: 1 };
    const { next } = await store.page(alice, query);
    for (const wrong of [{ after: 'x' }, { after: '' }, { after: next, descending: true }, { after: next, sort: 'size' as const }]) {
      await assert.rejects(store.page(alice, { ...query, ...wrong }), { code: 'cursor_invalid' });
    }
  });
}

function fold(name: string): string {
  return name.normalize('NFKD').toLowerCase().toUpperCase().normalize('NFKD');
}

/** Equal names in two folders come in the order of their making. */
function byName(a: string, b: string): number {
  const key = (path: string): string => fold(path.slice(path.lastIndexOf('/') + 1));
  if (key(a) !== key(b)) return key(a) < key(b) ? -1 : 1;
  return a.includes('/y/') ? -1 : 1;
}
