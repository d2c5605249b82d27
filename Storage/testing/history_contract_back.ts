import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import type { BackPlan, BackRequest } from '../history.ts';
import type { Principal } from '../metadata.ts';
import { openFollower } from './feed_follower.ts';
import type { HistoryPlace, OpenHistory } from './history_fixture.ts';
import { alice, allChanges, bob, carol, contentOf, copy, done, listing, mkdir, move, put, remove, share } from './metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two');
const many = contentOf('part 1', 'part 2');
const contents = [one, two, many];
const laptop: Principal = { ...alice, deviceId: 'laptop' };
const phone: Principal = { ...alice, deviceId: 'phone' };

/** What the laptop did behind now. */
function sinceNow({ clock }: HistoryPlace): BackRequest {
  const request: BackRequest = { kind: 'undo', user: 'alice', device: 'laptop', sinceMs: clock.ms };
  clock.ms += 1000;
  return request;
}

const told = ({ conflicts }: BackPlan): string[] =>
  conflicts.map(({ path, reason, by }) => `${path} ${reason}${by === null ? '' : ` ${by.device}`}`);
const paths = async ({ metadata }: HistoryPlace, who = alice): Promise<string[]> =>
  (await listing(metadata, who)).map((line) => line.split(' ')[0] as string);

async function goBack({ history }: HistoryPlace, who: Principal, request: BackRequest): Promise<BackPlan> {
  const plan = await history.preview(who, request);
  await history.goBack(who, request, plan.digest);
  return plan;
}

