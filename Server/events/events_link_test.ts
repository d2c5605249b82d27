import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LIMITS } from '../../Models/limits.ts';
import { EventLink } from './events_link.ts';

test('between two hints is the whole gap that is promised, however many changes there are', async () => {
  const sentMs: number[] = [];
  const link = new EventLink({
    send: (_text, sent) => {
      sentMs.push(performance.now());
      sent();
    },
    ping: () => undefined,
    close: () => undefined,
    terminate: () => undefined,
  });
  for (let n = 1; sentMs.length < 12; n += 1) {
    await setImmediate();
    link.tell({ server: '01234567', us: n });
  }
  link.gone();
  for (const [n, ms] of sentMs.slice(1).entries()) assert.ok(ms >= (sentMs[n] as number) + LIMITS.eventGapMs, sentMs.join(' '));
});
