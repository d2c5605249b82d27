import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatBytes } from '../../Models/format_bytes.ts';
import { parseBytes } from '../../Models/parse_bytes.ts';
import { countOf, formatSeconds, formatTime } from './format.ts';
import { createProgressLine, progressText } from './progress.ts';

describe('figures for a person', () => {
  const BYTES: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [12_345, '12.3 kB'],
    [99_949, '99.9 kB'],
    [99_950, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [2 ** 30, '1.1 GB'],
    [5e15, '5000 TB'],
  ];
  for (const [bytes, text] of BYTES) it(`${bytes} bytes are ${text}`, () => assert.equal(formatBytes(bytes), text));

  for (const [text, bytes] of [
    ['800', 800],
    ['500K', 500_000],
    ['1.5m', 1_500_000],
    ['2GB', 2_000_000_000],
    ['1T', 1e12],
  ] as const)
    it(`${text} is ${bytes} bytes`, () => assert.equal(parseBytes(text), bytes));
  for (const text of ['', 'K', '-1', '1e6', '1.2345M', '1 M', '2KiB', '9999999999999', '999999999999T']) {
    it(`"${text}" is no size`, () => assert.throws(() => parseBytes(text), { code: 'request_invalid' }));
  }

  const SECONDS: [number, string][] = [
    [0.04, '0.0 s'],
    [9.94, '9.9 s'],
    [9.96, '10 s'],
    [59.6, '1 min 0 s'],
    [125, '2 min 5 s'],
    [3725, '1 h 2 min'],
  ];
  for (const [seconds, text] of SECONDS) it(`${seconds} seconds are ${text}`, () => assert.equal(formatSeconds(seconds), text));

  it('counts in words', () =>
    assert.deepEqual([countOf(0, 'file'), countOf(1, 'file'), countOf(12_345, 'file')], ['0 files', '1 file', '12,345 files']));

  it('tells times to the minute, and no nonsense', () => {
    assert.match(formatTime('2026-11-20T15:20:31.123456Z'), /^2026-11-2\d \d\d:\d\d$/);
    assert.equal(formatTime('\u001b[31m'), '-');
  });
});

describe('the progress line', () => {
  const half = { filesDone: 1234, filesTotal: 10_000, bytesDone: 20_000_000, bytesTotal: 40_000_000, bytesPerSecond: 5_000_000 };

  it('says how far, how much, how fast and how long', () => {
    assert.equal(progressText(half), '████████████░░░░░░░░░░░░   50 %  1,234 of 10,000 files  20.0 MB of 40.0 MB  5.0 MB/s  4.0 s left');
  });

  it('shows no share before the whole is known', () => {
    assert.equal(progressText({ ...half, filesTotal: null, bytesTotal: null }), '1,234 files  20.0 MB  5.0 MB/s');
  });

  it('goes by files when there are no bytes, and never above the whole', () => {
    assert.match(progressText({ ...half, bytesDone: 0, bytesTotal: 0, filesDone: 5, filesTotal: 10 }), / 50 % /);
    assert.match(progressText({ ...half, bytesDone: 50_000_000 }), /100 % /);
    assert.match(progressText({ ...half, filesDone: 0, filesTotal: 0, bytesDone: 0, bytesTotal: 0 }), /100 % /);
  });

  it('is drawn at most ten times a second, fits the terminal and goes away', () => {
    let now = 0;
    let drawn = '';
    const screen = {
      columns: 40,
      write: (text: string) => {
        drawn += text;
      },
    };
    const line = createProgressLine(screen, () => now);
    for (now = 0; now < 1000; now += 1) line.update(half);
    const lines = drawn.split('\r\u001b[K').slice(1);
    assert.equal(lines.length, 10);
    for (const text of lines) assert(text.length < 40);
    line.clear();
    assert(drawn.endsWith('\r\u001b[K'));
  });

  it('is not drawn where nobody watches', () => {
    const line = createProgressLine(null);
    line.update(half);
    line.clear();
  });
});
