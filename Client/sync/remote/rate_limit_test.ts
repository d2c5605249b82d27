import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { Http, StreamOptions } from '../../http.ts';
import { ManualClock } from '../testing/manual_clock.ts';
import { meters, pacedHttp, type RateLimits, RateMeter, TokenBucket } from './rate_limit.ts';

/** Sends what it gets back. */
const mirror: Http = {
  json: () => Promise.reject(new Error('not scripted')),
  stream: async (_method, _route, { body }: StreamOptions = {}) => ({
    status: 200,
    headers: {},
    body: Readable.from(body as AsyncIterable<Uint8Array>, { objectMode: false }),
  }),
  close: async () => undefined,
};

async function* blocks(count: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i += 1) yield new Uint8Array(bytes).fill(i);
}

/** @returns a count of what has come so far, and whether all has */
async function flow(clock: ManualClock, limits: RateLimits, body: AsyncIterable<Uint8Array>) {
  const answer = await pacedHttp(mirror, limits, clock).stream('POST', '/', { body });
  const came = { bytes: 0, ended: false, content: [] as Buffer[] };
  const read = async (): Promise<void> => {
    for await (const piece of answer.body as AsyncIterable<Buffer>) {
      came.bytes += piece.length;
      came.content.push(piece);
    }
    came.ended = true;
  };
  read().catch((error: unknown) => assert.fail(String(error)));
  for (let i = 0; i < 50; i += 1) await setImmediate();
  return came;
}

async function passSteps(clock: ManualClock, seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 20; i += 1) {
    await clock.pass(50);
    for (let j = 0; j < 4; j += 1) await setImmediate();
  }
}

for (const direction of ['upBytesPerSecond', 'downBytesPerSecond'] as const) {
  test(`${direction}: no more than that goes through, and not much less`, async () => {
    const clock = new ManualClock();
    const limits: RateLimits = { upBytesPerSecond: undefined, downBytesPerSecond: undefined, [direction]: 100_000 };
    const came = await flow(clock, limits, blocks(10, 100_000));
    assert.ok(came.bytes < 50_000, `${came.bytes} at once`);
    await passSteps(clock, 5);
    assert.ok(came.bytes > 430_000 && came.bytes < 560_000, `${came.bytes} in five seconds`);
    await passSteps(clock, 8);
    assert.ok(came.ended);
    assert.deepEqual(Buffer.concat(came.content), Buffer.concat(Array.from({ length: 10 }, (_, i) => Buffer.alloc(100_000, i))));
  });
}

test('a limit that is lifted or set while bytes flow is obeyed within a second', async () => {
  const clock = new ManualClock();
  const limits: RateLimits = { upBytesPerSecond: 1000, downBytesPerSecond: undefined };
  const came = await flow(clock, limits, blocks(10, 100_000));
  await passSteps(clock, 3);
  assert.ok(came.bytes < 40_000, `${came.bytes} bytes`);
  limits.upBytesPerSecond = undefined;
  await passSteps(clock, 1);
  for (let i = 0; i < 100; i += 1) await setImmediate();
  assert.ok(came.ended);
});

test('a meter tells what passes in a second, and nothing once nothing does', async () => {
  const clock = new ManualClock();
  const meter = new RateMeter(clock);
  assert.equal(meter.bytesPerSecond, 0);
  for (let i = 0; i < 50; i += 1) {
    meter.add(10_000);
    await clock.pass(100);
    if (i > 20) assert.ok(Math.abs(meter.bytesPerSecond - 100_000) <= 10_000, `${meter.bytesPerSecond} after ${i}`);
  }
  await clock.pass(2000);
  assert.equal(meter.bytesPerSecond, 0);
});

test('what is streamed is measured in each direction', async () => {
  const clock = new ManualClock();
  const passed = meters(clock);
  const body = Readable.from(blocks(2, 50_000), { objectMode: false });
  const answer = await pacedHttp(mirror, { upBytesPerSecond: undefined, downBytesPerSecond: undefined }, clock, passed).stream(
    'POST',
    '/',
    { body },
  );
  for await (const _ of answer.body as AsyncIterable<Buffer>);
  assert.deepEqual([passed.up.bytesPerSecond, passed.down.bytesPerSecond], [100_000, 100_000]);
});

test('what was not used is not saved up', async () => {
  const clock = new ManualClock();
  const bucket = new TokenBucket(() => 10_000, clock);
  await bucket.take(1);
  await clock.pass(60_000);
  await bucket.take(1000);
  await bucket.take(1000);
  let through = false;
  const third = bucket.take(1).then(() => {
    through = true;
  });
  await setImmediate();
  assert.ok(!through);
  await clock.pass(200);
  await third;
});
