import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCookies } from './cookies.ts';
import { createRateLimit } from './rate_limit.ts';
import { createRecentWork } from './recent_work.ts';
import { createSealedStates, type HalfOpenLogin } from './sealed_state.ts';
import { isLoopback, type Source, sourceGroup } from './source.ts';
import { createWorkQueue } from './work_queue.ts';

const HERE: Source = { address: '192.0.2.1', port: 1000 };
const clockAt = (atMs: number): { atMs: number; now: () => number } => {
  const clock = { atMs, now: () => clock.atMs };
  return clock;
};

test('a cookie is good for its own address and port, for two to four minutes', () => {
  const clock = clockAt(1_000_000);
  const cookies = createCookies(clock.now);
  const cookie = cookies.make(HERE);
  assert.equal(cookie.length, 16);
  assert.ok(cookies.check(HERE, cookie));
  assert.ok(!cookies.check({ ...HERE, port: 1001 }, cookie));
  assert.ok(!cookies.check({ ...HERE, address: '192.0.2.2' }, cookie));
  assert.ok(!createCookies(clock.now).check(HERE, cookie));
  clock.atMs += 120_000;
  assert.ok(cookies.check(HERE, cookie));
  clock.atMs += 120_000;
  assert.ok(!cookies.check(HERE, cookie));
});

test('over HTTP a cookie is good for the address without the port, and one from there is not good over UDP', () => {
  const cookies = createCookies(() => 1_000_000);
  const there: Source = { address: '::ffff:192.0.2.1', port: 0, via: 'http' };
  assert.ok(cookies.check(there, cookies.make(HERE)));
  assert.ok(cookies.check(there, cookies.make(there)));
  assert.ok(!cookies.check({ ...there, address: '192.0.2.2' }, cookies.make(there)));
  assert.ok(!cookies.check(HERE, cookies.make(there)));
  assert.ok(!cookies.check({ ...HERE, port: 0 }, cookies.make(there)));
});

test('a clock that goes back makes old cookies worthless, and new ones work', () => {
  const clock = clockAt(1_000_000);
  const cookies = createCookies(clock.now);
  const before = cookies.make(HERE);
  clock.atMs -= 500_000;
  assert.ok(!cookies.check(HERE, before));
  assert.ok(cookies.check(HERE, cookies.make(HERE)));
});

const bytesIn = (login: HalfOpenLogin | null) =>
  login === null
    ? {}
    : {
        userId: Buffer.from(login.userId),
        counter: Buffer.from(login.counter),
        record: Buffer.from(login.record),
        transcript: Buffer.from(login.transcript),
        opaque: Buffer.from(login.opaque),
      };

test('a sealed login opens for its own transaction and address, within a minute', () => {
  const clock = clockAt(1_000_000);
  const states = createSealedStates(clock.now);
  const login = {
    issuedAtMs: clock.atMs,
    userId: Buffer.alloc(16, 1),
    counter: Buffer.alloc(16, 6),
    record: Buffer.alloc(32, 7),
    transcript: Buffer.alloc(32, 2),
    opaque: Buffer.alloc(128, 3),
  };
  const transaction = Buffer.alloc(16, 4);
  const sealed = states.seal(login, transaction, HERE);
  const opened = states.open(sealed, transaction, HERE);
  assert.deepEqual({ ...opened, ...bytesIn(opened) }, login);
  assert.equal(states.open(sealed, Buffer.alloc(16, 5), HERE), null);
  assert.equal(states.open(sealed, transaction, { ...HERE, address: '192.0.2.2' }), null);
  assert.notEqual(states.open(sealed, transaction, { ...HERE, port: 0, via: 'http' }), null, 'it may go on over HTTP');
  assert.equal(createSealedStates(clock.now).open(sealed, transaction, HERE), null);
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Uint8Array.from(sealed);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.equal(states.open(changed, transaction, HERE), null);
  }
  clock.atMs += 60_000;
  assert.notEqual(states.open(sealed, transaction, HERE), null);
  clock.atMs += 1;
  assert.equal(states.open(sealed, transaction, HERE), null);
});

