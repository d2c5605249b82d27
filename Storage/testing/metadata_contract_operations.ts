import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentIdPreimage } from '../../Models/content_id.ts';
import type { ErrorCode } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Operation } from '../../Models/operations.ts';
import {
  alice,
  allChanges,
  bob,
  commit,
  contentOf,
  copy,
  done,
  listing,
  mkdir,
  move,
  type OpenPlace,
  put,
  remove,
  sha256,
  symlink,
  words,
} from './metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two');
const many = contentOf('first part', 'second part', 'third');
const empty = contentOf();

/** What stands before each refusal is tried. */
const GROUND: Operation[] = [
  put('/docs/a.txt', one),
  mkdir('/docs/sub'),
  symlink('/docs/link', 'a.txt'),
  put('/Straße', two),
  mkdir('/deep/x/y'),
];

const long = (length: number): string => 'n'.repeat(length);
const deepPath = (depth: number): string => '/d'.repeat(depth);
const wrongDigest: Operation = { ...(put('/new', many) as Operation & { kind: 'put' }), digest: sha256('something else') };
const wrongSize: Operation = { ...(put('/new', one) as Operation & { kind: 'put' }), size: 4 };
const foreign = contentOf('bytes that nobody sent');
const lengthens: Operation = {
  ...(put('/new', one) as Operation & { kind: 'put' }),
  size: 5,
  chunks: [{ digest: one.digest, length: 5 }],
};

const REFUSALS: [why: string, operation: Operation, code: ErrorCode][] = [
  ['a put based on a version that was replaced', put('/docs/a.txt', two, { base: 1 }), 'version_stale'],
  ['a put that expects nothing where something is', put('/docs/a.txt', two, { base: 'absent' }), 'version_stale'],
  ['a put based on a version of a file that is gone', put('/docs/gone', two, { base: 7 }), 'version_stale'],
  ['a put onto a folder', put('/docs/sub', one), 'not_a_file'],
  ['a put onto the root', put('/', one), 'not_a_file'],
  ['a put below a file', put('/docs/a.txt/b', one), 'not_a_folder'],
  ['a put below a symlink', put('/docs/link/b', one), 'not_a_folder'],
  ['a put under a name that folds to another', put('/docs/A.TXT', one), 'name_collides'],
  ['a put under a name that folds to another, beyond ASCII', put('/STRASSE', one), 'name_collides'],
  ['a put through a folder by a name that folds to it', put('/DOCS/new', one), 'name_collides'],
  ['a put of a chunk that was not sent', put('/new', foreign), 'chunk_missing'],
  ['a put with a digest that is not that of its chunks', wrongDigest, 'digest_mismatch'],
  ['a put whose size is not that of its chunks', wrongSize, 'length_mismatch'],
  ['a put that says another length of a known chunk', lengthens, 'length_mismatch'],
  [
    'a put of a chunk that is too long',
    { ...lengthens, size: 5_000_000, chunks: [{ digest: one.digest, length: 5_000_000 }] },
    'too_large',
  ],
  ['a put with a fraction for a size', { ...lengthens, size: 1.5 }, 'request_invalid'],
  ['a put with more than permission bits', put('/new', one, { mode: 0o4755 }), 'request_invalid'],
  ['a path that does not begin with a slash', put('docs', one), 'path_invalid'],
  ['a path that climbs', put('/docs/../x', one), 'name_invalid'],
  ['a path with an empty name', put('/docs//x', one), 'name_invalid'],
  ['a name with NUL', put('/docs/\0', one), 'name_invalid'],
  ['a name with a control character', mkdir('/docs/\u0085'), 'name_invalid'],
  ['a name that is half a character', mkdir('/docs/\ud800'), 'name_invalid'],
  ['a name of 256 bytes', mkdir(`/${long(256)}`), 'name_invalid'],
  ['a path that is too deep', mkdir(deepPath(LIMITS.pathDepthMax + 1)), 'path_invalid'],
  ['a path that is too long', mkdir(`/${`${long(255)}/`.repeat(17)}x`), 'path_invalid'],
  ['a folder that exists', mkdir('/docs'), 'already_exists'],
  ['the root as a new folder', mkdir('/'), 'already_exists'],
  ['a folder where a file is', mkdir('/docs/a.txt', true), 'not_a_folder'],
  ['a folder whose name folds to another', mkdir('/Docs', true), 'name_collides'],
  ['a symlink without a target', symlink('/new', ''), 'request_invalid'],
  ['a symlink with a target that is too long', symlink('/new', long(4097)), 'too_large'],
  ['a symlink onto a folder', symlink('/docs', 'x'), 'not_a_file'],
  ['deleting nothing', remove('/nothing'), 'not_found'],
  ['deleting by a name that folds to it', remove('/DOCS'), 'not_found'],
  ['deleting the root', remove('/'), 'path_invalid'],
  ['deleting what changed', remove('/docs/a.txt', 1), 'version_stale'],
  ['moving nothing', move('/nothing', '/x'), 'not_found'],
  ['moving onto a file', move('/docs/sub', '/docs/a.txt'), 'already_exists'],
  ['moving onto a name that folds to another', move('/docs/sub', '/DOCS'), 'name_collides'],
  ['moving into a folder that is not there', move('/docs/a.txt', '/nowhere/a.txt'), 'not_found'],
  ['moving below a file', move('/docs/sub', '/docs/a.txt/sub'), 'not_a_folder'],
  ['moving a folder into itself', move('/deep', '/deep/x/y/z'), 'folder_into_itself'],
  ['moving the root', move('/', '/x'), 'path_invalid'],
  ['moving to the root', move('/docs', '/'), 'path_invalid'],
  ['copying nothing', copy('/nothing', '/x'), 'not_found'],
  ['copying onto a file', copy('/docs/sub', '/docs/a.txt'), 'already_exists'],
  ['copying onto itself', copy('/docs/a.txt', '/docs/a.txt'), 'already_exists'],
  ['copying a folder into itself', copy('/deep', '/deep/x/z'), 'folder_into_itself'],
];

