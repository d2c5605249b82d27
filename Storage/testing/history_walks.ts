import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Operation } from '../../Models/operations.ts';
import type { BackPlan, BackRequest } from '../history.ts';
import type { Change, Principal } from '../metadata.ts';
import { type Follower, openFollower } from './feed_follower.ts';
import type { HistoryPlace } from './history_fixture.ts';
import { allChanges, commit, contentOf, copy, done, mkdir, move, person, put, remove, symlink, walkedFolders } from './metadata_fixture.ts';
import { chainOf, isBelow, linesBelow, type Played, play } from './played_journal.ts';

/** Random histories of one person with two devices, each going back from somewhere; compared with the journal played into a plain map. */

const name = fc.constantFrom('a', 'A', 'b', 'c', 'é');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join('/')}`);
const CONTENTS = [contentOf('one'), contentOf('two'), contentOf('two', 'parts'), contentOf()];
const content = fc.constantFrom(...CONTENTS);
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
type Deed = typeof deed extends fc.Arbitrary<infer Value> ? Value : never;
const deeds = fc.array(deed, { minLength: 6, maxLength: 24 });

type Moment = { readonly cursor: string; readonly atMs: number; readonly changes: number; readonly picture: string[] };

/** A person of their own on a database that others have used before. */
class Scene {
  static #people = 0;
  readonly #place: HistoryPlace;
  readonly follower: Follower;
  readonly laptop: Principal;
  readonly phone: Principal;
  readonly moments: Moment[] = [];

  constructor(place: HistoryPlace) {
    Scene.#people += 1;
    const who = person(`person ${Scene.#people}`);
    this.#place = place;
    this.laptop = { ...who, deviceId: 'laptop' };
    this.phone = { ...who, deviceId: 'phone' };
    this.follower = openFollower(place.metadata, who, '/');
  }

  async live(all: readonly Deed[]): Promise<void> {
    await done(this.#place.metadata, this.laptop, [mkdir('/a')]);
    await this.note();
    for (const [onPhone, operations, pick] of all) {
      await this.#act(onPhone ? this.phone : this.laptop, operations, pick);
      await this.note();
    }
    await this.follower.check();
  }

  async #act(who: Principal, operations: readonly Operation[] | null, pick: number): Promise<void> {
    const { clock, metadata, history } = this.#place;
    clock.ms += 1000;
    if (operations !== null) {
      await commit(metadata, who, operations, CONTENTS);
      return;
    }
    const { rows } = await history.trash(who, { path: '/', after: null, limit: 100 });
    const item = rows[pick % Math.max(1, rows.length)];
    if (item !== undefined) await history.undelete(who, `@${item.nodeId}`, null).catch(() => undefined);
  }

  async note(): Promise<void> {
    const { changes, cursor } = await allChanges(this.#place.metadata, this.phone, null, 1000);
    this.moments.push({ cursor, atMs: this.#place.clock.ms, changes: changes.length, picture: await this.picture() });
  }

  moment(pick: number): Moment {
    return this.moments[pick % this.moments.length] as Moment;
  }

  async changes(): Promise<Change[]> {
    return (await allChanges(this.#place.metadata, this.phone, null, 1000)).changes;
  }

  /** Everything that is there, with all that is told of it. */
  async picture(): Promise<string[]> {
    const { metadata } = this.#place;
    const lines: string[] = [];
    for await (const page of metadata.readFolders(this.phone, await walkedFolders(metadata, this.phone))) {
      for (const { name: own, nodeId, kind, digest, target, mode, mtimeUs, chunkCount, size } of page.entries) {
        const what = [
          kind,
          digest === null ? '' : Buffer.from(digest).toString('hex').slice(0, 8),
          target,
          mode,
          mtimeUs,
          chunkCount,
          size,
        ];
        lines.push(`${page.path === '/' ? '' : page.path}/${own} @${nodeId} ${what.join(' ')}`);
      }
    }
    return lines.sort();
  }

  /** Previews, goes back, and looks whether that is what it said. */
  async back(request: BackRequest): Promise<{ operation: string; conflicts: string[] }> {
    const { clock, history } = this.#place;
    clock.ms += 1000;
    const plan = await history.preview(this.phone, request);
    const { counts, operation } = await history.goBack(this.phone, request, plan.digest);
    assert.deepEqual(counts, plan.counts);
    await this.follower.check();
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    assert.deepEqual(
      (await this.changes()).slice(-total || Number.POSITIVE_INFINITY).map((change) => change.path),
      plan.steps.map((step) => step.path),
    );
    const left = await history.preview(this.phone, request);
    assert.deepEqual(left.steps, [], 'going back twice is going back once');
    return { operation, conflicts: told(plan) };
  }
}

const told = ({ conflicts }: BackPlan): string[] => conflicts.map(({ path: at, reason }) => `${at} ${reason}`);

const turn = fc.record({ when: fc.nat(), folder: fc.nat(), byCursor: fc.boolean(), undone: fc.boolean() });

/** A rewound folder is what it was, nothing beside it changed, and the undo of that is what was before. */
export function rewinds(place: HistoryPlace): fc.IAsyncProperty<unknown> {
  return fc.asyncProperty(deeds, fc.array(turn, { minLength: 1, maxLength: 3 }), async (all, turns) => {
    const scene = new Scene(place);
    await scene.live(all);
    for (const { when, folder: which, byCursor, undone } of turns) {
      const moment = scene.moment(when);
      const changes = await scene.changes();
      const before = await scene.picture();
      const [then, now] = [play(changes.slice(0, moment.changes)), play(changes)];
      const folder = folderOfBoth(then, now, which);
      const at = `/${(chainOf(now, folder) ?? []).map((each) => each.name).join('/')}`;
      const to = byCursor ? { cursor: moment.cursor } : { timeMs: moment.atMs };
      const { operation, conflicts } = await scene.back({ kind: 'rewind', path: at, to });
      assert.deepEqual(conflicts, []);
      const after = play(await scene.changes());
      assert.deepEqual(linesBelow(after, folder), linesBelow(then, folder));
      if (folder === 0) assert.deepEqual(await scene.picture(), moment.picture);
      for (const [id, node] of now) {
        const wasBelow = [now, then, after].some((nodes) => isBelow(nodes, id, folder));
        if (!wasBelow) assert.deepEqual(after.get(id), node, `node ${id} is beside the folder`);
      }
      await scene.note();
      if (!undone || before.join() === (await scene.picture()).join()) continue;
      assert.deepEqual((await scene.back({ kind: 'undo', operation })).conflicts, []);
      assert.deepEqual(await scene.picture(), before);
      await scene.note();
    }
  });
}

/** A folder that is there now and was then; 0 is the root. */
function folderOfBoth(then: Played, now: Played, which: number): number {
  const folders = [...then].flatMap(([id, { what }]) =>
    what === 'folder' && chainOf(now, id) !== null && chainOf(then, id) !== null ? [id] : [],
  );
  return [0, ...folders][which % (folders.length + 1)] as number;
}

/** What a device did since is taken back, and nothing that others did. */
export function undos(place: HistoryPlace): fc.IAsyncProperty<unknown> {
  return fc.asyncProperty(deeds, fc.nat(), async (all, when) => {
    const scene = new Scene(place);
    await scene.live(all);
    const moment = scene.moment(when);
    const changes = await scene.changes();
    const [then, now] = [play(changes.slice(0, moment.changes)), play(changes)];
    const { userName: user } = scene.phone;
    const { conflicts } = await scene.back({ kind: 'undo', user, device: 'laptop', sinceMs: moment.atMs });
    const after = play(await scene.changes());
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
      assert.deepEqual(await scene.picture(), moment.picture);
    }
  });
}