test('a source has its burst, then its rate, and is told how long to wait; others are not held up', () => {
  const clock = clockAt(0);
  const waitMs = createRateLimit({ perSecond: 20, burst: 5 }, clock.now);
  const waits = Array.from({ length: 7 }, () => waitMs('here'));
  assert.deepEqual(waits, [0, 0, 0, 0, 0, 50, 50]);
  assert.equal(waitMs('there'), 0);
  clock.atMs += 50;
  assert.equal(waitMs('here'), 0);
  assert.equal(waitMs('here'), 50);
  clock.atMs -= 1000; // a clock that goes back takes nothing away
  assert.equal(waitMs('here'), 50);
  clock.atMs += 60_000;
  assert.deepEqual(
    Array.from({ length: 6 }, () => waitMs('here')),
    [0, 0, 0, 0, 0, 50],
  );
});

test('the limiter forgets the oldest of very many sources, so that it does not grow', () => {
  const waitMs = createRateLimit({ perSecond: 1, burst: 1 }, () => 0);
  waitMs('here');
  assert.ok(waitMs('here') > 0);
  for (let n = 0; n < 100_000; n += 1) waitMs(`10.${n}`);
  assert.equal(waitMs('here'), 0);
});

test('an IPv6 subscriber is one source, an IPv4 address in IPv6 clothes is itself', () => {
  const table: readonly [string, string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::9', '2001:db8:1:2'],
    ['2001:db8::9', '2001:db8:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['::1', '0:0:0:0'],
  ];
  for (const [address, group] of table) assert.equal(sourceGroup({ address, port: 1 }), group);
});

test('loopback is loopback in every form, and nothing else is', () => {
  for (const address of ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1']) {
    assert.ok(isLoopback({ address, port: 1 }), address);
    assert.ok(!isLoopback({ address, port: 0, via: 'http' }), 'what was carried never is');
  }
  for (const address of ['192.0.2.1', '2001:db8::1', '128.0.0.1', '::ffff:10.0.0.1', '127.evil', '::'])
    assert.ok(!isLoopback({ address, port: 1 }), address);
});

test('the queue begins its work in order and refuses what is too much', async () => {
  const queue = createWorkQueue(3);
  const begun: number[] = [];
  const work = [1, 2, 3, 4].map((n) =>
    queue.run(async () => {
      begun.push(n);
      return n;
    }),
  );
  assert.equal(work[3], null);
  assert.deepEqual(begun, []); // nothing is worked on while datagrams are being taken in
  assert.deepEqual(await Promise.all(work.map((one) => one ?? Promise.resolve(null))), [1, 2, 3, null]);
  assert.deepEqual(begun, [1, 2, 3]);
  const failing = queue.run(async () => {
    throw new Error('no');
  });
  await assert.rejects(failing ?? Promise.resolve());
  assert.equal(await queue.run(async () => 5), 5);
});

test('results are kept for the last bytes only, and never a failure or what is not to be kept', async (t) => {
  const done = createRecentWork<number | null>(2, (result) => result !== 9);
  const bytes = (n: number): Uint8Array => Uint8Array.of(n);
  done.put(bytes(1), Promise.resolve(11));
  done.put(bytes(2), Promise.resolve(null));
  assert.equal(await done.get(bytes(1)), 11);
  assert.equal(await done.get(bytes(2)), null);
  const failing = Promise.reject(new Error('no'));
  done.put(bytes(3), failing);
  await assert.rejects(failing);
  assert.equal(done.get(bytes(3)), undefined);
  assert.equal(done.get(bytes(1)), undefined);
  done.put(bytes(4), Promise.resolve(9));
  assert.equal(await done.get(bytes(4)), 9); // while it is worked on
  await t.waitFor(() => assert.equal(done.get(bytes(4)), undefined));
});