export function contractOfOperations(open: OpenPlace): void {
  test('each refusal has its code, leaves no trace and does not hold up the others', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, GROUND, [one, two]);
    const before = await listing(store, alice);
    const { cursor } = await allChanges(store, alice);
    for (const [why, operation, code] of REFUSALS) {
      assert.deepEqual(words(await commit(store, alice, [operation])), [code], why);
    }
    assert.deepEqual(await listing(store, alice), before);
    assert.deepEqual((await allChanges(store, alice, cursor)).changes, []);
    const all = REFUSALS.flatMap(([, operation], i) => [operation, mkdir(`/between-${i}`)]);
    const results = words(await commit(store, alice, all));
    assert.deepEqual(
      results,
      REFUSALS.flatMap(([, , code]) => [code, 'done']),
    );
    assert.equal((await listing(store, alice)).length, before.length + REFUSALS.length);
  });

  test('a file that holds the list of the chunks of another one is not taken for that one', async (t) => {
    const store = await (await open(t)).open();
    const file = contentOf('x'.repeat(40), 'y'.repeat(53));
    const list = contentOf(Buffer.from(contentIdPreimage(file.chunks.map((chunk) => chunk.ref))));
    assert.deepEqual([list.size, list.digest.equals(file.digest)], [file.size, true]);
    await done(store, alice, [put('/f', file)], [file]);
    await done(store, alice, [put('/f', list)], [list]);
    assert.equal((await store.stat(alice, ['/f']))[0]?.chunkCount, 1);
  });

  test('a put makes the folders above it, and is listed with everything it carries', async (t) => {
    const store = await (await open(t)).open({ now: () => 1234 });
    const operations = [
      put('/x/y/many', many, { mode: 0o750, mtimeUs: -7 }),
      put('/x/empty', empty),
      put('/x/one', one),
      symlink('/x/link', '../é'),
    ];
    const [, , first] = await done(store, alice, operations, [many, one]);
    const [file, nothing, single, link, folder] = await store.stat(alice, ['/x/y/many', '/x/empty', '/x/one', '/x/link', '/x/']);
    assert.equal(file?.version, 3, 'two folders come first');
    const size = many.size;
    assert.deepEqual(
      [file?.path, file?.name, file?.kind, file?.size, file?.mtimeUs, file?.mode, file?.chunkCount],
      ['/x/y/many', 'many', 'file', size, -7, 0o750, 3],
    );
    assert.deepEqual(file?.digest, many.digest);
    assert.deepEqual([nothing?.size, nothing?.chunkCount, nothing?.digest], [0, 0, empty.digest]);
    assert.deepEqual([single?.nodeId, single?.version, single?.chunkCount, single?.mode], [first?.nodeId, first?.version, 1, 0o644]);
    assert.deepEqual([link?.kind, link?.target, link?.size, link?.mode], ['symlink', '../é', 5, 0o777]);
    assert.deepEqual(
      [folder?.path, folder?.kind, folder?.digest, folder?.size, folder?.mtimeUs, folder?.mode, folder?.shared],
      ['/x', 'folder', null, 0, 1_234_000, 0o755, null],
    );
  });

  test('manifests give the chunks in order, and null where there is no file', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/many', many), put('/one', one), put('/empty', empty), symlink('/link', 'x')], [many, one]);
    const [several, single, none, folder, link, missing] = await store.manifests(alice, [
      '/many',
      '/one',
      '/empty',
      '/',
      '/link',
      '/missing',
    ]);
    assert.deepEqual(
      several?.chunks,
      many.chunks.map((chunk) => chunk.ref),
    );
    assert.deepEqual([several?.path, several?.size, several?.digest], ['/many', many.size, many.digest]);
    assert.deepEqual(single?.chunks, [one.chunks[0]?.ref]);
    assert.deepEqual(none?.chunks, []);
    assert.deepEqual([folder, link, missing], [null, null, null]);
  });

  test('chunks of an older version are told of the file that had it, wherever that was moved to', async (t) => {
    const store = await (await open(t)).open();
    const [first, other] = await done(store, alice, [put('/f', many), put('/g', two)], [many, two]);
    await done(store, alice, [put('/f', one, { base: first?.version ?? 0 }), move('/f', '/moved')], [one]);
    const older = async (path: string, version = first?.version ?? 0, who = alice) =>
      (await store.olderChunks(who, path, version)).map(({ digest }) => digest);
    assert.deepEqual(
      await older('/moved'),
      many.chunks.map((chunk) => chunk.ref.digest),
    );
    assert.deepEqual(await older('/g', other?.version ?? 0), [two.chunks[0]?.ref.digest]);
    assert.deepEqual([await older('/g'), await older('/'), await older('/moved', 999)], [[], [], []]);
  });

  test('what is equal is unchanged, whatever it is based on; equal content with another time or mode is a new version', async (t) => {
    const store = await (await open(t)).open();
    const [made] = await done(store, alice, [put('/f', one, { base: 'absent' })], [one]);
    const again = await commit(store, alice, [put('/f', one, { base: 'absent' }), put('/f', one, { base: 99 }), mkdir('/', true)]);
    assert.deepEqual(words(again), ['unchanged', 'unchanged', 'unchanged']);
    assert.deepEqual(again[0], { ...made, status: 'unchanged' });
    const touched = await done(store, alice, [put('/f', one, { base: 'absent', mtimeUs: 1 }), put('/f', one, { base: 99, mode: 0o600 })]);
    assert.deepEqual(
      touched.map((result) => result.version),
      [2, 3],
    );
    assert.equal(touched[0]?.nodeId, made?.nodeId);
  });

  test('a version can be built upon once', async (t) => {
    const store = await (await open(t)).open();
    const [made] = await done(store, alice, [put('/f', one)], [one, two, many]);
    const results = await commit(store, alice, [
      put('/f', two, { base: made?.version ?? 0 }),
      put('/f', many, { base: made?.version ?? 0 }),
    ]);
    assert.deepEqual(words(results), ['done', 'version_stale']);
    assert.equal((await store.stat(alice, ['/f']))[0]?.size, two.size);
  });

  test('a file and a symlink replace each other and keep their node', async (t) => {
    const store = await (await open(t)).open();
    const [file, link, back] = await done(store, alice, [put('/f', one), symlink('/f', 'x'), put('/f', many)], [one, many]);
    assert.deepEqual([link?.nodeId, back?.nodeId], [file?.nodeId, file?.nodeId]);
    assert.equal((await store.manifests(alice, ['/f']))[0]?.chunks.length, 3);
  });

  test('a move keeps the node and everything below it, and changes nothing else', async (t) => {
    const store = await (await open(t)).open();
    const [, file] = await done(store, alice, [mkdir('/a'), put('/a/b/f', many), mkdir('/c')], [many]);
    await done(store, alice, [move('/a', '/c/A')]);
    assert.deepEqual(await listing(store, alice), [
      '/c folder',
      '/c/A folder',
      '/c/A/b folder',
      `/c/A/b/f file ${many.digest.toString('hex').slice(0, 8)}`,
    ]);
    assert.equal((await store.stat(alice, ['/c/A/b/f']))[0]?.nodeId, file?.nodeId);
    const [moved] = await done(store, alice, [move('/c/A/b/f', '/f')]);
    assert.equal((await store.stat(alice, ['/f']))[0]?.version, moved?.version);
    assert.equal((await store.manifests(alice, ['/f']))[0]?.chunks.length, 3);
  });

  test('a name can change its case, and names can be exchanged in one batch', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/readme', one), put('/b', two)], [one, two]);
    await done(store, alice, [
      move('/readme', '/README'),
      move('/README', '/tmp'),
      move('/b', '/README'),
      move('/tmp', '/b'),
      put('/tmp', one),
    ]);
    const digest = (content: { digest: Buffer }): string => content.digest.toString('hex').slice(0, 8);
    assert.deepEqual(await listing(store, alice), [`/README file ${digest(two)}`, `/b file ${digest(one)}`, `/tmp file ${digest(one)}`]);
    assert.deepEqual(words(await commit(store, alice, [move('/b', '/b')])), ['unchanged']);
  });

  test('a folder is not moved to where the paths in it would be too deep or too long', async (t) => {
    const store = await (await open(t)).open();
    const wide = `/${long(200)}`;
    await done(store, alice, [
      mkdir(deepPath(100)),
      mkdir(`/e${deepPath(30)}`),
      mkdir(`/w${wide.repeat(10)}`),
      mkdir(`/v${wide.repeat(10)}`),
    ]);
    assert.deepEqual(words(await commit(store, alice, [move('/e', `${deepPath(100)}/e`), copy('/e', `${deepPath(100)}/e`)])), [
      'path_invalid',
      'path_invalid',
    ]);
    assert.deepEqual(words(await commit(store, alice, [move('/v', `/w${wide.repeat(10)}/v`), move('/e', '/d/e')])), [
      'path_invalid',
      'done',
    ]);
  });

  test('a copy has everything below it, new nodes, and a life of its own', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/a/b/many', many), put('/a/one', one), symlink('/a/link', 'one')], [many, one, two]);
    const [copied] = await done(store, alice, [copy('/a', '/c'), put('/c/one', two), remove('/a/b')]);
    const [source, made, single] = await store.stat(alice, ['/a', '/c', '/c/one']);
    assert.notEqual(made?.nodeId, source?.nodeId);
    assert.equal(made?.nodeId, copied?.nodeId);
    assert.deepEqual(single?.digest, two.digest);
    assert.deepEqual((await store.stat(alice, ['/a/one']))[0]?.digest, one.digest);
    assert.equal((await store.manifests(alice, ['/c/b/many']))[0]?.chunks.length, 3);
    assert.deepEqual(words(await commit(store, alice, [copy('/c/one', '/a/b/one'), copy('/c/one', '/a/two')])), ['not_found', 'done']);
  });

  test('a deleted folder is gone with all in it, and its name is free', async (t) => {
    const store = await (await open(t)).open();
    const [file] = await done(store, alice, [put('/a/b/f', one)], [one, two]);
    const results = await commit(store, alice, [
      remove('/a'),
      put('/a/b/f', two, { base: 'absent' }),
      remove('/a/b/f', 'any'),
      remove('/a/b/f'),
    ]);
    assert.deepEqual(words(results), ['done', 'done', 'done', 'not_found']);
    assert.deepEqual(await listing(store, alice), ['/a folder', '/a/b folder']);
    const [again] = await done(store, alice, [put('/a/b/f', one)]);
    assert.notEqual(again?.nodeId, file?.nodeId);
  });

  test('a batch of every kind sees its own changes in order', async (t) => {
    const store = await (await open(t)).open();
    const operations = [
      put('/a', one),
      move('/a', '/b'),
      put('/a', two),
      copy('/b', '/c'),
      remove('/b'),
      mkdir('/b'),
      put('/b/x', one),
      move('/b', '/d'),
      copy('/d', '/b'),
    ];
    await done(store, alice, operations, [one, two]);
    const [short1, short2] = [one, two].map((content) => content.digest.toString('hex').slice(0, 8));
    const expected = [`/a file ${short2}`, '/b folder', `/b/x file ${short1}`, `/c file ${short1}`, '/d folder', `/d/x file ${short1}`];
    assert.deepEqual(await listing(store, alice), expected);
  });

  test('more operations than a batch may have are refused as a whole', async (t) => {
    const store = await (await open(t)).open();
    const operations = Array.from({ length: LIMITS.batchOperationsMax + 1 }, (_, i) => mkdir(`/d${i}`));
    await assert.rejects(commit(store, alice, operations), { code: 'too_large' });
    assert.equal((await done(store, alice, operations.slice(1))).length, LIMITS.batchOperationsMax);
    assert.equal((await listing(store, bob)).length, 0);
  });
}
