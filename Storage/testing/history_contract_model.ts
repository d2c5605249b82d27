import { test } from 'node:test';
import fc from 'fast-check';
import { testSeed } from '../../Models/testing/test_seed.ts';
import type { OpenHistory } from './history_fixture.ts';
import { rewinds, undos } from './history_walks.ts';
import { sharedPasts } from './history_walks_shared.ts';

const PROPERTIES = [
  ['a rewound folder is what the journal played up to then says, nothing beside it changed, and the undo is what was before', rewinds, 15],
  ['what one device did since is taken back, and nothing that others did', undos, 15],
  ['two people who share folders and go back see the same in a listing and by the feed', sharedPasts, 5],
] as const;

/** Random histories; `system_tests/going_back.ts` makes many more of them. */
export function contractByReplay(open: OpenHistory): void {
  for (const [name, property, numRuns] of PROPERTIES) {
    test(name, async (t) => {
      const seed = testSeed(name);
      t.diagnostic(`seed ${seed}`);
      const result = await fc.check(property(await open(t)), { numRuns, seed, endOnFailure: true });
      if (result.failed) throw new Error(fc.defaultReportMessage(result), { cause: result.errorInstance });
    });
  }
}
