import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LINK_PREFIX } from '../Models/links.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { PROBES, UNPROBED } from '../Server/testing/rights_probes.ts';
import { nameOf, VISIT } from '../Server/testing/rights_walk.ts';
import { openServer } from '../Server/testing/server_fixture.ts';
import { usePostgres } from '../Storage/testing/databases.ts';
import { walk } from './rights_walks.ts';

const WALKS = 10;
const STEPS = 1_000; // each
/** Of each route, of what can be seen and of what cannot, in all walks together. */
const ASKED_MIN = 10;
const begun = testSeed('walk of rights');

const postgres = usePostgres();

const asked = new Map<string, { shown: number; hidden: number }>();

test('every route there is has a probe, or a reason why it has none', async () => {
  await using server = await openServer();
  const probed = new Set(PROBES.map(({ route }) => route));
  const routes = server.app.routeTable.filter((one) => !one.public || one.url.startsWith(LINK_PREFIX));
  const names = routes.map(({ method, url }) => `${method} ${url}`);
  for (const name of names)
    assert.notEqual(
      probed.has(name),
      name in UNPROBED,
      `Server/testing/rights_probes.ts has a probe of ${name}, or a reason why not, and not both`,
    );
  for (const name of [...probed, ...Object.keys(UNPROBED)]) assert.ok(names.includes(name), `there is no route ${name}`);
});

for (let n = 0; n < WALKS; n += 1) {
  const seed = begun + n;
  test(`what is shared, moved, taken back and left is for each user what a model of rights says (walk ${n + 1}, seed ${seed})`, async () => {
    const coverage = await walk({ seed, steps: STEPS, probes: 1 });
    for (const [route, { shown, hidden }] of coverage) {
      const sum = asked.get(route) ?? { shown: 0, hidden: 0 };
      asked.set(route, { shown: sum.shown + shown, hidden: sum.hidden + hidden });
    }
  });
}

test('in these walks every route was asked of what can be seen and of what cannot', () => {
  for (const { name, of } of [...PROBES.map((probe) => ({ name: nameOf(probe), of: probe.of })), { name: VISIT, of: undefined }]) {
    const { shown, hidden } = asked.get(name) ?? { shown: 0, hidden: 0 };
    assert.ok(of === 'hidden' || shown >= ASKED_MIN, `${name}: ${shown} times of what can be seen`);
    assert.ok(of === 'shown' || hidden >= ASKED_MIN, `${name}: ${hidden} times of what cannot be seen`);
  }
});

test(`for a while every route is asked by every user after each change (seed ${begun})`, async () => {
  await walk({ seed: begun, steps: 200, probes: 0, afterwards: { steps: 20, probes: 'all' } });
});

test(`on PostgreSQL too (seed ${begun})`, async (t) => {
  const url = await postgres().createReadyDatabase(t);
  await walk({ seed: begun, steps: 150, probes: 1, metadata: { kind: 'postgres', url } });
});
