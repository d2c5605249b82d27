import { sharePostgres } from '../Storage/testing/postgres.ts';

/** What all files of tests of one run share is made before the first and ended behind the last, by the test runner. */

let endPostgres: () => Promise<void>;

export async function globalSetup(): Promise<void> {
  endPostgres = await sharePostgres();
}

export async function globalTeardown(): Promise<void> {
  await endPostgres();
}
