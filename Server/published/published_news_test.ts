import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import type { PublishedMessage } from '../../Models/rest_published.ts';
import { PublishedNews } from './published_news.ts';

const OWNER = { userId: 'ann', userName: 'ann', deviceId: 'd' };
const FILES = Array.from({ length: 1000 }, (_, n) => ({ path: `${n}`.padStart(200, 'x'), size: 1, digest: 'ab'.repeat(32) }));

/** What is sent of a change of a thousand files when so many devices hear of it. */
function sentTo(devices: number): string[] {
  const sent: string[] = [];
  const online = Array.from({ length: devices }, (_, n) => ({ ...OWNER, deviceId: String(n), sinceMs: 0 }));
  const news = new PublishedNews({
    publications: { toldOf: () => assert.fail('it was told') },
    presence: { online: () => [], everybody: () => online, send: (_device, text) => sent.push(text) },
    serving: { onChange: () => () => undefined },
    log: pino({ level: 'silent' }),
  });
  const publication = { ...OWNER, id: '1'.repeat(32), name: 'set' };
  news.tellNow({ publication, readers: 'everyone' }, { change: 'files', files: FILES });
  return sent;
}

test('the more devices hear of a change, the less it names: nobody makes the server send without measure', () => {
  const [alone, ...others] = sentTo(1).map((text) => JSON.parse(text) as PublishedMessage);
  assert.equal(others.length, 0);
  assert.ok(alone?.more === true && alone.files.length > 40 && alone.files.length < FILES.length);
  const many = sentTo(8000);
  assert.equal(many.length, 8000);
  assert.ok(many.reduce((sum, text) => sum + text.length, 0) < 4 * 1024 * 1024);
  assert.deepEqual(JSON.parse(many[0] ?? '').more, true);
});
