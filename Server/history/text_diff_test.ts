import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shareOfThread } from '../../Models/testing/processor_time.ts';
import { textDiff } from './text_diff.ts';
import { textDiffApart } from './text_diff_thread.ts';

const side = (name: string, content: string | Buffer) => ({ name, content: Buffer.from(content) });

test('a unified diff tells which lines went and which came', () => {
  const diff = textDiff(side('/f version 1', 'a\nb\nc\n'), side('/f version 2', 'a\nB\nc\nd\n'));
  assert.equal(diff, '--- /f version 1\n+++ /f version 2\n@@ -1,3 +1,4 @@\n a\n-b\n+B\n c\n+d\n');
  assert.equal(textDiff(side('x', 'same'), side('y', 'same')), '');
  assert.match(textDiff(side('x', ''), side('y', 'no newline')), /^\+no newline\n\\ No newline at end of file$/m);
});

test('what is not text is refused, whichever side it is', () => {
  for (const bytes of [Buffer.from([0x61, 0, 0x62]), Buffer.from([0xff, 0xfe, 0x41]), Buffer.from([0xed, 0xa0, 0x80])]) {
    assert.throws(() => textDiff(side('x', bytes), side('y', 'text')), { code: 'not_text' });
    assert.throws(() => textDiff(side('x', 'text'), side('y', bytes)), { code: 'not_text' });
  }
});

test('in a thread the same comes out, refusals too, and meanwhile others are answered', async () => {
  assert.equal(await textDiffApart(side('x', 'a\n'), side('y', 'b\n')), textDiff(side('x', 'a\n'), side('y', 'b\n')));
  await assert.rejects(textDiffApart(side('x', Buffer.of(0)), side('y', '')), { code: 'not_text', message: 'x is not text' });
  const lines = (seed: string): string => Array.from({ length: 100_000 }, (_, i) => `${seed}${i}`).join('\n');
  const [from, to] = [side('x', lines('a')), side('y', lines('b'))];
  const share = await shareOfThread(() => assert.rejects(textDiffApart(from, to), { code: 'too_large' }));
  assert.ok(share < 0.25, `${share} of the work is done where the loop is`);
});

test('two texts that differ in everything are given up on soon', () => {
  const lines = (seed: string): string => Array.from({ length: 100_000 }, (_, i) => `${seed}${i}`).join('\n');
  const before = process.threadCpuUsage();
  assert.throws(() => textDiff(side('x', lines('a')), side('y', lines('b'))), { code: 'too_large' });
  assert.ok(process.threadCpuUsage(before).user < 5_000_000);
});
