import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCut, isCut } from './chunking.ts';
import { LIMITS } from './limits.ts';

/** Bytes from a seeded xorshift, so that a failure can be repeated. */
function randomBytes(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let x = seed | 1;
  for (let i = 0; i < length; i += 1) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = x;
  }
  return bytes;
}

function cuts(bytes: Uint8Array): number[] {
  const ends: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    at = findCut(bytes, at, Math.min(bytes.length, at + LIMITS.chunkBytesMax));
    ends.push(at);
  }
  return ends;
}

const bytes = randomBytes(24 << 20, 7);
const GOLDEN = [570_023, 2_094_102, 3_946_972, 4_632_070, 6_889_908, 8_404_964];

test('chunks keep to the limits and are about 1 MiB on average', () => {
  const ends = cuts(bytes);
  let start = 0;
  for (const end of ends) {
    assert.ok(end - start <= LIMITS.chunkBytesMax);
    if (end !== bytes.length) assert.ok(end - start > LIMITS.chunkBytesMin);
    start = end;
  }
  const average = bytes.length / ends.length;
  assert.ok(average > 0.7 * LIMITS.chunkBytesNormal && average < 1.6 * LIMITS.chunkBytesNormal, String(average));
});

test('the boundaries are these, for ever: stored content depends on them', () => {
  assert.deepEqual(cuts(bytes).slice(0, 6), GOLDEN);
});

test('one byte put in at the head moves the boundaries by one and changes one chunk', () => {
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  assert.deepEqual(
    cuts(shifted),
    cuts(bytes).map((end) => end + 1),
  );
});

test('content without a boundary is cut at the maximum, a short file not at all', () => {
  const zeros = new Uint8Array(9 << 20).fill(1);
  assert.deepEqual(cuts(zeros), [4 << 20, 8 << 20, 9 << 20]);
  assert.deepEqual(cuts(new Uint8Array(LIMITS.chunkBytesMin)), [LIMITS.chunkBytesMin]);
});

test('a boundary is found wherever it lies, and the first one of several', () => {
  const [end = 0] = cuts(bytes);
  const window = bytes.subarray(end - 32, end);
  const first = LIMITS.chunkBytesMin;
  for (const behind of [32, 33, 1024, 1025, 1055, 2049, 2079, 3073, 3103, 4096, 4097, 4127, 100_001]) {
    const planted = new Uint8Array(first + 200_000).fill(1);
    for (const at of [behind, behind + 5000, behind + 90_000]) planted.set(window, first + at - 32);
    assert.equal(findCut(planted, 0, planted.length), first + behind);
  }
});

test('a cut is known by the bytes before it', () => {
  let start = 0;
  for (const end of cuts(bytes).slice(0, -1)) {
    assert.ok(isCut(bytes, start, end));
    for (const other of [1, 2, 1000, 300_000]) assert.ok(!isCut(bytes, start, end - other), `${other} before ${end}`);
    start = end;
  }
});

test('what is cut only because nothing follows is no cut, but at the maximum', () => {
  const same = new Uint8Array(9 << 20).fill(1);
  assert.ok(!isCut(same, 0, 1 << 20));
  assert.ok(!isCut(same, 0, LIMITS.chunkBytesMin));
  assert.ok(isCut(same, 0, LIMITS.chunkBytesMax));
});
