import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Row } from './index_rows.ts';

export type Value = null | number | string;

/** Statements of one database, each prepared once. */
export type Statements = {
  sql(text: string): StatementSync;
  all(text: string, ...values: Value[]): Row[];
  one(text: string, ...values: Value[]): Row | undefined;
  run(text: string, ...values: Value[]): void;
};

export function openStatements(db: DatabaseSync): Statements {
  const prepared = new Map<string, StatementSync>();
  const sql = (text: string): StatementSync => {
    let statement = prepared.get(text);
    if (statement === undefined) {
      statement = db.prepare(text);
      prepared.set(text, statement);
    }
    return statement;
  };
  return {
    sql,
    all: (text, ...values) => sql(text).all(...values) as Row[],
    one: (text, ...values) => sql(text).get(...values) as Row | undefined,
    run: (text, ...values) => void sql(text).run(...values),
  };
}
