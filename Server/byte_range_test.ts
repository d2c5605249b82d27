import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkConditions, parseRange, rangeStillHolds } from './byte_range.ts';
import { contentHeaders } from './content_headers.ts';

const whole = null;
const RANGES: readonly [string | undefined, number, ReturnType<typeof parseRange>][] = [
  [undefined, 10, whole],
  ['bytes=0-', 10, { start: 0, end: 10 }],
  ['bytes=0-0', 10, { start: 0, end: 1 }],
  ['bytes=3-5', 10, { start: 3, end: 6 }],
  ['bytes=3-500', 10, { start: 3, end: 10 }],
  ['bytes=9-', 10, { start: 9, end: 10 }],
  ['bytes=-4', 10, { start: 6, end: 10 }],
  ['bytes=-40', 10, { start: 0, end: 10 }],
  ['bytes=10-', 10, 'unsatisfiable'],
  ['bytes=10-12', 10, 'unsatisfiable'],
  ['bytes=-0', 10, 'unsatisfiable'],
  ['bytes=0-', 0, 'unsatisfiable'],
  ['bytes=-1', 0, 'unsatisfiable'],
  ['bytes=9999999999999999-', 10, 'unsatisfiable'],
  // not one well-formed byte range: the whole content
  ['bytes=5-3', 10, whole],
  ['bytes=-', 10, whole],
  ['bytes=1-2,4-5', 10, whole],
  ['bytes=a-b', 10, whole],
  ['bytes=1.5-2', 10, whole],
  ['bytes= 1-2', 10, whole],
  ['items=1-2', 10, whole],
  ['bytes=99999999999999999999-', 10, whole],
];

test('a range header means the bytes that RFC 9110 says', () => {
  for (const [header, size, expected] of RANGES) assert.deepEqual(parseRange(header, size), expected, `${header} of ${size}`);
});

test('conditions compare entity tags, weakly only for If-None-Match', () => {
  const etag = '"abc"';
  assert.equal(checkConditions({}, etag), 'proceed');
  assert.equal(checkConditions({ ifNoneMatch: '"x", "abc"' }, etag), 'not_modified');
  assert.equal(checkConditions({ ifNoneMatch: 'W/"abc"' }, etag), 'not_modified');
  assert.equal(checkConditions({ ifNoneMatch: '*' }, etag), 'not_modified');
  assert.equal(checkConditions({ ifNoneMatch: '"x"' }, etag), 'proceed');
  assert.equal(checkConditions({ ifMatch: '"x"' }, etag), 'failed');
  assert.equal(checkConditions({ ifMatch: 'W/"abc"' }, etag), 'failed');
  assert.equal(checkConditions({ ifMatch: '*' }, etag), 'proceed');
  assert.equal(checkConditions({ ifMatch: '"x"', ifNoneMatch: '"abc"' }, etag), 'failed');
  assert.equal(rangeStillHolds(undefined, etag), true);
  assert.equal(rangeStillHolds(etag, etag), true);
  assert.equal(rangeStillHolds('"x"', etag), false);
  assert.equal(rangeStillHolds('W/"abc"', etag), false);
});

test('no name can break out of Content-Disposition', () => {
  for (const name of ['plain.txt', 'a"b;c\\d.txt', 'größe 100%.pdf', "it's (1)*.txt", '\u202Egnp.exe', '日本語', '🎉']) {
    const header = contentHeaders(name)['content-disposition'] ?? '';
    const match = /^attachment; filename="([\w .()-]*)"; filename\*=UTF-8''([\w.!~%-]*)$/.exec(header);
    assert.ok(match !== null, header);
    assert.equal(decodeURIComponent(match[2] as string), name);
  }
});
