import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration, parseTime } from './times.ts';

const NOW = new Date(2026, 10, 27, 20, 30);

test('a length of time has a number and a unit', () => {
  for (const [text, ms] of [
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['1w', 604_800_000],
  ] as const)
    assert.equal(parseDuration(text), ms, text);
  for (const text of ['', '7', 'd', '-1d', '1.5h', '7 d', '7D', '1y', '12345678d']) {
    assert.throws(() => parseDuration(text), { code: 'request_invalid' }, text);
  }
});

test('a moment is a time of day, a day, both, or how long ago', () => {
  for (const [text, time] of [
    ['14:05', new Date(2026, 10, 27, 14, 5)],
    ['9:00:30', new Date(2026, 10, 27, 9, 0, 30)],
    ['2026-11-01', new Date(2026, 10, 1)],
    ['2026-11-01 08:15', new Date(2026, 10, 1, 8, 15)],
    ['2026-11-01T08:15:00Z', new Date(Date.UTC(2026, 10, 1, 8, 15))],
    ['30m', new Date(2026, 10, 27, 20, 0)],
  ] as const)
    assert.deepEqual(parseTime(text, NOW), time, text);
  for (const text of ['', 'yesterday', '24:00', '12:60', '1:5', '2026-13-01', '2026-11-01 noon', '27.11.2026', '0']) {
    assert.throws(() => parseTime(text, NOW), { code: 'request_invalid' }, text);
  }
});
