import type { Database } from './database.ts';

/** What one transaction changed, for those who wait for news of it. */
export type Touched = {
  /** Spaces whose content, members or invitations changed; of a mount, the home it is in. */
  readonly spaces: ReadonlySet<number>;
  /** Users with news that are in no space of theirs: an invitation. */
  readonly users: ReadonlySet<string>;
};
export type TouchedNow = { readonly spaces: Set<number>; readonly users: Set<string> };

/**
 * The same database; `tell` is called once for each transaction that touched something, when it is durable and before its caller
 * knows. It must neither throw nor wait.
 */
export function tellingTouched<Schema>(
  database: Database<Schema>,
  tell: (touched: Touched) => void,
): { readonly database: Database<Schema>; readonly touchedBy: (trx: object) => TouchedNow } {
  const open = new WeakMap<object, TouchedNow>();
  const write: Database<Schema>['write'] = async (body) => {
    let touched: TouchedNow = { spaces: new Set(), users: new Set() };
    const result = await database.write((trx) => {
      touched = { spaces: new Set(), users: new Set() }; // an attempt that was rolled back changed nothing
      open.set(trx, touched);
      return body(trx);
    });
    if (touched.spaces.size > 0 || touched.users.size > 0) tell(touched);
    return result;
  };
  return {
    database: { ...database, write },
    touchedBy(trx) {
      const touched = open.get(trx);
      if (touched === undefined) throw new Error('not a transaction of this database');
      return touched;
    },
  };
}
