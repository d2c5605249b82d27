import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PROBES } from '../Server/testing/rights_probes.ts';
import { walkRights } from '../Server/testing/rights_walk.ts';
import { openServer, type ServerFixture, type User } from '../Server/testing/server_fixture.ts';
import { openFollower } from '../Storage/testing/feed_follower.ts';
import { startPostgres, type TestPostgres } from '../Storage/testing/postgres.ts';

const WALKS = 4;
const STEPS = 2_500; // each
/** Steps between two comparisons of what a device knows that follows a user's feed with what is there. */
const FOLLOWED = 100;
/** Visitors of links have all the time there is between two requests, so that none is refused for asking too often. */
let clockMs = 0;
const monotonicMs = (): number => {
  clockMs += 3_600_000;
  return clockMs;
};
const begun = Date.now() % 2 ** 31;

let postgres: TestPostgres;
before(async () => {
  postgres = await startPostgres();
});
after(() => postgres.close());

/** A device of each user that follows all of theirs. */
function followAll({ metadata }: ServerFixture): (done: number, users: readonly User[]) => Promise<void> {
  let followers: ReturnType<typeof openFollower>[] = [];
  return async (done, users) => {
    if (followers.length === 0) {
      followers = users.map(({ id, name }) => openFollower(metadata, { userId: id, userName: name, deviceId: '3'.repeat(32) }, '/'));
    }
    if (done % FOLLOWED === 0) for (const follower of followers) await follower.check();
  };
}

const asked = new Map<string, { shown: number; hidden: number }>();

for (let walk = 0; walk < WALKS; walk += 1) {
  const seed = begun + walk;
  test(`what is shared, moved, taken back and left is for each user what a model of rights says (walk ${walk + 1}, seed ${seed})`, async () => {
    await using server = await openServer({ monotonicMs });
    const coverage = await walkRights({ seed, steps: STEPS, probes: 2, server, afterStep: followAll(server) });
    for (const [route, { shown, hidden }] of coverage) {
      const sum = asked.get(route) ?? { shown: 0, hidden: 0 };
      asked.set(route, { shown: sum.shown + shown, hidden: sum.hidden + hidden });
    }
  });
}

test('in these walks every route was asked of what can be seen and of what cannot', () => {
  for (const route of [...PROBES.map((probe) => probe.route), 'GET link']) {
    const { shown, hidden } = asked.get(route) ?? { shown: 0, hidden: 0 };
    assert.ok(shown > 50 && hidden > 50, `${route}: ${shown} times of what can be seen, ${hidden} times of what cannot`);
  }
});

test(`on PostgreSQL too (seed ${begun})`, async () => {
  await using server = await openServer({ monotonicMs, metadata: { kind: 'postgres', url: await postgres.createDatabase() } });
  await walkRights({ seed: begun, steps: 300, probes: 2, server, afterStep: followAll(server) });
});
