import { after, before } from 'node:test';
import { openServerStore } from './server_store.ts';
import { emptyDatabases } from './testing/databases.ts';
import { historyContract } from './testing/history_contract.ts';
import { startPostgres, type TestPostgres } from './testing/postgres.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startPostgres();
});
after(() => postgres.close());

for (const [name, addressFor] of emptyDatabases(() => postgres)) {
  historyContract(name, async (t) => {
    const clock = { ms: 1_700_000_000_000 };
    const store = await openServerStore(await addressFor(t), { now: () => clock.ms });
    t.after(() => store.close());
    return { metadata: store.metadata, history: store.history, clock };
  });
}
