import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Moment } from '../../../Models/events.ts';
import type { Past } from '../../../Models/tree_frames.ts';
import { News } from './http_remote_news.ts';

const at = (us: number, server = '0a0b0c0d'): Moment => ({ server, us });

/** What is heard of hints that come during a push and after it. */
async function heard(past: Past | null, during: readonly (Moment | null)[], after: readonly (Moment | null)[] = []) {
  const news = new News();
  const hints = { during: 0, after: 0, later: 0 };
  let now: keyof typeof hints = 'during';
  const onHint = (): void => {
    hints[now] += 1;
  };
  const cursor = await news.afterPush(async () => {
    for (const moment of during) news.hear(moment, onHint);
    now = 'after';
    return past;
  });
  now = 'later';
  for (const moment of after) news.hear(moment, onHint);
  return { cursor, ...hints };
}

test('hints of what a push did are no news, whether they come before its answer or behind it', async () => {
  const past = { cursor: 'past', at: at(10) };
  assert.deepEqual(await heard(past, [at(8), at(9)], [at(9)]), { cursor: 'past', during: 0, after: 0, later: 0 });
});

test('what was done after the push was answered, or nobody knows when, or on another server, is news', async () => {
  const past = { cursor: 'past', at: at(10) };
  for (const moment of [at(10), at(11), null, at(3, 'ffffffff')]) {
    assert.deepEqual(await heard(past, [at(9), moment, at(9)]), { cursor: 'past', during: 0, after: 1, later: 0 });
    assert.deepEqual(await heard(past, [], [at(9), moment, moment]), { cursor: 'past', during: 0, after: 0, later: 2 });
  }
});

test('of a push behind which there is more, one hint is heard once it has ended', async () => {
  assert.deepEqual(await heard(null, [at(8), at(9)], [at(9)]), { cursor: null, during: 0, after: 1, later: 1 });
});

test('what came during a push that fails is heard', async () => {
  const news = new News();
  let hints = 0;
  const pushing = news.afterPush(async () => {
    news.hear(at(8), () => {
      hints += 1;
    });
    throw new Error('broken');
  });
  await assert.rejects(pushing, { message: 'broken' });
  assert.equal(hints, 1);
});
