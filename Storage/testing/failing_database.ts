import assert from 'node:assert/strict';
import type { KyselyPlugin, Transaction } from 'kysely';
import type { Database } from '../database.ts';
import type { MetadataSchema } from '../sql/sql_metadata_schema.ts';

/** One failure, after so many more statements of write transactions; none at 0. */
export type Fault = { failAfter: number };

export function failing(database: Database<MetadataSchema>, fault: Fault): Database<MetadataSchema> {
  return {
    ...database,
    write: (body) =>
      database.write((trx) => {
        const plugin: KyselyPlugin = {
          transformQuery: ({ node }) => node,
          async transformResult({ result }) {
            fault.failAfter -= 1;
            if (fault.failAfter !== 0) return result;
            throw new Error('fault');
          },
        };
        return body(trx.withPlugin(plugin) as Transaction<MetadataSchema>);
      }),
  };
}

/** Runs the action with a fault after each of its statements, until it is done. @param everything all that can be seen: the same after each failure */
export async function assertAllOrNothing(fault: Fault, run: () => Promise<unknown>, everything: () => Promise<unknown>): Promise<void> {
  const start = await everything();
  for (let statement = 1; ; statement += 1) {
    fault.failAfter = statement;
    const failed = await run().then(
      () => false,
      (error: unknown) => {
        if (!/fault/.test(String(error))) throw error;
        return true;
      },
    );
    assert.equal(failed, fault.failAfter <= 0);
    if (!failed) {
      assert.ok(statement > 2, 'the faults were reached');
      break;
    }
    assert.deepEqual(await everything(), start, `after statement ${statement}`);
  }
  fault.failAfter = 0;
  assert.notDeepEqual(await everything(), start);
}
