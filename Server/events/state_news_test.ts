import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { StateNews } from './state_news.ts';

const silent = pino({ level: 'silent' });

test('of one thing only the last state that waits is told, of many each in order, to who follows then', async () => {
  const news = new StateNews(silent);
  const heard: string[] = [];
  const asked: string[] = [];
  const gate = Promise.withResolvers<void>();
  const find =
    (type: string, before: Promise<void> = Promise.resolve()) =>
    async () => {
      asked.push(type);
      await before;
      return { users: ['ann', 'bob'], message: { type } };
    };
  news.tell('a', find('nobody follows'));
  const end = news.follow('ann', (text) => heard.push(`ann ${text}`));
  news.follow('bob', (text) => heard.push(`bob ${text}`));
  news.tell('a', find('a1', gate.promise));
  for (let n = 2; n < 100; n += 1) news.tell('a', find(`a${n}`));
  news.tell('b', find('b1'));
  news.tell('c', async () => {
    throw new Error('the store is away');
  });
  news.tell('d', find('d1'));
  end();
  gate.resolve();
  await news.settled();
  assert.deepEqual(asked, ['a1', 'a99', 'b1', 'd1']);
  assert.deepEqual(
    heard,
    ['a1', 'a99', 'b1', 'd1'].map((type) => `bob {"type":"${type}"}`),
  );
});

test('what comes to be in the moment after the last state was told is told too', async () => {
  const news = new StateNews(silent);
  const heard: string[] = [];
  const find = (type: string) => async () => ({ users: ['ann'], message: { type } });
  news.follow('ann', (text) => {
    if (heard.push(text) === 1) queueMicrotask(() => news.tell('b', find('b')));
  });
  news.tell('a', find('a'));
  while (heard.length === 0) await news.settled();
  await news.settled();
  assert.deepEqual(heard, ['{"type":"a"}', '{"type":"b"}']);
});
