import { type DatabaseAddress, openDatabase } from './database.ts';
import { type DeleteScope, sqlDeleteScope } from './delete_scope.ts';
import type { Metadata } from './metadata.ts';
import type { Notices } from './notices.ts';
import { type SpaceReaders, sqlSpaceReaders } from './space_readers.ts';
import { MIGRATIONS, openStore, sqlMetadata } from './sql_metadata.ts';
import type { MetadataSchema } from './sql_metadata_schema.ts';
import { sqlNotices } from './sql_notices.ts';
import { type SyncStates, sqlSyncStates } from './sync_states.ts';
import type { Touched } from './touched.ts';

/** All that the file server keeps in the metadata database. */
export type ServerStore = {
  readonly metadata: Metadata;
  readonly readersOf: SpaceReaders;
  readonly syncStates: SyncStates;
  readonly deleteScope: DeleteScope;
  readonly notices: Notices;
  /** `tell` is called after each transaction that changed something; one listener. It must neither throw nor wait. */
  onTouched(tell: (touched: Touched) => void): void;
  close(): Promise<void>;
};

/** @throws AppError as `openDatabase` */
export async function openServerStore(address: DatabaseAddress): Promise<ServerStore> {
  const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
  let tell: (touched: Touched) => void = () => undefined;
  const store = openStore(database, { onTouched: (touched) => tell(touched) });
  const metadata = await sqlMetadata(store);
  return {
    metadata,
    readersOf: sqlSpaceReaders(database.db),
    syncStates: sqlSyncStates(database),
    deleteScope: sqlDeleteScope(database),
    notices: sqlNotices(store),
    onTouched(listener) {
      tell = listener;
    },
    close: () => metadata.close(),
  };
}
