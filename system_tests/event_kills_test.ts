import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../Models/testing/test_seed.ts';
import { killFollowers } from './event_kills.ts';

const seed = testSeed('kills of followers');

test(`who follows events and is killed, or whose server is, goes on where they were: nothing is missed, nothing comes again that was done with (seed ${seed})`, async (t) => {
  const { changes, again } = await killFollowers({ kills: 4, serverKills: 1, seed });
  t.diagnostic(`${changes} changes, ${again} came again because they were not marked`);
  assert.ok(changes > 0);
});
