import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Operation } from '../../Models/operations.ts';
import type { BackRequest } from '../history.ts';
import type { Change, Metadata, Principal } from '../metadata.ts';
import { type Follower, openFollower } from './feed_follower.ts';
import type { HistoryPlace, OpenHistory } from './history_fixture.ts';
import { alice, allChanges, commit, contentOf, copy, done, mkdir, move, put, remove, symlink, walkedFolders } from './metadata_fixture.ts';

const RUNS = 25;
const laptop: Principal = { ...alice, deviceId: 'laptop' };
const phone: Principal = { ...alice, deviceId: 'phone' };

const name = fc.constantFrom('a', 'A', 'b', 'c', 'é');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join('/')}`);
const content = fc.constantFrom(contentOf('one'), contentOf('two'), contentOf('two', 'parts'), contentOf());
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(path, content, fc.constantFrom(1, 2)).map(([at, what, mtimeUs]) => put(at, what, { mtimeUs })) },
  { weight: 1, arbitrary: path.map((at) => symlink(at, 'target')) },
  { weight: 2, arbitrary: path.map((at) => mkdir(at)) },
  {
    weight: 1,
    arbitrary: fc
      .oneof(path, fc.constant('/'))
      .map((at): Operation => ({ kind: 'mkdir', path: at, existingOk: true, mode: 0o700, mtimeUs: 3 })),
  },
  { weight: 5, arbitrary: fc.tuple(path, path).map(([from, to]) => move(from, to)) },
  { weight: 1, arbitrary: fc.tuple(path, path).map(([from, to]) => copy(from, to)) },
  { weight: 4, arbitrary: path.map((at) => remove(at)) },
);
/** What somebody does at once, or `null`: brings something back from the trash. */
const deed = fc.tuple(fc.boolean(), fc.option(fc.array(operation, { minLength: 1, maxLength: 4 }), { freq: 8 }), fc.nat());
const deeds = fc.array(deed, { minLength: 6, maxLength: 24 });

type Kept = { readonly parent: number; readonly name: string; readonly what: string; readonly alive: boolean };
/** Nodes by id, as one gets them by playing the journal from its beginning; 0 is the root. */
type Played = ReadonlyMap<number, Kept>;

function play(changes: readonly Change[]): Played {
  const nodes = new Map<number, Kept>();
  const find = (at: string): number => {
    let folder = 0;
    for (const part of at.split('/').filter((each) => each !== '')) {
      const found = [...nodes].find(([, node]) => node.alive && node.parent === folder && node.name === part);
      assert.ok(found, `${at} is not there when the journal is played`);
      folder = found[0];
    }
    return folder;
  };
  for (const { kind, nodeId, path: at, fromPath, digest } of changes) {
    if (at === '/') continue;
    const cut = at.lastIndexOf('/');
    if (kind === 'delete') {
      assert.equal(find(at), nodeId);
      nodes.set(nodeId, { ...(nodes.get(nodeId) as Kept), alive: false });
      continue;
    }
    if (kind === 'move') assert.equal(find(fromPath ?? ''), nodeId);
    const [parent, own] = [find(at.slice(0, cut)), at.slice(cut + 1)];
    const taken = [...nodes].find(([id, node]) => id !== nodeId && node.alive && node.parent === parent && node.name === own);
    assert.equal(taken, undefined, `${at} was taken when the journal is played`);
    nodes.set(nodeId, { parent, name: own, what: digest?.toString('hex').slice(0, 8) ?? 'folder', alive: true });
  }
  return nodes;
}

function chainOf(nodes: Played, id: number): Kept[] | null {
  const chain: Kept[] = [];
  for (let at = id; at !== 0; ) {
    const node = nodes.get(at);
    if (node?.alive !== true) return null;
    chain.unshift(node);
    at = node.parent;
  }
  return chain;
}

/** What is below a folder: path from there, and content. */
function linesBelow(nodes: Played, folder: number): string[] {
  const depth = folder === 0 ? 0 : (chainOf(nodes, folder)?.length ?? Number.NaN);
  return [...nodes]
    .flatMap(([id, node]) => {
      const chain = chainOf(nodes, id);
      let isBelow = folder === 0;
      for (let at = id; at !== 0 && id !== folder; at = nodes.get(at)?.parent ?? 0) isBelow ||= at === folder;
      return chain === null || !isBelow
        ? []
        : [
            `${chain
              .slice(depth)
              .map((each) => each.name)
              .join('/')} ${node.what}`,
          ];
    })
    .sort();
}

/** Everything that is there, with all that is told of it. */
async function picture(store: Metadata): Promise<string[]> {
  const lines: string[] = [];
  for await (const page of store.readFolders(alice, await walkedFolders(store, alice))) {
    for (const { name: own, nodeId, kind, digest, target, mode, mtimeUs, chunkCount, size } of page.entries) {
      const what = [kind, digest === null ? '' : Buffer.from(digest).toString('hex').slice(0, 8), target, mode, mtimeUs, chunkCount, size];
      lines.push(`${page.path === '/' ? '' : page.path}/${own} @${nodeId} ${what.join(' ')}`);
    }
  }
  return lines.sort();
}

type Moment = { readonly cursor: string; readonly atMs: number; readonly changes: number; readonly picture: string[] };

async function momentOf({ metadata, clock }: HistoryPlace): Promise<Moment> {
  const { changes, cursor } = await allChanges(metadata, alice, null, 1000);
  return { cursor, atMs: clock.ms, changes: changes.length, picture: await picture(metadata) };
}

async function live(place: HistoryPlace, who: Principal, operations: readonly Operation[] | null, pick: number): Promise<void> {
  place.clock.ms += 1000;
  if (operations !== null) {
    await commit(place.metadata, who, operations, [contentOf('one'), contentOf('two'), contentOf('two', 'parts'), contentOf()]);
    return;
  }
  const { rows } = await place.history.trash(alice, { path: '/', after: null, limit: 100 });
  const item = rows[pick % Math.max(1, rows.length)];
  if (item !== undefined) await place.history.undelete(who, `@${item.nodeId}`, null).catch(() => undefined);
}

/** Previews, goes back, and looks whether that is what it said. */
async function back({ metadata, history, clock }: HistoryPlace, follower: Follower, request: BackRequest): Promise<string[]> {
  clock.ms += 1000;
  const plan = await history.preview(phone, request);
  const done = await history.goBack(phone, request, plan.digest);
  assert.deepEqual(done.counts, plan.counts);
  await follower.check();
  const { changes } = await allChanges(metadata, alice, null, 1000);
  const total = Object.values(plan.counts).reduce((sum, count) => sum + count, 0);
  assert.deepEqual(
    changes.slice(changes.length - total).map((change) => change.path),
    plan.steps.map((step) => step.path),
  );
  const left = await history.preview(phone, request);
  assert.deepEqual(left.steps.length, 0, 'going back twice is going back once');
  return plan.conflicts.map(({ path: at, reason }) => `${at} ${reason}`);
}

export function contractByReplay(open: OpenHistory): void {
  test('a rewound folder is what the journal played up to then says, and nothing beside it changed', async (t) => {
    const property = fc.asyncProperty(
      deeds,
      fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 1, maxLength: 3 }),
      async (all, turns) => {
        const place = await open(t);
        await done(place.metadata, alice, [mkdir('/a')]);
        const follower = openFollower(place.metadata, alice, '/');
        const moments = [await momentOf(place)];
        for (const [onPhone, operations, pick] of all) {
          await live(place, onPhone ? phone : laptop, operations, pick);
          moments.push(await momentOf(place));
        }
        await follower.check();
        for (const [when, which, byCursor] of turns) {
          const moment = moments[when % moments.length] as Moment;
          const { changes } = await allChanges(place.metadata, alice, null, 1000);
          const [then, now] = [play(changes.slice(0, moment.changes)), play(changes)];
          const folders = [0, ...then.keys()].filter(
            (id) => id === 0 || (then.get(id)?.what === 'folder' && chainOf(now, id) !== null && chainOf(then, id) !== null),
          );
          const folder = folders[which % folders.length] as number;
          const at = `/${(chainOf(now, folder) ?? []).map((each) => each.name).join('/')}`;
          const to = byCursor ? { cursor: moment.cursor } : { timeMs: moment.atMs };
          assert.deepEqual(await back(place, follower, { kind: 'rewind', path: at, to }), []);
          const after = play((await allChanges(place.metadata, alice, null, 1000)).changes);
          assert.deepEqual(linesBelow(after, folder), linesBelow(then, folder));
          if (folder === 0) assert.deepEqual(await picture(place.metadata), moment.picture);
          for (const [id, node] of now) {
            const wasBelow = [now, then, after].some((nodes) => isBelow(nodes, id, folder));
            if (!wasBelow) assert.deepEqual(after.get(id), node, `node ${id} is beside the folder`);
          }
          moments.push(await momentOf(place));
        }
      },
    );
    const result = await fc.check(property, { numRuns: RUNS, endOnFailure: true });
    t.diagnostic(`seed ${result.seed}`);
    if (result.failed) throw new Error(fc.defaultReportMessage(result), { cause: result.errorInstance });
  });

  test('what one device did since is taken back, and nothing that others did', async (t) => {
    const property = fc.asyncProperty(deeds, fc.nat(), async (all, when) => {
      const place = await open(t);
      await done(place.metadata, alice, [mkdir('/a')]);
      const follower = openFollower(place.metadata, alice, '/');
      const moments = [await momentOf(place)];
      for (const [onPhone, operations, pick] of all) {
        await live(place, onPhone ? phone : laptop, operations, pick);
        moments.push(await momentOf(place));
      }
      await follower.check();
      const moment = moments[when % moments.length] as Moment;
      const { changes } = await allChanges(place.metadata, alice, null, 1000);
      const [then, now] = [play(changes.slice(0, moment.changes)), play(changes)];
      const request: BackRequest = { kind: 'undo', user: 'alice', device: 'laptop', sinceMs: moment.atMs };
      const conflicts = await back(place, follower, request);
      const after = play((await allChanges(place.metadata, alice, null, 1000)).changes);
      const since = Map.groupBy(changes.slice(moment.changes), ({ nodeId }) => nodeId);
      for (const [id, node] of now) {
        const devices = (since.get(id) ?? []).map(({ device }) => device);
        if (devices.at(-1) !== 'laptop') assert.deepEqual(after.get(id), node, `node ${id} was not the laptop's last`);
        else if (conflicts.length === 0 && !devices.includes('phone') && chainOf(after, id) !== null) {
          assert.deepEqual(after.get(id), then.get(id), `node ${id} is the laptop's`);
        }
      }
      if ([...since.values()].flat().every(({ device }) => device === 'laptop')) {
        assert.deepEqual(conflicts, []);
        assert.deepEqual(await picture(place.metadata), moment.picture);
      }
    });
    const result = await fc.check(property, { numRuns: RUNS, endOnFailure: true });
    t.diagnostic(`seed ${result.seed}`);
    if (result.failed) throw new Error(fc.defaultReportMessage(result), { cause: result.errorInstance });
  });
}

function isBelow(nodes: Played, id: number, folder: number): boolean {
  if (folder === 0) return true;
  for (let at = id; at !== 0; at = nodes.get(at)?.parent ?? 0) if (at === folder) return true;
  return false;
}
