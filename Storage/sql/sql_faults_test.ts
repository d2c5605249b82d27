import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Database, openDatabase } from '../database.ts';
import type { BackRequest, History } from '../history.ts';
import type { Access, Links } from '../links.ts';
import type { Metadata, Principal } from '../metadata.ts';
import { MIGRATIONS, openStore, sqlMetadata } from '../sql_metadata.ts';
import { sqliteAddress } from '../testing/databases.ts';
import { assertAllOrNothing, type Fault, failing } from '../testing/failing_database.ts';
import { alice, allChanges, bob, carol, contentOf, done, mkdir, move, put, remove, share } from '../testing/metadata_fixture.ts';
import { sqlHistory } from './sql_history.ts';
import { sqlLinks } from './sql_links.ts';
import type { MetadataSchema } from './sql_metadata_schema.ts';

const DAY = 86_400_000;
const one = contentOf('one');
const two = contentOf('two');
const many = contentOf('part one', 'part two');
const contents = [one, two, many];
const laptop: Principal = { ...alice, deviceId: 'laptop' };
const HASH = Buffer.alloc(32, 7);
const ACCESS: Access = { action: 'download', address: '192.0.2.1', path: '/f', content: null, joins: false, counts: true };

type World = {
  readonly database: Database<MetadataSchema>;
  readonly metadata: Metadata;
  readonly history: History;
  readonly links: Links;
  readonly clock: { ms: number };
  readonly cursor: string; // before the laptop began
  readonly link: string; // id
};

/** Shared folders in one another, versions of many days, a trash, a link, and what a laptop did to nearly all of it. */
async function ground(world: Omit<World, 'cursor' | 'link'>): Promise<World> {
  const { metadata, links, clock } = world;
  await done(
    metadata,
    alice,
    [put('/d/f', one), put('/d/many', many), put('/e/g', two), put('/gone/x/y', many), mkdir('/plain/sub')],
    contents,
  );
  await done(
    metadata,
    alice,
    [put('/team/plans/p', one), put('/team/q', many), put('/team/more/s/t', many), mkdir('/other'), remove('/gone')],
    contents,
  );
  await share(metadata, '/team', bob, 'editor');
  await share(metadata, '/team/plans', carol, 'viewer');
  await share(metadata, '/other', bob, 'viewer');
  await metadata.commit(alice, { id: Buffer.alloc(16, 1), firstOperation: 0, resumed: false }, [], [remove('/other')]);
  const { id } = await links.create(alice, {
    tokenHash: HASH,
    path: '/d',
    mode: 'download',
    password: null,
    expiresAtMs: null,
    usesMax: 3,
  });
  await links.begin(id, ACCESS);
  const { cursor } = await allChanges(metadata, alice);
  clock.ms += 1000;
  await done(metadata, laptop, [put('/d/f', two), move('/d/many', '/e/many'), move('/e/g', '/d/many'), put('/d/f', many)], contents);
  await done(metadata, laptop, [remove('/d/f'), put('/d/new/n', one), put('/team/q', one), move('/team/q', '/team/r')], contents);
  return { ...world, cursor, link: id };
}

/** All rows that what can be seen is made of. */
async function everything({ database: { db } }: World): Promise<unknown> {
  return Promise.all([
    db.selectFrom('nodes').selectAll().orderBy('id').execute(),
    db.selectFrom('journal').selectAll().orderBy('space').orderBy('seq').execute(),
    db.selectFrom('members').selectAll().orderBy('space').orderBy('user_id').execute(),
    db.selectFrom('invitations').selectAll().orderBy('id').execute(),
    db.selectFrom('spaces').selectAll().orderBy('id').execute(),
    db.selectFrom('commits').selectAll().orderBy('id').execute(),
    db.selectFrom('chunks').selectAll().orderBy('digest').orderBy('space').execute(),
    db.selectFrom('pins').selectAll().execute(),
    db.selectFrom('thinning').selectAll().orderBy('space').execute(),
    db.selectFrom('links').selectAll().orderBy('id').execute(),
    db.selectFrom('link_accesses').selectAll().execute(),
  ]);
}

async function goBack({ history }: World, request: BackRequest): Promise<void> {
  const { digest } = await history.preview(alice, request);
  await history.goBack(alice, request, digest);
}

