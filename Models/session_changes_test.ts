import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TEXTS } from './datagrams.ts';
import { CHANGES, type Change, decodeChange, decodeOutcome, encodeChange, encodeOutcome } from './session_changes.ts';

const ID = '0123456789abcdef'.repeat(2);
const EXAMPLES: readonly Change[] = [
  { kind: 'renameDevice', deviceId: ID, name: 'zoë’s phone' },
  { kind: 'revokeDevice', deviceId: ID },
  { kind: 'endSession', sessionId: ID },
  { kind: 'setDisplayName', displayName: 'Zoë Ångström' },
  { kind: 'setEmail', email: 'zoe@example.org' },
];

test('every change is read back as it was written, in a text of one length', () => {
  assert.deepEqual(new Set(EXAMPLES.map(({ kind }) => kind)), new Set(Object.keys(CHANGES)));
  for (const change of EXAMPLES) {
    const text = encodeChange(1_800_000_000_000, change);
    assert.equal(text.length, 8 + 1 + TEXTS.change.body);
    assert.deepEqual(decodeChange(text), { number: 1_800_000_000_000, change });
  }
  const text = encodeChange(1, { kind: 'revokeDevice', deviceId: ID });
  assert.equal(Buffer.from(text.subarray(0, 26)).toString('hex'), `000000000000000102${ID}00`);
});

test('codes are given once, and one that is not known here is told apart from rubbish', () => {
  const codes = Object.values(CHANGES).map(({ code }) => code);
  assert.equal(new Set(codes).size, codes.length);
  const text = encodeChange(5, { kind: 'revokeDevice', deviceId: ID });
  const unknown = Uint8Array.from(text);
  unknown[8] = 250;
  assert.deepEqual(decodeChange(unknown), { number: 5, change: null });
  const tail = Uint8Array.from(text);
  tail[tail.length - 1] = 1;
  assert.equal(decodeChange(tail), null);
  assert.equal(decodeChange(text.subarray(1)), null);
  const vast = Uint8Array.from(text).fill(255, 0, 8);
  assert.equal(decodeChange(vast), null);
});

test('an outcome is read back, and nothing else is one', () => {
  const outcome = { result: 'not_found', number: 77 } as const;
  assert.deepEqual(decodeOutcome(encodeOutcome(outcome)), outcome);
  assert.equal(decodeOutcome(new Uint8Array(9).fill(200)), null);
  assert.equal(decodeOutcome(new Uint8Array(8)), null);
});
