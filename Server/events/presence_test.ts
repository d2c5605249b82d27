import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type OnlineDevice, Presence } from './presence.ts';

const who = (userId: string, deviceId: string) => ({ userId, userName: userId, deviceId });
const GRACE_MS = 100;

function opened(t: TestContext): { readonly presence: Presence; readonly told: string[] } {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1000 });
  const presence = new Presence({ graceMs: GRACE_MS });
  const told: string[] = [];
  presence.onChange(({ userId, deviceId, sinceMs }, online) => told.push(`${userId} ${deviceId} ${online ? 'came' : 'went'} ${sinceMs}`));
  return { presence, told };
}
const names = (devices: OnlineDevice[]): string[] => devices.map(({ userId, deviceId }) => `${userId} ${deviceId}`).sort();

test('a device comes with its first connection and goes with its last', (t) => {
  const { presence, told } = opened(t);
  const ends = [1, 2].map(() => presence.arrive(who('ann', 'laptop'), () => true));
  t.mock.timers.tick(5);
  ends.push(
    presence.arrive(who('ann', 'phone'), () => true),
    presence.arrive(who('bob', 'laptop'), () => true),
  );
  assert.deepEqual(told, ['ann laptop came 1000', 'ann phone came 1005', 'bob laptop came 1005']);
  assert.deepEqual(names(presence.online(['ann', 'nobody'])), ['ann laptop', 'ann phone']);
  told.length = 0;
  ends[0]?.();
  t.mock.timers.tick(GRACE_MS);
  assert.deepEqual(told, []);
  ends[1]?.();
  t.mock.timers.tick(GRACE_MS - 1);
  assert.ok(presence.isOnline('ann', 'laptop'));
  t.mock.timers.tick(1);
  assert.deepEqual(told, ['ann laptop went 1000']);
  assert.deepEqual([presence.isOnline('ann', 'laptop'), presence.isOnline('bob', 'laptop')], [false, true]);
});

test('a device that comes back in time was never away', (t) => {
  const { presence, told } = opened(t);
  for (let n = 0; n < 3; n += 1) {
    const end = presence.arrive(who('ann', 'laptop'), () => true);
    t.mock.timers.tick(GRACE_MS);
    end();
    t.mock.timers.tick(GRACE_MS - 1);
  }
  assert.deepEqual(told, ['ann laptop came 1000']);
});

test('what is said to a device is said on each of its connections that takes it', (t) => {
  const { presence } = opened(t);
  const heard: string[] = [];
  const outlet =
    (name: string, takes = true) =>
    (text: string) =>
      takes && heard.push(`${name} ${text}`) > 0;
  presence.arrive(who('ann', 'laptop'), outlet('one'));
  const end = presence.arrive(who('ann', 'laptop'), outlet('two'));
  presence.arrive(who('ann', 'laptop'), outlet('full', false));
  presence.arrive(who('bob', 'laptop'), outlet('another user'));
  assert.equal(presence.send(who('ann', 'laptop'), 'hello'), 2);
  end();
  assert.equal(presence.send(who('ann', 'laptop'), 'again'), 1);
  assert.equal(presence.send(who('ann', 'phone'), 'lost'), 0);
  assert.deepEqual(heard, ['one hello', 'two hello', 'one again']);
});