/** Going back, case by case; random histories are in history_contract_model.ts. */
export function contractOfGoingBack(open: OpenHistory): void {
  test('what others changed since on the same things stays, and is named with who did it', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    await done(metadata, phone, [put('/a', one), put('/b', one), put('/c', one)], contents);
    const undo = sinceNow(place);
    await done(metadata, laptop, [put('/a', two), put('/b', two), remove('/c')], contents);
    await done(metadata, phone, [put('/b', many)], contents);
    const plan = await goBack(place, phone, undo);
    assert.deepEqual(told(plan), ['/b changed_since phone']);
    const digests = (await metadata.manifests(alice, ['/a', '/b', '/c'])).map((manifest) => manifest?.digest);
    assert.deepEqual(digests, [one.digest, many.digest, one.digest]);
    assert.deepEqual((await history.preview(phone, undo)).steps, []);
  });

  test('a folder that the device made stays if others put something into it, and else goes as one', async (t) => {
    const place = await open(t);
    const undo = sinceNow(place);
    await done(place.metadata, laptop, [put('/mine/x/f', one), put('/ours/x/f', one)], contents);
    await done(place.metadata, phone, [put('/ours/x/g', two)], contents);
    const plan = await goBack(place, phone, undo);
    assert.deepEqual(told(plan), ['/ours not_empty', '/ours/x not_empty']);
    assert.deepEqual(
      plan.steps.map(({ kind, path }) => `${kind} ${path}`),
      ['delete /mine', 'delete /ours/x/f'],
    );
    assert.deepEqual(await paths(place), ['/ours', '/ours/x', '/ours/x/g']);
  });

  test('nothing is put over what took its place, nor into what is gone', async (t) => {
    const place = await open(t);
    const { metadata } = place;
    await done(metadata, phone, [put('/d/f', one), put('/e/g', one), put('/h', one), mkdir('/into')], contents);
    const undo = sinceNow(place);
    await done(metadata, laptop, [remove('/d/f'), remove('/e/g'), move('/h', '/into/h')]);
    await done(metadata, phone, [put('/D', two), remove('/e'), put('/d/F', two)].slice(1), contents);
    await done(metadata, phone, [put('/h', two)], contents);
    const plan = await goBack(place, phone, undo);
    assert.deepEqual(told(plan).sort(), ['/d/f name_taken', '/e/g folder_gone', '/into/h name_taken']);
    assert.deepEqual(await paths(place), ['/d', '/d/F', '/h', '/into', '/into/h']);
  });

  test('names that went round in a ring go back, and a folder that took the name of what was in it', async (t) => {
    const place = await open(t);
    const { metadata } = place;
    await done(metadata, phone, [put('/w/a', one), put('/w/b', two), put('/w/c', many), put('/w/f', one)], contents);
    const before = await listing(metadata, alice);
    const { cursor } = await allChanges(metadata, alice);
    await done(metadata, laptop, [move('/w/a', '/w/t'), move('/w/b', '/w/a'), move('/w/c', '/w/b'), move('/w/t', '/w/c')]);
    await done(metadata, laptop, [mkdir('/w/tmp'), move('/w/f', '/w/tmp/f'), move('/w/tmp', '/w/f')]);
    await goBack(place, phone, { kind: 'rewind', path: '/w', to: { cursor } });
    assert.deepEqual(await listing(metadata, alice), before);
    const [manifest] = await metadata.manifests(alice, ['/w/c']);
    assert.deepEqual(
      manifest?.chunks,
      many.chunks.map(({ ref }) => ref),
    );
  });

  test('what was put into a folder from beside it goes back there, or to the trash if that is not possible', async (t) => {
    const place = await open(t);
    const { metadata } = place;
    await done(metadata, phone, [mkdir('/w'), put('/x/a', one), put('/y/b', two)], contents);
    const { cursor } = await allChanges(metadata, alice);
    await done(metadata, laptop, [move('/x/a', '/w/a'), move('/y/b', '/w/b'), put('/w/a', two), remove('/y')], contents);
    const plan = await goBack(place, phone, { kind: 'rewind', path: '/w', to: { cursor } });
    assert.deepEqual(plan.steps.map(({ kind, path }) => `${kind} ${path}`).sort(), ['delete /w/b', 'move /x/a']);
    assert.deepEqual(await paths(place), ['/w', '/x', '/x/a']);
    const [manifest] = await metadata.manifests(alice, ['/x/a']);
    assert.deepEqual(manifest?.digest, two.digest); // beside the folder nothing is rewound
  });

  test('a folder that was in the trash then, or not made yet, is not rewound', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    await done(metadata, phone, [put('/d/e/f', one), mkdir('/x')], contents);
    const cursors = [(await allChanges(metadata, alice)).cursor];
    await done(metadata, phone, [remove('/d'), mkdir('/x/y')]);
    cursors.push((await allChanges(metadata, alice)).cursor);
    await history.undelete(phone, '/d', null);
    const rewind = (path: string, when: number): BackRequest => ({ kind: 'rewind', path, to: { cursor: cursors[when] ?? '' } });
    await assert.rejects(history.preview(phone, rewind('/d/e', 1)), { code: 'not_found' });
    await assert.rejects(history.preview(phone, rewind('/d', 1)), { code: 'not_found' });
    await assert.rejects(history.preview(phone, rewind('/x/y', 0)), { code: 'not_found' });
    assert.deepEqual((await history.preview(phone, rewind('/d/e', 0))).steps, []);
    const plan = await goBack(place, phone, rewind('/', 1));
    assert.deepEqual(
      plan.steps.map(({ kind, path }) => `${kind} ${path}`),
      ['delete /d'],
    );
  });

  test('what came out of a folder in the trash since goes from sight again when that folder was in the trash then', async (t) => {
    const place = await open(t);
    const { metadata } = place;
    await done(metadata, phone, [put('/a/f', one)], contents);
    const whole = (await allChanges(metadata, alice)).cursor;
    await done(metadata, phone, [mkdir('/e'), move('/a', '/e/a'), remove('/e')]);
    const empty = (await allChanges(metadata, alice)).cursor;
    assert.deepEqual((await goBack(place, phone, { kind: 'rewind', path: '/', to: { cursor: whole } })).conflicts, []);
    assert.deepEqual(await paths(place), ['/a', '/a/f']); // out of /e, which stays in the trash
    const [own] = (await allChanges(metadata, alice)).changes.slice(-1);
    assert.deepEqual([own?.kind, own?.path], ['restore', '/a']);
    const plan = await goBack(place, phone, { kind: 'rewind', path: '/', to: { cursor: empty } });
    assert.deepEqual([told(plan), plan.steps.map(({ kind, path }) => `${kind} ${path}`)], [[], ['delete /a']]);
    assert.deepEqual(await paths(place), []);
  });

  test('a rewind that took something out of a folder in the trash is undone, and what others put into it meanwhile stays', async (t) => {
    for (const others of [false, true]) {
      const place = await open(t);
      const { metadata, history } = place;
      await done(metadata, phone, [put('/a/f', one)], contents);
      const { cursor } = await allChanges(metadata, alice);
      await done(metadata, phone, [mkdir('/e'), move('/a', '/e/a'), remove('/e')]);
      const rewind: BackRequest = { kind: 'rewind', path: '/', to: { cursor } };
      const { operation } = await history.goBack(phone, rewind, (await history.preview(phone, rewind)).digest);
      if (others) await done(metadata, laptop, [put('/a/g', one)], contents);
      const plan = await goBack(place, phone, { kind: 'undo', operation });
      assert.deepEqual(told(plan), others ? ['/a not_empty'] : []);
      assert.deepEqual(await paths(place), others ? ['/a', '/a/f', '/a/g'] : []);
    }
  });

  test('undo takes nothing into the trash because the folder that it was in went there since', async (t) => {
    const place = await open(t);
    await done(place.metadata, phone, [put('/e/a', one)], contents);
    const undo = sinceNow(place);
    await done(place.metadata, laptop, [move('/e/a', '/a')]);
    await done(place.metadata, phone, [remove('/e')]);
    const plan = await goBack(place, phone, undo);
    assert.deepEqual([told(plan), plan.steps, await paths(place)], [['/a folder_gone'], [], ['/a']]);
  });

  test('what was put into a folder while that was elsewhere goes when it comes back, and is in the trash', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    await done(metadata, phone, [put('/w/a/f', one), put('/own', two)], contents);
    const { cursor } = await allChanges(metadata, alice);
    await done(metadata, laptop, [move('/w/a', '/b'), put('/b/new', one), move('/own', '/b/own')], contents);
    const plan = await goBack(place, phone, { kind: 'rewind', path: '/w', to: { cursor } });
    assert.deepEqual(told(plan), []);
    assert.deepEqual(await paths(place), ['/own', '/w', '/w/a', '/w/a/f']);
    const { rows } = await history.trash(alice, { path: '/', after: null, limit: 10 });
    assert.deepEqual(
      rows.map(({ path }) => path),
      ['/w/a/new'],
    );
  });

  test('a folder that the device brought back stays if others changed what the device had changed in it', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    await done(metadata, phone, [put('/d/f', one)], contents);
    await done(metadata, phone, [remove('/d')]);
    const undo = sinceNow(place);
    await history.undelete(laptop, '/d', null);
    await done(metadata, laptop, [put('/d/f', two)], contents);
    await done(metadata, phone, [put('/d/f', many)], contents);
    const plan = await goBack(place, phone, undo);
    assert.deepEqual(told(plan), ['/d/f changed_since phone', '/d not_empty']);
    assert.deepEqual(await paths(place), ['/d', '/d/f']);
  });

  test('a rewind that was previewed takes in what was changed before it is done, or is refused', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    await done(metadata, phone, [put('/w/a', one), put('/w/b', one), put('/x', one)], contents);
    const before = await listing(metadata, alice);
    const { cursor } = await allChanges(metadata, alice);
    await done(metadata, laptop, [put('/w/a', two)], contents);
    const rewind: BackRequest = { kind: 'rewind', path: '/w', to: { cursor } };
    for (const meanwhile of [[put('/w/b', two)], [move('/w/b', '/b')], [move('/x', '/w/x')]]) {
      const { digest } = await history.preview(phone, rewind);
      await done(metadata, laptop, meanwhile, contents);
      await assert.rejects(history.goBack(phone, rewind, digest), { code: 'version_stale' });
    }
    const { digest } = await history.preview(phone, rewind);
    await done(metadata, laptop, [put('/beside', two)], contents); // changes nothing of it
    await history.goBack(phone, rewind, digest);
    const now = await listing(metadata, alice);
    assert.deepEqual(
      now.filter((line) => !line.startsWith('/beside')),
      before,
    );
  });

  test('a folder that the device made goes with what the device brought back into it', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    const undo = sinceNow(place);
    await done(metadata, laptop, [put('/b/f', one)], contents);
    await done(metadata, phone, [mkdir('/b/c/d')]);
    await done(metadata, phone, [remove('/b/c')]);
    await history.undelete(laptop, '/b/c', null);
    const plan = await goBack(place, phone, undo);
    assert.deepEqual([told(plan), await paths(place)], [[], []]);
    assert.deepEqual((await history.preview(phone, undo)).steps, []);
  });

  test('in a shared folder an editor goes back and a viewer does not, and only what happened since they joined', async (t) => {
    const place = await open(t);
    const { metadata, history, clock } = place;
    await done(metadata, alice, [put('/team/f', one), put('/own', one)], contents);
    const beforeSharing = clock.ms;
    clock.ms += 1000;
    await share(metadata, '/team', bob, 'viewer');
    await share(metadata, '/team', carol, 'editor');
    const joinedMs = clock.ms;
    clock.ms += 1000;
    await done(metadata, alice, [put('/team/f', two), put('/own', two)], contents);
    const rewind = (timeMs: number): BackRequest => ({ kind: 'rewind', path: '/team', to: { timeMs } });
    for (const who of [alice, carol]) await assert.rejects(history.preview(who, rewind(beforeSharing)), { code: 'not_found' });
    await assert.rejects(history.preview(bob, rewind(joinedMs)), { code: 'forbidden' });
    await goBack(place, carol, rewind(joinedMs));
    assert.deepEqual(
      (await metadata.manifests(alice, ['/team/f', '/own'])).map((manifest) => manifest?.digest),
      [one.digest, two.digest],
    );
    const [change] = (await allChanges(metadata, alice)).changes.filter(({ user }) => user === 'carol').slice(-1);
    assert.deepEqual([change?.kind, change?.path], ['put', '/team/f']);
    const ofAlice: BackRequest = { kind: 'undo', user: 'alice', device: alice.deviceId, sinceMs: joinedMs };
    assert.deepEqual((await history.preview(bob, ofAlice)).steps, []); // and nothing of what is alice's alone
  });

  test('sharing is not taken back, and what is shared below a folder is left alone', async (t) => {
    const place = await open(t);
    const { metadata } = place;
    await done(metadata, alice, [put('/w/f', one), put('/w/team/g', one)], contents);
    const { cursor } = await allChanges(metadata, alice);
    await share(metadata, '/w/team', bob);
    await done(metadata, alice, [put('/w/f', two), put('/w/team/g', two)], contents);
    const plan = await goBack(place, alice, { kind: 'rewind', path: '/w', to: { cursor } });
    assert.deepEqual(told(plan), ['/w/team shared']);
    const digests = (await metadata.manifests(alice, ['/w/f', '/w/team/g'])).map((manifest) => manifest?.digest);
    assert.deepEqual(digests, [one.digest, two.digest]);
  });

  test('nothing goes back into a folder that was shared since', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    await done(metadata, alice, [put('/w/team/gone', one), put('/w/team/d/left', one), put('/w/f', one)], contents);
    const { cursor } = await allChanges(metadata, alice);
    const undo = sinceNow(place);
    await done(
      metadata,
      laptop,
      [remove('/w/team/gone'), move('/w/team/d/left', '/w/left'), remove('/w/team/d'), put('/w/f', two)],
      contents,
    );
    await share(metadata, '/w/team', bob);
    const follower = openFollower(metadata, bob, '/');
    await follower.check();
    const conflicts = ['/w/left folder_gone', '/w/team/d shared', '/w/team/gone shared'];
    const undone = await history.preview(alice, undo);
    assert.deepEqual(told(undone).sort(), conflicts);
    const plan = await goBack(place, alice, { kind: 'rewind', path: '/', to: { cursor } });
    assert.deepEqual(told(plan).sort(), [...conflicts, '/w/team shared'].sort());
    assert.deepEqual(
      plan.steps.map(({ kind, path }) => `${kind} ${path}`),
      ['content /w/f'],
    );
    assert.deepEqual(await paths(place, bob), ['/team']);
    await follower.check();
  });

  test('the pages of a long plan are those of one plan, whatever is done meanwhile, and only for who can still reach all of it', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    await done(metadata, alice, [mkdir('/team')]);
    await share(metadata, '/team', bob);
    const { cursor } = await allChanges(metadata, bob);
    const names = Array.from({ length: LIMITS.pageEntriesDefault + 1 }, (_, i) => `/team/${i}`);
    await done(
      metadata,
      laptop,
      names.map((name) => put(name, one)),
      contents,
    );
    const rewind: BackRequest = { kind: 'rewind', path: '/team', to: { cursor } };
    const plan = await history.preview(bob, rewind);
    assert.equal(plan.counts.delete, names.length);
    await done(metadata, laptop, [put('/team/later', two)], contents);
    const asked = JSON.parse(JSON.stringify({ to: rewind.to, path: rewind.path, kind: rewind.kind })) as BackRequest;
    assert.deepEqual(await history.previewed(bob, asked, plan.digest), plan);
    const stale = { code: 'version_stale' };
    await assert.rejects(history.goBack(bob, rewind, plan.digest), stale);
    await assert.rejects(history.previewed(bob, { ...rewind, path: '/' }, plan.digest), stale);
    const undo: BackRequest = { kind: 'undo', user: 'alice', device: 'laptop', sinceMs: 0 };
    await assert.rejects(history.previewed(alice, undo, plan.digest), stale);
    await metadata.setRole(alice, { path: '/team', userId: bob.userId, role: 'viewer' });
    await assert.rejects(history.previewed(bob, rewind, plan.digest), { code: 'forbidden' });
  });

  test('one operation is taken back with all it did, and a rewind too', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    await done(metadata, laptop, [put('/w/a', one), put('/w/b', two)], contents);
    const before = await listing(metadata, alice);
    await done(metadata, laptop, [remove('/w/a'), copy('/w', '/w2'), put('/w/b', many)], contents);
    const after = await listing(metadata, alice);
    const { rows } = await history.deeds(alice, { path: '/w/b', after: null, limit: 1 });
    const plan = await history.preview(phone, { kind: 'undo', operation: rows[0]?.operation ?? '' });
    const { operation } = await history.goBack(phone, { kind: 'undo', operation: rows[0]?.operation ?? '' }, plan.digest);
    assert.deepEqual(await listing(metadata, alice), before);
    await goBack(place, phone, { kind: 'undo', operation });
    assert.deepEqual(await listing(metadata, alice), after);
  });
}
