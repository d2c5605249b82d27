import { test } from 'node:test';
import { testSeed } from '../Models/testing/test_seed.ts';
import { killAtRandom } from './sync_kills.ts';

const KILLS = 8;

test(`${KILLS} SIGKILLs of clients and servers, cut connections, old logins: all devices end with the same, and nothing is lost`, async (t) => {
  const seed = testSeed('kills of devices');
  t.diagnostic(`seed ${seed}`);
  const report = await killAtRandom({ kills: KILLS, seed, print: (line) => t.diagnostic(line) });
  t.diagnostic(JSON.stringify(report));
});
