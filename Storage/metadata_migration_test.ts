import assert from 'node:assert/strict';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { type DatabaseAddress, openDatabase } from './database.ts';
import type { MetadataSchema } from './sql/sql_metadata_schema.ts';
import { MIGRATIONS } from './sql_metadata.ts';
import { startPostgres } from './testing/postgres.ts';

/** A database as it first was: a folder, an executable and an ordinary file, a symlink, a mount, and a change for each; a member, and two invitations. */
async function writtenBefore(address: DatabaseAddress, folder: string): Promise<void> {
  const first = join(folder, 'metadata');
  await mkdir(first, { recursive: true });
  await copyFile(new URL('0001-metadata.sql', MIGRATIONS), join(first, '0001-metadata.sql'));
  const database = await openDatabase<MetadataSchema>(address, pathToFileURL(first));
  const digest = Buffer.alloc(32, 1);
  const rows = [
    { id: 1, kind: 1, executable: 0, content: null, target: null },
    { id: 2, kind: 0, executable: 1, content: digest, target: null },
    { id: 3, kind: 0, executable: 0, content: digest, target: null },
    { id: 4, kind: 2, executable: 0, content: digest, target: 'f' },
    { id: 5, kind: 3, executable: 0, content: null, target: null },
  ];
  await database.write(async (trx) => {
    for (const { id, kind, executable, content, target } of rows) {
      await sql`INSERT INTO nodes (id, space, parent, name, key, kind, version, size, mtime_us, digest, executable, chunk_count, target)
        VALUES (${id}, 9, 0, ${`n${id}`}, ${`N${id}`}, ${kind}, ${id}, 0, 0, ${content}, ${executable}, 0, ${target})`.execute(trx);
      await sql`INSERT INTO journal (space, seq, kind, node, path, size, mtime_us, digest, executable, target, commit_id)
        VALUES (9, ${id}, 0, ${id}, ${`/n${id}`}, 0, 0, ${content}, ${executable}, ${target}, 1)`.execute(trx);
    }
    await sql`INSERT INTO spaces (id, root, head, owner_id, owner_name) VALUES (9, 1, 5, 'a', 'alice')`.execute(trx);
    await sql`INSERT INTO members (space, user_id, user_name, role, joined_seq) VALUES (9, 'b', 'bob', 1, 5)`.execute(trx);
    for (const state of ['pending', 'declined']) {
      await sql`INSERT INTO invitations (id, space, from_id, from_name, to_id, to_name, folder_name, role, state, created_at_ms)
        VALUES (${state}, 9, 'a', 'alice', 'c', 'carol', 'f', 0, ${state}, 77)`.execute(trx);
    }
  });
  await database.close();
}

async function isBroughtUp(address: DatabaseAddress, folder: string): Promise<void> {
  await writtenBefore(address, folder);
  const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
  try {
    const expected = [0o755, 0o755, 0o644, 0o777, 0o755];
    const nodes = await database.db.selectFrom('nodes').select('mode').orderBy('id').execute();
    assert.deepEqual(
      nodes.map(({ mode }) => mode),
      expected,
    );
    const journal = await database.db.selectFrom('journal').select('mode').orderBy('seq').execute();
    assert.deepEqual(
      journal.map(({ mode }) => mode),
      expected,
    );
    const [member] = await database.db.selectFrom('members').selectAll().execute();
    assert.deepEqual([member?.role, member?.granted], [1, 1]);
    const invitations = await database.db
      .selectFrom('invitations')
      .select(['state', 'expires_at_ms', 'answered_at_ms'])
      .orderBy('id')
      .execute();
    assert.deepEqual(invitations, [
      { state: 'declined', expires_at_ms: null, answered_at_ms: 77 },
      { state: 'pending', expires_at_ms: null, answered_at_ms: null },
    ]);
  } finally {
    await database.close();
  }
}

test('the first database is brought up to now: permission bits, what members were given, when invitations end, on SQLite', async (t) => {
  const folder = await temporaryFolder(t);
  await isBroughtUp({ kind: 'sqlite', file: join(folder, 'driftless.db') }, folder);
});

test('the first database is brought up to now: permission bits, what members were given, when invitations end, on PostgreSQL', async (t) => {
  const postgres = await startPostgres();
  t.after(() => postgres.close());
  await isBroughtUp({ kind: 'postgres', url: await postgres.createDatabase(t) }, await temporaryFolder(t));
});
