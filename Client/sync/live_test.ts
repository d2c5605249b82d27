import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import type { OnHint } from './disk/disk.ts';
import type { PassOptions, PassReport } from './engine.ts';
import { type LiveState, runLive } from './live.ts';
import { ManualClock } from './testing/manual_clock.ts';

const DONE: PassReport = { complete: true, achieved: 0, entries: 0, held: [], problems: 0, retryAtMs: null };
type Seen = {
  readonly atMs: number;
  readonly folders: readonly string[] | 'all';
  readonly feed: boolean;
  readonly restless: readonly string[];
};

/** The loop with an engine that only notes what it is asked for. */
class Fixture {
  readonly clock = new ManualClock();
  sleptMs = 0;
  readonly passes: Seen[] = [];
  readonly states: LiveState[] = [];
  answer: () => Promise<PassReport> = async () => DONE;
  local: OnHint = () => assert.fail('not watched');
  remote: () => void = () => assert.fail('not watched');
  ended: Error | null = null;
  readonly live;

  constructor({ paused = false } = {}) {
    this.live = runLive({
      engine: { pass: (options) => this.#pass(options ?? {}) },
      remote: {
        watch: (onHint) => {
          this.remote = onHint;
          return () => undefined;
        },
      },
      watch: (onHint) => {
        this.local = onHint;
        return { coverage: { watched: 1, of: 2 }, close: () => undefined };
      },
      clock: this.clock,
      wallMs: () => this.wallMs(),
      paused,
      onState: (state) => this.states.push(state),
      onPass: () => undefined,
      onEnd: (error) => {
        this.ended = error;
      },
    });
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.clock.now() + this.sleptMs;
  }

  async #pass({ folders, feed, restless }: PassOptions): Promise<PassReport> {
    const atMs = this.clock.now();
    this.passes.push({
      atMs,
      folders: folders === undefined ? 'all' : [...folders],
      feed: feed !== false,
      restless: [...(restless ?? [])],
    });
    return this.answer();
  }

  /** What was asked for since the last time. */
  async seen(): Promise<Seen[]> {
    for (let i = 0; i < 5; i += 1) await setImmediate();
    return this.passes.splice(0);
  }

  async wait(ms: number): Promise<Seen[]> {
    await this.seenKept();
    await this.clock.pass(ms);
    return this.seen();
  }

  async seenKept(): Promise<void> {
    for (let i = 0; i < 5; i += 1) await setImmediate();
  }
}

const started = async (): Promise<Fixture> => {
  const fixture = new Fixture();
  await fixture.seen();
  return fixture;
};

