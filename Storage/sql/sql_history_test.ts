import { openServerStore } from '../server_store.ts';
import { newDatabases } from '../testing/databases.ts';
import { historyContract } from '../testing/history_contract.ts';

for (const [name, addressFor] of newDatabases()) {
  historyContract(name, async (t) => {
    const clock = { ms: 1_700_000_000_000 };
    const store = await openServerStore(await addressFor(t), { now: () => clock.ms });
    t.after(() => store.close());
    return { metadata: store.metadata, history: store.history, clock };
  });
}
