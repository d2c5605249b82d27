import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { engineSeeds } from './engine_layer.ts';
import type { History } from './history.ts';
import { runHistory } from './run_history.ts';
import { runStory, STORIES } from './scripted.ts';
import { SHARED } from './sharing_histories.ts';
import { openSimFolder } from './sim_server.ts';

const REGRESSIONS = new URL('regressions/', import.meta.url);
const SECONDS = 60;
const SEEDS_MAX = 3000; // always the same ones, from 1, as far as the time reaches; `npm run simulate` begins elsewhere each time

test('histories that once went wrong end well', async () => {
  const folder = await openSimFolder(1);
  try {
    for (const name of readdirSync(REGRESSIONS)) {
      const history = JSON.parse(readFileSync(new URL(name, REGRESSIONS), 'utf8')) as History;
      const { violation, trace } = await runHistory(history, folder);
      assert.equal(violation, null, `${name}\n${trace.join('\n')}`);
    }
  } finally {
    await folder.close();
  }
});

for (const [name, history] of Object.entries(SHARED)) {
  test(`two users share: ${name}`, async () => {
    const folder = await openSimFolder(1);
    try {
      const { violation, trace } = await runHistory(history, folder);
      assert.equal(violation, null, trace.join('\n'));
    } finally {
      await folder.close();
    }
  });
}

test('random histories of several devices end well', async (t) => {
  // beside other tests the timers of the real server may change what comes first, so nothing is compared with a second run here
  const run = engineSeeds({}, Number.POSITIVE_INFINITY);
  const endMs = performance.now() + SECONDS * 1000;
  let seed = 0;
  while (seed < SEEDS_MAX && performance.now() < endMs) {
    seed += 1;
    assert.equal((await run(seed)).failure, null);
  }
  t.diagnostic(`seeds 1 to ${seed}, ${(seed / SECONDS).toFixed(1)} a second`);
});

for (const name of Object.keys(STORIES)) {
  test(name, async () => {
    const folder = await openSimFolder(1);
    try {
      assert.equal(await runStory(name, folder), null);
    } finally {
      await folder.close();
    }
  });
}
