import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameWriter } from './frames.ts';
import { type ManifestRuns, RunWriter, readManifestRuns, writeManifestRuns } from './manifest_runs.ts';
import { resolveRuns } from './operation_frames.ts';
import type { ChunkRef } from './operations.ts';

const chunk = (letter: string): ChunkRef => ({ digest: new Uint8Array(32).fill(letter.charCodeAt(0)), length: letter.charCodeAt(0) });
const chunks = (letters: string): ChunkRef[] => Array.from(letters, chunk);
const letterOf = ({ length }: ChunkRef): string => String.fromCharCode(length);

/** Runs as text: new chunks as letters, those of the base as `first+count`; and what was expected before each chunk. */
function told(base: string, letters: string) {
  const writer = new RunWriter(chunks(base));
  let expected = '';
  for (const one of chunks(letters)) {
    expected += writer.expected === null ? '-' : letterOf(writer.expected);
    writer.add(one);
  }
  assert.deepEqual(resolveRuns(writer.runs, chunks(base)), chunks(letters));
  return { runs: writer.runs.map((run) => ('digest' in run ? letterOf(run) : `${run.first}+${run.count}`)).join(' '), expected };
}

test('chunks that the base has are told as runs of it; a new one stands in the place of the one that was expected', () => {
  assert.deepEqual(told('abcd', 'abcd'), { runs: '0+4', expected: 'abcd' });
  assert.deepEqual(told('abcd', 'axcd'), { runs: '0+1 x 2+2', expected: 'abcd' });
  assert.deepEqual(told('abcd', 'axyd'), { runs: '0+1 x y 3+1', expected: 'abcd' });
  assert.deepEqual(told('abcd', 'xabcd'), { runs: 'x 0+4', expected: 'abbcd' });
  assert.deepEqual(told('abcd', 'cdab'), { runs: '2+2 0+2', expected: 'ad-b' });
  assert.deepEqual(told('aaaa', 'aaa'), { runs: '0+3', expected: 'aaa' });
  assert.deepEqual(told('', 'ab'), { runs: 'a b', expected: '--' });
  assert.deepEqual(told('ab', ''), { runs: '', expected: '' });
});

test('a manifest in runs is laid out like this, byte by byte, and comes back the same', () => {
  const manifest: ManifestRuns = { version: 5, size: 3, digest: new Uint8Array(32).fill(0xab), runs: [chunk('a'), { first: 1, count: 2 }] };
  const writer = new FrameWriter();
  writeManifestRuns(writer, manifest);
  const bytes = writer.take();
  const hex = `0d00000063 01 4014000000000000 4008000000000000 ${'ab'.repeat(32)} 00000002 00 ${'61'.repeat(32)} 00000061 01 00000001 00000002`;
  assert.equal(Buffer.from(bytes).toString('hex'), hex.replaceAll(' ', ''));
  assert.deepEqual(readManifestRuns(bytes.subarray(5)), manifest);
  writeManifestRuns(writer, null);
  assert.equal(readManifestRuns(writer.take().subarray(5)), null);
  assert.throws(() => readManifestRuns(bytes.subarray(5, -1)), { code: 'frame_invalid' });
});