const carolAt = (path: string) => ({ path, userId: carol.userId });
const ACTIONS: readonly [what: string, run: (world: World) => Promise<unknown>][] = [
  ['bringing a folder back', ({ history }) => history.undelete(alice, '/gone', null)],
  ['bringing what was in a deleted folder to another space', ({ history }) => history.undelete(alice, '/gone/x', '/team/x')],
  ['bringing a shared folder back', ({ history }) => history.undelete(alice, '/other', '/again')],
  ['rewinding', (world) => goBack(world, { kind: 'rewind', path: '/', to: { cursor: world.cursor } })],
  ['undoing what a device did', (world) => goBack(world, { kind: 'undo', user: 'alice', device: 'laptop', sinceMs: world.clock.ms - 500 })],
  [
    'sharing a folder of a shared folder',
    ({ metadata }) => metadata.invite(alice, { ...carolAt('/team/more'), userName: 'carol', role: 'editor', message: null }),
  ],
  [
    'pinning a version',
    async ({ metadata, history }) => {
      const [entry] = await metadata.stat(alice, ['/d/many']);
      await history.pin(alice, '/d/many', entry?.version ?? 0);
    },
  ],
  ['another role', ({ metadata }) => metadata.setRole(alice, { path: '/team', userId: bob.userId, role: 'viewer' })],
  ['taking a member out of the outer folder', ({ metadata }) => metadata.uninvite(alice, { path: '/team', userId: bob.userId })],
  [
    'taking a shared folder out of another',
    ({ metadata }) =>
      metadata.commit(alice, { id: Buffer.alloc(16, 2), firstOperation: 0, resumed: false }, [], [move('/team/plans', '/plans')]),
  ],
  [
    'making a link',
    ({ links }) =>
      links.create(alice, { tokenHash: Buffer.alloc(32, 9), path: '/e', mode: 'both', password: null, expiresAtMs: null, usesMax: null }),
  ],
  ['using a link', ({ links, link }) => links.begin(link, ACCESS)],
  ['an upload by a link that failed', ({ links, link }) => links.undo(link, 1)],
];

async function open(t: Parameters<typeof sqliteAddress>[0]) {
  const fault: Fault = { failAfter: 0 };
  const database = await openDatabase<MetadataSchema>(await sqliteAddress(t), MIGRATIONS);
  const clock = { ms: 1_700_000_000_000 };
  const store = openStore(failing(database, fault), { now: () => clock.ms });
  const metadata = await sqlMetadata(store);
  t.after(() => metadata.close());
  const world = await ground({ database, metadata, history: sqlHistory(store, metadata.epoch), links: sqlLinks(store), clock });
  return { fault, world };
}

for (const [what, run] of ACTIONS) {
  test(`${what} that fails after any of its statements leaves nothing`, async (t) => {
    const { fault, world } = await open(t);
    await assertAllOrNothing(
      fault,
      () => run(world),
      () => everything(world),
    );
  });
}

test('thinning that fails after any of its statements gives up, done again, what it gives up without', async (t) => {
  const policy = { allMs: 30 * DAY, dailyMs: 90 * DAY };
  const { fault, world } = await open(t);
  const { database, history, metadata, clock } = world;
  clock.ms += 40 * DAY; // the second pass would hide what the first one lost
  await done(metadata, alice, [mkdir('/later')]); // a clock alone makes nothing old
  const kept = async (): Promise<unknown> => [
    await database.db.selectFrom('journal').selectAll().orderBy('space').orderBy('seq').execute(),
    await database.db.selectFrom('thinning').selectAll().orderBy('space').execute(),
  ];
  const again = (): Promise<unknown> =>
    database.write(async (trx) => {
      await trx.updateTable('journal').set({ thinned_at_ms: null }).execute();
      await trx.deleteFrom('thinning').execute();
    });
  assert.ok((await history.thin(policy)) > 1);
  const whole = await kept();
  for (let statement = 1; ; statement += 1) {
    await again();
    fault.failAfter = statement;
    const failed = await history.thin(policy).then(
      () => false,
      (error: unknown) => /fault/.test(String(error)),
    );
    if (!failed) {
      assert.ok(statement > 4, 'the faults were reached');
      break;
    }
    await history.thin(policy);
    assert.deepEqual(await kept(), whole, `after statement ${statement}`);
  }
});
