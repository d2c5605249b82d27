import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { applyDelta, signatureOf, writeDelta } from './delta.ts';
import { AppError } from './errors.ts';
import { FrameWriter } from './frames.ts';
import { LIMITS } from './limits.ts';

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

function delta(base: Uint8Array, content: Uint8Array): { script: Uint8Array; newBytes: number } {
  const writer = new FrameWriter();
  const newBytes = writeDelta(writer, content, signatureOf(base, sha256), sha256);
  return { script: writer.take(), newBytes };
}

const base = randomBytes(1_300_001);
const edits: Record<string, Uint8Array> = {
  'one byte put in at the head': Buffer.concat([Buffer.from('!'), base]),
  'one byte put in in the middle': Buffer.concat([base.subarray(0, 700_000), Buffer.from('!'), base.subarray(700_000)]),
  'one byte taken out': Buffer.concat([base.subarray(0, 99_999), base.subarray(100_000)]),
  'a block moved to the end': Buffer.concat([base.subarray(200_000), base.subarray(0, 200_000)]),
  'nothing changed': base,
  'nothing in common': randomBytes(900_000),
  'shorter than a block': base.subarray(5, 105),
  'changed at the very end': Buffer.concat([base.subarray(0, -1), Buffer.from('!')]),
  empty: Buffer.alloc(0),
  'the same byte over and over': Buffer.alloc(600_000, 7),
};

for (const [name, content] of Object.entries(edits)) {
  test(`a delta gives back the content: ${name}`, () => {
    const { script } = delta(base, content);
    assert.ok(Buffer.from(applyDelta(script, base, content.length)).equals(content));
  });
}

test('one byte put in at the head costs one new byte', () => {
  const { script, newBytes } = delta(base, edits['one byte put in at the head'] as Uint8Array);
  assert.equal(newBytes, 1);
  assert.ok(script.length < 32, String(script.length));
});

test('the longest chunk has a short signature, and an edit inside it costs a block or two', () => {
  const long = randomBytes(LIMITS.chunkBytesMax);
  assert.ok(signatureOf(long, sha256).length <= 4 + 6 * LIMITS.deltaBlocksMax);
  const edited = Buffer.concat([long.subarray(0, 2_000_000), Buffer.from('!'), long.subarray(2_000_001)]);
  const { script, newBytes } = delta(long, edited);
  assert.ok(newBytes <= 2 * Math.ceil(LIMITS.chunkBytesMax / LIMITS.deltaBlocksMax), String(newBytes));
  assert.ok(Buffer.from(applyDelta(script, long, edited.length)).equals(edited));
});

test('a repetitive base does not break the copies up', () => {
  const zeros = Buffer.alloc(1 << 20, 7);
  const { script } = delta(zeros, zeros);
  assert.ok(script.length < 64, String(script.length));
});

test('a script that reaches beyond the base, is cut, or makes too much or too little is refused', () => {
  const content = edits['one byte put in in the middle'] as Uint8Array;
  const { script } = delta(base, content);
  const refused = (run: () => unknown, code: string): void =>
    assert.throws(run, (error: unknown) => error instanceof AppError && error.code === code);
  refused(() => applyDelta(script, base.subarray(0, 500_000), content.length), 'length_mismatch');
  refused(() => applyDelta(script, base, content.length - 1), 'length_mismatch');
  refused(() => applyDelta(script, base, content.length + 1), 'length_mismatch');
  refused(() => applyDelta(script.subarray(0, script.length - 1), base, content.length), 'frame_invalid');
  refused(() => applyDelta(Uint8Array.of(2, 0, 0, 0, 0), base, 1), 'frame_invalid');
  refused(() => applyDelta(script, base, LIMITS.chunkBytesMax + 1), 'too_large');
  refused(() => writeDelta(new FrameWriter(), content, new Uint8Array(5), sha256), 'frame_invalid');
});
