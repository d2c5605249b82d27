import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { openServerStore } from '../Storage/server_store.ts';
import { rewinds, undos } from '../Storage/testing/history_walks.ts';
import { sharedPasts } from '../Storage/testing/history_walks_shared.ts';
import { quickFolder } from '../Storage/testing/quick_folder.ts';

/** Random histories that are gone back in, many of them, on SQLite: `npm run test:rewinds -- --runs 2000 --seconds 600 [--seed N]`. */
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});
const seed = Number(values.seed);
const properties = Object.entries({ rewinds, undos, sharedPasts });
const limitMs = (Number(values.seconds) * 1000) / properties.length;
for (const [name, property] of properties) {
  const folder = await mkdtemp(join(quickFolder(), 'driftless-going-back-'));
  const clock = { ms: 1_700_000_000_000 };
  const file = join(folder, 'driftless.db');
  const store = await openServerStore({ kind: 'sqlite', file }, { now: () => clock.ms });
  const result = await fc.check(property({ ...store, clock }), {
    numRuns: Number(values.runs),
    interruptAfterTimeLimit: limitMs,
    seed,
  });
  await store.close();
  const strays = straysIn(file);
  await rm(folder, { recursive: true, force: true });
  if (result.failed && result.counterexample !== null) {
    console.log(fc.defaultReportMessage(result), result.errorInstance);
    process.exitCode = 1;
    break;
  }
  if (strays.length > 0) {
    console.log(`${name}: ${strays.length} entries are in folders of other spaces, seed ${seed}`, strays);
    process.exitCode = 1;
    break;
  }
  console.log(`${name}: ${result.numRuns} histories, seed ${seed}`);
}

/** What lives in a folder of another space, where whoever lists that sees it and no feed tells of it. What was deleted may stay behind, mounts belong there. */
function straysIn(file: string): unknown[] {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return database
      .prepare(
        `SELECT n.id, n.name, n.space, p.space AS folder_space FROM nodes n JOIN nodes p ON p.id = n.parent
        WHERE n.deleted_seq IS NULL AND n.mount IS NULL AND p.space <> n.space`,
      )
      .all();
  } finally {
    database.close();
  }
}
