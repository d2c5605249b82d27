import { type DatabaseAddress, openDatabase } from './database.ts';
import { type DeleteScope, sqlDeleteScope } from './delete_scope.ts';
import { type EventMarks, sqlEventMarks } from './event_marks.ts';
import type { Following } from './following.ts';
import type { History } from './history.ts';
import type { Links } from './links.ts';
import type { Metadata } from './metadata.ts';
import { openNameIndex } from './name_index.ts';
import type { Notices } from './notices.ts';
import type { Publications } from './publications.ts';
import { type Quotas, sqlQuotas } from './quota.ts';
import { type Search, sqlSearch } from './search.ts';
import { type Companions, type SpaceReaders, sqlCompanions, sqlSpaceReaders } from './space_readers.ts';
import { sqlFollowing } from './sql/sql_following.ts';
import { sqlHistory } from './sql/sql_history.ts';
import { sqlLinks } from './sql/sql_links.ts';
import type { MetadataSchema } from './sql/sql_metadata_schema.ts';
import { sqlNotices } from './sql/sql_notices.ts';
import { sqlPublications } from './sql/sql_publications.ts';
import { sqlSyncReports } from './sql/sql_sync_reports.ts';
import { sqlWebhooks } from './sql/sql_webhooks.ts';
import { MIGRATIONS, openStore, sqlMetadata } from './sql_metadata.ts';
import { type Statistics, sqlStatistics } from './statistics.ts';
import type { SyncReports } from './sync_reports.ts';
import { type SyncStates, sqlSyncStates } from './sync_states.ts';
import type { Touched } from './touched.ts';
import type { Webhooks } from './webhooks.ts';

/** All that the file server keeps in the metadata database. */
export type ServerStore = {
  readonly metadata: Metadata;
  readonly history: History;
  readonly readersOf: SpaceReaders;
  readonly companionsOf: Companions;
  readonly syncStates: SyncStates;
  readonly syncReports: SyncReports;
  readonly deleteScope: DeleteScope;
  readonly notices: Notices;
  readonly following: Following;
  readonly eventMarks: EventMarks;
  readonly webhooks: Webhooks;
  readonly search: Search;
  readonly publications: Publications;
  readonly statistics: Statistics;
  readonly quotas: Quotas;
  /** From now on names are indexed when nothing else is done; without it only as searches need them. */
  beginIndexing(): void;
  readonly links: Links;
  /** `tell` is called after each transaction that changed something; one listener. It must neither throw nor wait. */
  onTouched(tell: (touched: Touched) => void): void;
  close(): Promise<void>;
};

/** @param now milliseconds since 1970. @throws AppError as `openDatabase` */
export async function openServerStore(address: DatabaseAddress, { now = Date.now } = {}): Promise<ServerStore> {
  const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
  let tell: (touched: Touched) => void = () => undefined;
  const names = openNameIndex(database);
  const onTouched = (touched: Touched): void => {
    names.follow(touched);
    tell(touched);
  };
  const store = openStore(database, { now, onTouched });
  const metadata = await sqlMetadata(store);
  return {
    metadata,
    history: sqlHistory(store, metadata.epoch),
    readersOf: sqlSpaceReaders(database.db),
    companionsOf: sqlCompanions(database.db),
    syncStates: sqlSyncStates(database, now),
    syncReports: sqlSyncReports(database, { epoch: metadata.epoch, now }),
    deleteScope: sqlDeleteScope(database),
    notices: sqlNotices(store),
    links: sqlLinks(store),
    following: sqlFollowing(store, metadata.epoch),
    eventMarks: sqlEventMarks(store, metadata.epoch),
    webhooks: sqlWebhooks(store, metadata.epoch),
    search: sqlSearch(database, names),
    publications: sqlPublications(database, now),
    statistics: sqlStatistics(database),
    quotas: sqlQuotas(store),
    beginIndexing: () => names.begin(),
    onTouched(listener) {
      tell = listener;
    },
    async close() {
      await names.close();
      await metadata.close();
    },
  };
}
