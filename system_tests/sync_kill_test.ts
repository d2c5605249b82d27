import { test } from 'node:test';
import { killAtRandom, newSeed } from './sync_kills.ts';

const KILLS = 8;

test(`${KILLS} SIGKILLs of clients and servers, cut connections, old logins: all devices end with the same, and nothing is lost`, async (t) => {
  const seed = newSeed();
  t.diagnostic(`seed ${seed}`);
  const report = await killAtRandom({ kills: KILLS, seed, print: (line) => t.diagnostic(line) });
  t.diagnostic(JSON.stringify(report));
});
