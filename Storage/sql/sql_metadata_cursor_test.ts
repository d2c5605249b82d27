import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cameUnlisted, readCursor, tagOf, writeCursor } from './sql_metadata_cursor.ts';

const epoch = '0123456789abcdef0123456789abcdef';
const row = {
  kind: 0,
  node: 17,
  path: '/a/f',
  digest: Buffer.alloc(32, 1),
  commit_id: 99,
  stream: Buffer.alloc(16, 2),
  device: 'abcdefabcdefabcdefabcdefabcdefab',
  at_ms: 1_700_000_000_000,
};

test('the form of a tag and of a cursor does not change: devices keep them', () => {
  assert.equal(tagOf(row), 'kk50hb');
  assert.equal(tagOf({ ...row, digest: null, stream: null }), '6n98tr');
  const marks = new Map([
    [5, { seq: 1000, tag: 'k3x9qz' }],
    [40, { seq: 0, tag: null }],
    [41, { seq: 35, tag: null }],
  ]);
  const cursor = writeCursor(epoch, marks);
  assert.equal(cursor, Buffer.from('01234567.5:rs:k3x9qz,14:0,15:z').toString('base64url'));
  assert.deepEqual(readCursor(epoch, cursor), marks);
  assert.equal(cameUnlisted(cursor), false);
  const unlisted = writeCursor(epoch, marks, { unlisted: true });
  assert.ok(cameUnlisted(unlisted));
  assert.deepEqual(readCursor(epoch, unlisted), marks);
  assert.deepEqual(readCursor(epoch, writeCursor(epoch, new Map())), new Map());
});

test('whatever tells one history from another changes the tag', () => {
  const others = [
    { kind: 1 },
    { node: 18 },
    { path: '/a/g' },
    { digest: Buffer.alloc(32, 2) },
    { commit_id: 100 },
    { stream: Buffer.alloc(16, 3) },
    { device: 'b'.repeat(32) },
    { at_ms: row.at_ms + 1 },
  ];
  const tags = [row, ...others.map((other) => ({ ...row, ...other }))].map(tagOf);
  assert.equal(new Set(tags).size, tags.length);
  for (const tag of tags) assert.match(tag, /^[0-9a-z]{6}$/);
});