suite('the loop that keeps a folder in sync', () => {
  test('begins with everything, and then with nothing', async () => {
    const fixture = new Fixture();
    assert.deepEqual(await fixture.seen(), [{ atMs: 0, folders: 'all', feed: true, restless: [] }]);
    assert.deepEqual(await fixture.wait(60_000), []);
    assert.deepEqual(fixture.live.coverage, { watched: 1, of: 2 });
    await fixture.live.close();
    assert.equal(fixture.states.at(-1)?.state, 'closed');
  });

  test('looks at the folder of a changed file once that has been still for 20 ms', async () => {
    const fixture = await started();
    fixture.local('a/b/file');
    assert.deepEqual(await fixture.wait(19), []);
    assert.deepEqual(await fixture.wait(1), [{ atMs: 20, folders: ['a/b'], feed: false, restless: [] }]);
    await fixture.live.close();
  });

  test('waits longer for a file that keeps changing, and leaves it alone when another one is looked at', async () => {
    const fixture = await started();
    fixture.local('busy');
    await fixture.wait(10);
    fixture.local('busy'); // still at 50
    fixture.local('quiet'); // still at 30
    assert.deepEqual(await fixture.wait(20), [{ atMs: 30, folders: [''], feed: false, restless: ['busy'] }]);
    assert.deepEqual(await fixture.wait(20), [{ atMs: 50, folders: [''], feed: false, restless: [] }]);
    await fixture.live.close();
  });

  test('takes hints that come together for one change', async () => {
    const fixture = await started();
    for (let i = 0; i < 3; i += 1) fixture.local('file');
    await fixture.wait(4);
    fixture.local('file');
    assert.deepEqual(await fixture.wait(19), []);
    assert.deepEqual(await fixture.wait(1), [{ atMs: 24, folders: [''], feed: false, restless: [] }]);
    await fixture.live.close();
  });

  test('tries a file that is never still after ten seconds', async () => {
    const fixture = await started();
    let first: number | null = null;
    for (let at = 0; at < 12_000 && first === null; at += 10) {
      fixture.local('log');
      first = (await fixture.wait(10))[0]?.atMs ?? null;
    }
    assert.ok(first !== null && first >= 9000 && first <= 10_000, `tried at ${first} ms`);
    await fixture.live.close();
  });

  test('reads the feed at once when the server has something new, and looks at no folder', async () => {
    const fixture = await started();
    fixture.remote();
    assert.deepEqual(await fixture.seen(), [{ atMs: 0, folders: [], feed: true, restless: [] }]);
    await fixture.live.close();
  });

  test('looks at everything after the machine slept', async () => {
    const fixture = await started();
    assert.deepEqual(await fixture.wait(31_000), []);
    fixture.sleptMs = 3_600_000;
    assert.deepEqual(
      (await fixture.wait(30_000)).map(({ folders }) => folders),
      ['all'],
    );
    await fixture.live.close();
  });

  test('looks at everything every ten minutes, and after an overflow', async () => {
    const fixture = await started();
    assert.deepEqual(
      (await fixture.wait(20 * 60_000 + 30_000)).map(({ atMs, folders }) => [Math.round(atMs / 60_000), folders]),
      [
        [10, 'all'],
        [20, 'all'],
      ],
    );
    fixture.local(null);
    assert.deepEqual(
      (await fixture.seen()).map(({ folders }) => folders),
      ['all'],
    );
    await fixture.live.close();
  });

  test('a hint that comes during a pass is not lost', async () => {
    const fixture = await started();
    const { promise, resolve } = Promise.withResolvers<PassReport>();
    fixture.answer = () => promise;
    fixture.remote();
    await fixture.seen();
    fixture.remote();
    fixture.local('x/y');
    fixture.answer = async () => DONE;
    resolve(DONE);
    assert.deepEqual(
      (await fixture.seen()).map(({ feed }) => feed),
      [true],
    );
    assert.deepEqual(
      (await fixture.wait(20)).map(({ folders }) => folders),
      [['x']],
    );
    await fixture.live.close();
  });

  test('goes on by itself after the server was away, with what was to be looked at then', async () => {
    const fixture = await started();
    fixture.answer = async () => {
      throw new AppError('server_unreachable', 'gone');
    };
    fixture.local('a/b');
    assert.equal((await fixture.wait(20)).length, 1);
    assert.equal(fixture.states.at(-1)?.state, 'offline');
    assert.equal((await fixture.wait(499)).length, 0);
    fixture.answer = async () => DONE;
    assert.deepEqual(await fixture.wait(1), [{ atMs: 520, folders: ['a'], feed: true, restless: [] }]);
    assert.equal(fixture.states.at(-1)?.state, 'idle');
    await fixture.live.close();
  });

  test('tries again when the server answers again, without waiting', async () => {
    const fixture = await started();
    fixture.answer = async () => {
      throw new AppError('server_unreachable', 'gone');
    };
    fixture.remote();
    await fixture.seen();
    fixture.answer = async () => DONE;
    fixture.remote();
    assert.equal((await fixture.seen()).length, 1);
    await fixture.live.close();
  });

  test('ends when only a person can help', async () => {
    for (const code of ['ticket_revoked', 'not_logged_in', 'server_key_changed', 'server_certificate_changed'] as const) {
      const fixture = await started();
      fixture.answer = async () => {
        throw new AppError(code, 'not by itself');
      };
      fixture.remote();
      await fixture.seen();
      assert.equal(fixture.ended instanceof AppError && fixture.ended.code, code);
      assert.deepEqual(await fixture.wait(600_000), []);
      await fixture.live.close();
    }
  });

  test('tries what could not be done at the time that was said', async () => {
    const fixture = new Fixture();
    fixture.answer = async () => ({ ...DONE, complete: false, problems: 1, retryAtMs: fixture.wallMs() + 300 });
    await fixture.seen();
    fixture.answer = async () => DONE;
    assert.deepEqual(await fixture.wait(299), []);
    assert.equal((await fixture.wait(1)).length, 1);
    await fixture.live.close();
  });

  test('paused during a pass it is paused once that is over, and stays so', async () => {
    for (const ends of [async () => DONE, () => Promise.reject(new AppError('server_unreachable', 'gone'))]) {
      const fixture = await started();
      const { promise, resolve } = Promise.withResolvers<void>();
      fixture.answer = () => promise.then(ends);
      fixture.remote();
      await fixture.seen();
      fixture.live.pause();
      assert.equal(fixture.states.at(-1)?.state, 'working');
      resolve();
      assert.deepEqual(await fixture.wait(60_000), []);
      assert.equal(fixture.states.at(-1)?.state, 'paused');
      await fixture.live.close();
    }
  });

  test('does nothing while it is paused, and then looks at everything', async () => {
    const fixture = new Fixture({ paused: true });
    assert.deepEqual(await fixture.wait(60_000), []);
    fixture.remote();
    fixture.local('a');
    assert.deepEqual(await fixture.wait(60_000), []);
    fixture.live.resume();
    assert.deepEqual(
      (await fixture.seen()).map(({ folders }) => folders),
      ['all'],
    );
    fixture.live.pause();
    fixture.remote();
    assert.deepEqual(await fixture.wait(60_000), []);
    await fixture.live.close();
  });
});
