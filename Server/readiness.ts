import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { LIMITS } from '../Models/limits.ts';
import type { Metadata } from '../Storage/metadata.ts';
import type { Readiness } from './health_routes.ts';
import type { Revocations } from './revocations.ts';
import type { TicketKeys } from './tickets.ts';

export type ReadinessDeps = {
  readonly dataFolder: string;
  readonly metadata: Pick<Metadata, 'ping'>;
  readonly keys: Pick<TicketKeys, 'size'>;
  readonly revocations: Pick<Revocations, 'isFresh'>;
};

/** Each check on its own, so that the answer names all that is wrong. */
export function createReadiness({ dataFolder, metadata, keys, revocations }: ReadinessDeps): Readiness {
  const checks: readonly (readonly [string, () => Promise<boolean>])[] = [
    ['the database does not answer', () => succeeds(metadata.ping())],
    ['no ticket keys yet: the authentication daemon has not run', async () => keys.size > 0],
    ['the list of ended sessions cannot be read', async () => revocations.isFresh()],
    ['the data folder cannot be written', () => succeeds(access(dataFolder, constants.W_OK))],
    ['the disk is full', () => hasRoom(dataFolder)],
  ];
  return async () => {
    const results = await Promise.all(checks.map(async ([problem, check]) => ((await check()) ? null : problem)));
    return results.filter((problem) => problem !== null);
  };
}

async function hasRoom(folder: string): Promise<boolean> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize >= LIMITS.batchBytesMax;
  } catch {
    return false; // named by the check of the folder itself
  }
}

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}
