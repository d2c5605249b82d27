import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { DeleteFuse, isHeld } from './delete_fuse.ts';

const who = (deviceId: string) => ({ userId: 'u', userName: 'u', deviceId });

test('the files of a space are counted once in a window, and not before a hundred have gone', async () => {
  let nowMs = 0;
  let countings = 0;
  const fuse = new DeleteFuse(
    async () => {
      countings += 1;
      return 100_000;
    },
    () => nowMs,
  );
  const one = async (files = 1): Promise<void> => {
    const answer = await fuse.admit(who('d'), { space: 1, files });
    assert.ok(!isHeld(answer));
    answer.settle('done');
  };
  for (let n = 0; n < 100; n += 1) await one();
  assert.equal(countings, 0);
  for (let n = 0; n < 500; n += 1) await one();
  assert.equal(countings, 1);
  nowMs += LIMITS.deleteWindowMs - 1;
  await one();
  assert.equal(countings, 1);
  nowMs += 1;
  await one(200);
  assert.equal(countings, 2);
});

test('two streams at once cannot delete more than one', async () => {
  const counting = Promise.withResolvers<number>();
  const fuse = new DeleteFuse(
    () => counting.promise,
    () => 0,
  );
  const asked = Array.from({ length: 6 }, () => fuse.admit(who('d'), { space: 1, files: 60 }));
  counting.resolve(800);
  const answers = await Promise.all(asked);
  assert.deepEqual(answers.map(isHeld), [false, false, false, true, true, true]);
});

test('of more windows than there may be, those with nothing in them are forgotten first', async () => {
  let nowMs = 0;
  const fuse = new DeleteFuse(
    async () => 0,
    () => nowMs,
  );
  const isBlown = async (device: string): Promise<boolean> => isHeld(await fuse.admit(who(device), { space: 1, files: 101 }));
  for (let n = 0; n < LIMITS.deleteWindowsMax - 1; n += 1) await fuse.admit(who(`${n}`), { space: 1, files: 1 });
  assert.ok(await isBlown('bad'));
  nowMs += LIMITS.deleteWindowMs;
  for (let n = 0; n < LIMITS.deleteWindowsMax - 1; n += 1) await fuse.admit(who(`later ${n}`), { space: 1, files: 1 });
  assert.ok(isHeld(await fuse.admit(who('bad'), { space: 1, files: 1 })), 'still held');
});

test('a user with very many devices lifts nobody else’s hold', async () => {
  const fuse = new DeleteFuse(
    async () => 200,
    () => 0,
  );
  const isBlown = async (userId: string, deviceId: string, files: number) =>
    isHeld(await fuse.admit({ userId, userName: userId, deviceId }, { space: 1, files }));
  assert.ok(await isBlown('victim', 'd', 101));
  for (let n = 0; n < LIMITS.deleteWindowsMax + 10; n += 1) assert.ok(!(await isBlown('other', `${n}`, 1)));
  assert.ok(await isBlown('victim', 'd', 1), 'still held');
});

test('nor does a third, who needs a window when a user with very many devices has taken all', async () => {
  for (const files of [1, 101]) {
    const fuse = new DeleteFuse(
      async () => 200,
      () => 0,
    );
    const isBlown = async (userId: string, deviceId: string, deleted: number) =>
      isHeld(await fuse.admit({ userId, userName: userId, deviceId }, { space: 1, files: deleted }));
    assert.ok(await isBlown('victim', 'd', 101));
    assert.ok(!(await isBlown('half', 'd', 60)));
    for (let n = 0; n < LIMITS.deleteWindowsMax; n += 1) assert.equal(await isBlown('other', `${n}`, files), files > 100);
    for (let n = 0; n < 20; n += 1) assert.ok(!(await isBlown(`third${n}`, 'd', 1)));
    assert.ok(await isBlown('victim', 'd', 1), 'still held');
    assert.ok(await isBlown('half', 'd', 60), 'still counted');
  }
});

test('of windows of very many users one that holds is not given up for another', async () => {
  const fuse = new DeleteFuse(
    async () => 200,
    () => 0,
  );
  const isBlown = async (userId: string, files: number) =>
    isHeld(await fuse.admit({ userId, userName: userId, deviceId: 'd' }, { space: 1, files }));
  assert.ok(await isBlown('victim', 101));
  for (let n = 0; n < LIMITS.deleteWindowsMax + 10; n += 1) assert.ok(!(await isBlown(`${n}`, 1)));
  assert.ok(await isBlown('victim', 1), 'still held');
});
