import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AppError } from '../../Models/errors.ts';
import type { Operation } from '../../Models/operations.ts';
import type { BackRequest } from '../history.ts';
import type { Principal } from '../metadata.ts';
import { type Follower, openFollower } from './feed_follower.ts';
import type { HistoryPlace } from './history_fixture.ts';
import { allChanges, commit, contentOf, copy, done, listing, mkdir, move, person, put, remove } from './metadata_fixture.ts';

const CONTENTS = [contentOf('one'), contentOf('two'), contentOf('two', 'parts'), contentOf()];
const path = fc.array(fc.constantFrom('a', 'a', 'A', 'b'), { minLength: 1, maxLength: 3 }).map((names) => `/${names.join('/')}`);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(path, fc.constantFrom(...CONTENTS)).map(([at, content]) => put(at, content)) },
  { weight: 2, arbitrary: path.map((at) => mkdir(at)) },
  { weight: 5, arbitrary: fc.tuple(path, path).map(([from, to]) => move(from, to)) },
  { weight: 1, arbitrary: fc.tuple(path, path).map(([from, to]) => copy(from, to)) },
  { weight: 3, arbitrary: path.map((at) => remove(at)) },
);
const role = fc.constantFrom('viewer' as const, 'editor' as const, 'owner' as const);
const who = fc.nat(3);
const when = fc.nat();
/** What one of four devices does, the first two of one person, the others of another. */
const deed = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('commit' as const), who, operations: fc.array(operation, { minLength: 1, maxLength: 3 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('share' as const), who, at: fc.constantFrom('/a', '/a/a', '/a/b', '/b'), role }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('undelete' as const), who, pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rewind' as const), who, when, at: fc.oneof(fc.constantFrom('/', '/a'), path) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('undo' as const), who, when, of: who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('undoOne' as const), who, pick: fc.nat() }) },
);
type Deed = typeof deed extends fc.Arbitrary<infer Value> ? Value : never;

/** What somebody may be told who does such things at random. */
const REFUSALS: ReadonlySet<string> = new Set(
  'not_found not_a_folder forbidden already_exists name_collides path_invalid invitation_invalid cursor_invalid'.split(' '),
);

type Moment = { readonly atMs: number; readonly cursors: readonly string[] }; // of each person

class TwoPeople {
  static #pairs = 0;
  readonly #place: HistoryPlace;
  readonly #people: readonly [Principal, Principal];
  readonly #devices: readonly Principal[];
  readonly #followers: readonly Follower[];
  readonly #moments: Moment[] = [];
  readonly #operations: string[] = [];

  constructor(place: HistoryPlace) {
    TwoPeople.#pairs += 1;
    this.#place = place;
    this.#people = [person(`one ${TwoPeople.#pairs}`), person(`other ${TwoPeople.#pairs}`)];
    this.#devices = this.#people.flatMap((each) => ['laptop', 'phone'].map((deviceId) => ({ ...each, deviceId })));
    this.#followers = this.#people.map((each) => openFollower(place.metadata, each, '/'));
  }

  async live(deeds: readonly Deed[]): Promise<void> {
    for (const each of this.#people) await done(this.#place.metadata, each, [mkdir('/a')]);
    await this.#note();
    for (const each of deeds) {
      this.#place.clock.ms += 1000;
      try {
        await this.#act(this.#devices[each.who] as Principal, each);
      } catch (error) {
        if (!(error instanceof AppError) || !REFUSALS.has(error.code)) throw error;
      }
      await this.#note();
    }
    await this.#check();
  }

  async #note(): Promise<void> {
    const { metadata, clock } = this.#place;
    const feeds = await Promise.all(this.#people.map((each) => allChanges(metadata, each, null, 1000)));
    this.#moments.push({ atMs: clock.ms, cursors: feeds.map(({ cursor }) => cursor) });
  }

  async #check(): Promise<void> {
    for (const follower of this.#followers) await follower.check();
  }

  async #act(device: Principal, act: Deed): Promise<void> {
    const { metadata, history } = this.#place;
    switch (act.kind) {
      case 'commit':
        await commit(metadata, device, act.operations, CONTENTS);
        return;
      case 'share': {
        const { userId, userName } = this.#people[act.who < 2 ? 1 : 0];
        const { id } = await metadata.invite(device, { path: act.at, userId, userName, role: act.role, message: null });
        await metadata.accept(this.#people[act.who < 2 ? 1 : 0], id);
        return;
      }
      case 'undelete': {
        const { rows } = await history.trash(device, { path: '/', after: null, limit: 100 });
        const item = rows[act.pick % Math.max(1, rows.length)];
        if (item !== undefined) await history.undelete(device, `@${item.nodeId}`, null);
        return;
      }
      default:
        await this.#back(device, this.#requestOf(act));
    }
  }

  #requestOf(act: Deed & { kind: 'rewind' | 'undo' | 'undoOne' }): BackRequest {
    if (act.kind === 'undoOne')
      return { kind: 'undo', operation: this.#operations[act.pick % Math.max(1, this.#operations.length)] ?? '1' };
    const { atMs, cursors } = this.#moments[act.when % this.#moments.length] as Moment;
    const { userName: user, deviceId: device } = this.#devices[act.kind === 'undo' ? act.of : act.who] as Principal;
    if (act.kind === 'undo') return { kind: 'undo', user, device, sinceMs: atMs };
    return { kind: 'rewind', path: act.at, to: act.when % 2 === 0 ? { timeMs: atMs } : { cursor: cursors[act.who < 2 ? 0 : 1] as string } };
  }

  async #back(device: Principal, request: BackRequest): Promise<void> {
    const before = await this.#seen();
    await this.#check();
    const done = await this.#done(device, request);
    if (done === null || done.conflicts > 0 || request.kind !== 'rewind') return;
    const undone = await this.#done(device, { kind: 'undo', operation: done.operation });
    assert.equal(undone?.conflicts, 0);
    assert.deepEqual(await this.#seen(), before, 'the undo of a rewind is what was before');
  }

  #seen(): Promise<string[][]> {
    return Promise.all(this.#people.map((each) => listing(this.#place.metadata, each)));
  }

  /** @returns null if there was nothing to do */
  async #done(device: Principal, request: BackRequest): Promise<{ operation: string; conflicts: number } | null> {
    const { history } = this.#place;
    const plan = await history.preview(device, request);
    if (plan.steps.length === 0) return null;
    const { operation } = await history.goBack(device, request, plan.digest);
    this.#operations.push(operation);
    await this.#check();
    assert.deepEqual((await history.preview(device, request)).steps, [], 'going back twice is going back once');
    return { operation, conflicts: plan.conflicts.length };
  }
}

/** Two people who share folders and go back: each who follows the feed knows what a listing says, and an undone rewind is no rewind. */
export function sharedPasts(place: HistoryPlace): fc.IAsyncProperty<unknown> {
  return fc.asyncProperty(fc.array(deed, { minLength: 8, maxLength: 30 }), (deeds) => new TwoPeople(place).live(deeds));
}
