import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type Database, openDatabase } from '../database.ts';
import { MIGRATIONS, openStore, sqlMetadata } from '../sql_metadata.ts';
import { newDatabases } from '../testing/databases.ts';
import { type LinksPlace, linksContract } from '../testing/links_contract.ts';
import { alice, bob, done, mkdir } from '../testing/metadata_fixture.ts';
import { sqlLinks } from './sql_links.ts';
import type { MetadataSchema } from './sql_metadata_schema.ts';

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

  test(`who tells each other at the same moment waits for the other, and nothing is run again, on ${name}`, async (t) => {
    const opened = await openDatabase<MetadataSchema>(await empty(t), MIGRATIONS);
    t.after(() => opened.close());
    let [asked, run] = [0, 0];
    const write: Database<MetadataSchema>['write'] = (body) => {
      asked += 1;
      return opened.write((trx) => {
        run += 1;
        return body(trx);
      });
    };
    const store = openStore({ ...opened, write });
    const [metadata, links] = [await sqlMetadata(store), sqlLinks(store)];
    await done(metadata, alice, [mkdir('/work'), mkdir('/from-alice')]);
    await done(metadata, bob, [mkdir('/from-bob')]);
    const request = { role: 'owner', message: null } as const;
    const { id } = await metadata.invite(alice, { ...request, ...bob, path: '/work' });
    const { path } = await metadata.accept(bob, id);
    [asked, run] = [0, 0];
    const make = { mode: 'download', password: null, expiresAtMs: null, usesMax: null } as const;
    for (let round = 0; round < 10; round += 1) {
      const made = await Promise.all(
        (
          [
            [alice, '/work'],
            [bob, path],
          ] as const
        ).map(async ([who, at]) => links.create(who, { ...make, path: at, tokenHash: randomBytes(32) })),
      );
      const [first, second] = made as [(typeof made)[0], (typeof made)[0]];
      await Promise.all([links.revoke(bob, first.id), links.revoke(alice, first.id), links.revoke(alice, second.id)]);
      const [toBob, toAlice] = await Promise.all([
        metadata.invite(alice, { ...request, ...bob, path: '/from-alice' }),
        metadata.invite(bob, { ...request, ...alice, path: '/from-bob' }),
      ]);
      await Promise.all([metadata.decline(bob, toBob.id), metadata.decline(alice, toAlice.id)]);
    }
    assert.equal(run, asked);
    const told = await opened.db.selectFrom('journal').select('details').where('details', 'is not', null).execute();
    const ofLinks = told.filter(({ details }) => details?.includes('"link"')).length;
    assert.equal(ofLinks, 10 * 2 * 2 * 2, 'each link made and each revoked, told to both, once');
  });
}
