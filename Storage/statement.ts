import type { CompiledQuery, Kysely, QueryResult } from 'kysely';

/** Stands in a statement for a value that is given when it is run. It has no value to look at. */
class Slot {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  [Symbol.toPrimitive](): never {
    throw new TypeError(`the value of ${this.name} is not known where its statement is built`);
  }
}

/** Gives a slot for whatever is asked for. */
const SLOTS = new Proxy({}, { get: (_, name) => new Slot(String(name)) });

/**
 * A statement that is built and turned into SQL once for each open database, not each time that it is run: that costs more than a small statement itself.
 * @param build the same statement every time: it hands the members of `input` on to Kysely as values, one each, and must not look at them; no lists
 * @returns runs it on the database, or in the transaction, with these values
 */
export function statement<Schema, Input extends object, Row>(
  build: (db: Kysely<Schema>, input: Input) => { compile(): CompiledQuery<Row> },
): (db: Kysely<Schema>, input: Input) => Promise<QueryResult<Row>> {
  const compiled = new WeakMap<object, CompiledQuery<Row>>(); // by what a database and its transactions share
  return (db, input) => {
    const { adapter } = db.getExecutor();
    let query = compiled.get(adapter);
    if (query === undefined) {
      query = build(db, SLOTS as Input).compile();
      compiled.set(adapter, query);
    }
    const values = input as Record<string, unknown>;
    const parameters = query.parameters.map((value) => (value instanceof Slot ? values[value.name] : value));
    return db.executeQuery({ ...query, parameters });
  };
}
