import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A new empty folder, which is removed with all that is in it when the test is over. */
export async function temporaryFolder(t: Pick<TestContext, 'after'>, place = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(place, 'driftless-test-'));
  // again and again: a process or a database that ends a little later may still make a file in it
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}
