import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatRate, parseRate } from './rates.ts';

for (const [text, rate] of [
  ['500K', 500_000],
  ['2M', 2_000_000],
  ['1.5m', 1_500_000],
  ['800000', 800_000],
  ['1G', 1_000_000_000],
  ['none', null],
  ['0', null],
] as const) {
  it(`the rate ${text} is ${rate} bytes per second`, () => assert.equal(parseRate(text), rate));
}

for (const text of ['', 'K', '2MB', '-1M', '1e6', '1.2345M', '999', '0.5K', '9999999999999', '1 M', '٣M']) {
  it(`"${text}" is no rate`, () => assert.throws(() => parseRate(text), { code: 'request_invalid' }));
}

it('rates are shown with their unit', () => assert.equal(formatRate(2_000_000), '2.0 MB/s'));
