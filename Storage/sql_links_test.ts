import { openDatabase } from './database.ts';
import { sqlLinks } from './sql_links.ts';
import { MIGRATIONS, openStore, sqlMetadata } from './sql_metadata.ts';
import type { MetadataSchema } from './sql_metadata_schema.ts';
import { newDatabases } from './testing/databases.ts';
import { type LinksPlace, linksContract } from './testing/links_contract.ts';

for (const [name, empty] of newDatabases()) {
  linksContract(name, async (t) => {
    const address = await empty(t);
    const open = async () => {
      const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
      t.after(() => database.close());
      return database;
    };
    const database = await open();
    const now = (): number => place.now;
    const store = openStore(database, { now });
    const openMax = 20;
    const others = [sqlLinks(address.kind === 'sqlite' ? store : openStore(await open(), { now }), openMax)];
    const links = sqlLinks(store, openMax);
    const place: LinksPlace = { metadata: await sqlMetadata(store), links, openMax, others, now: 1_700_000_000_000 };
    return place;
  });
}
