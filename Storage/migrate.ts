import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppError } from '../Models/errors.ts';

export type Dialect = 'sqlite' | 'postgres';

/** One text serves both databases; these words are replaced. */
const TOKENS: Record<Dialect, Record<string, string>> = {
  sqlite: { int8: 'INTEGER', blob: 'BLOB', text: 'TEXT', strict: 'STRICT', strict_clustered: 'STRICT, WITHOUT ROWID' },
  postgres: { int8: 'bigint', blob: 'bytea', text: 'text COLLATE "C"', strict: '', strict_clustered: '' },
};

type Migration = { readonly number: number; readonly name: string; readonly checksum: string; readonly text: string };

/** What applying needs from a database. `run` may hold several statements; each call to `transaction` is one transaction with the lock held. */
export type MigrationTarget = {
  readonly dialect: Dialect;
  transaction(body: (run: (text: string) => Promise<void>, query: (text: string) => Promise<Applied[]>) => Promise<void>): Promise<void>;
};
export type Applied = { readonly number: number; readonly checksum: string };

async function readMigrations(folder: URL, dialect: Dialect): Promise<Migration[]> {
  const others = new RegExp(
    `\\.(?:${Object.keys(TOKENS)
      .filter((other) => other !== dialect)
      .join('|')})\\.sql$`,
  );
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql') && !others.test(name)).sort();
  return Promise.all(
    names.map(async (name, index) => {
      const number = Number(/^(\d{4})-[a-z0-9-]+(?:\.[a-z]+)?\.sql$/.exec(name)?.[1]);
      if (number !== index + 1) throw new Error(`migrations are numbered from 0001 without gaps: ${name}`);
      const source = (await readFile(new URL(name, folder), 'utf8')).replaceAll('\r\n', '\n');
      const text = source.replace(/\{(\w+)\}/g, (_, token: string) => {
        const word = TOKENS[dialect][token];
        if (word === undefined) throw new Error(`${name}: unknown token {${token}}`);
        return word;
      });
      return { number, name, checksum: createHash('sha256').update(source).digest('hex'), text };
    }),
  );
}

function checkApplied(known: readonly Migration[], applied: readonly Applied[]): void {
  for (const { number, checksum } of applied) {
    const migration = known[number - 1];
    if (migration === undefined) throw new AppError('data_folder_unusable', 'the database was written by a newer version of this program');
    if (migration.checksum !== checksum) {
      throw new AppError('data_folder_unusable', `the database was made by another text of migration ${migration.name}`);
    }
  }
}

const TABLE = `CREATE TABLE IF NOT EXISTS migrations (
  part {text} NOT NULL, number {int8} NOT NULL, name {text} NOT NULL, checksum {text} NOT NULL, applied_at_ms {int8} NOT NULL,
  PRIMARY KEY (part, number)) {strict}`;

function folderWithSlash(folder: URL): URL {
  return folder.pathname.endsWith('/') ? folder : new URL(`${folder.href}/`);
}

/**
 * Brings a database to the newest of `NNNN-name.sql` in `folder`, forward only, each in a transaction of its own. What the databases have
 * no common words for is in `NNNN-name.sqlite.sql` and `NNNN-name.postgres.sql`. The folder's name keeps several sets apart that share one database.
 * @throws AppError `data_folder_unusable`: made by a newer version, or by another text of the same migration
 */
export async function migrate(target: MigrationTarget, folder: URL): Promise<void> {
  const base = folderWithSlash(folder);
  const part = basename(fileURLToPath(base));
  const known = await readMigrations(base, target.dialect);
  const list = `SELECT number, checksum FROM migrations WHERE part = '${part}' ORDER BY number`;
  const table = TABLE.replace(/\{(\w+)\}/g, (_, token: string) => TOKENS[target.dialect][token] ?? '');
  for (let done = false; !done; ) {
    await target.transaction(async (run, query) => {
      await run(table);
      const applied = await query(list);
      checkApplied(known, applied);
      const next = known[applied.length];
      if (next === undefined) {
        done = true;
        return;
      }
      await run(next.text);
      await run(`INSERT INTO migrations VALUES ('${part}', ${next.number}, '${next.name}', '${next.checksum}', ${Date.now()})`);
    });
  }
}

/** For a reader that may not write. @throws AppError `storage_unavailable` while the owner has not set the database up */
export async function checkMigrated(query: (text: string) => Promise<Applied[]>, dialect: Dialect, folder: URL): Promise<void> {
  const base = folderWithSlash(folder);
  const known = await readMigrations(base, dialect);
  let applied: Applied[];
  try {
    applied = await query(`SELECT number, checksum FROM migrations WHERE part = '${basename(fileURLToPath(base))}' ORDER BY number`);
  } catch (cause) {
    throw new AppError('storage_unavailable', 'the database is not set up yet', { cause });
  }
  checkApplied(known, applied);
  if (applied.length < known.length) throw new AppError('storage_unavailable', 'the database is not set up yet');
}
