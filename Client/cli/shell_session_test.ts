import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../Models/errors.ts';
import type { EndReason } from '../../Models/session_ends.ts';
import type { Driftless } from '../client.ts';
import { createShellSession } from './shell_session.ts';

function world(options: { idleMs?: number | null; unreachable?: boolean } = {}) {
  const { idleMs = 40, unreachable = false } = options;
  const state = { reason: null as EndReason | null, asked: 0, heard: 0, closed: 0, begun: [] as boolean[], told: [] as string[] };
  const client = {
    idleMs,
    heard: () => {
      state.heard += 1;
    },
    ended: async () => {
      state.asked += 1;
      return state.reason;
    },
    close: async () => {
      state.closed += 1;
    },
  } as unknown as Driftless;
  const session = createShellSession({
    resume: async ({ interactive }) => {
      state.begun.push(interactive);
      if (interactive && unreachable) throw new AppError('auth_unreachable', 'no answer');
      return client;
    },
    tell: (line) => void state.told.push(line),
  });
  return { state, session };
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!isSo()) {
    assert.ok(performance.now() < deadline, 'it does not come');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('who does nothing is told that the session has ended, and why, and begins another one only by asking for it', async () => {
  const { state, session } = world();
  await session.during(() => session.open());
  state.reason = 'idle';
  await until(() => state.told.length > 0);
  assert.deepEqual(state.told, ['the session has ended: nothing was done in it; "connect" begins another']);
  assert.equal(state.closed, 1);
  await assert.rejects(session.open(), { code: 'session_unknown', reason: 'idle' });
  assert.deepEqual(state.begun, [true]);
  await session.during(() => session.again());
  await session.open();
  assert.deepEqual(state.begun, [true, true]);
  await session.close();
});

test('a command that runs for long keeps the session, and one that comes in between begins the wait anew', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const pass = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms);
    await new Promise((resolve) => setImmediate(resolve));
  };
  const { state, session } = world({ idleMs: 60 });
  await session.during(async () => {
    await session.open();
    const before = state.heard;
    for (let n = 0; n < 2; n += 1) await pass(1000);
    assert.ok(state.heard > before + 1);
    assert.equal(state.asked, 0);
  });
  for (let n = 0; n < 4; n += 1) {
    await pass(40);
    await session.during(async () => assert.equal(state.asked, 0));
  }
  await pass(60);
  assert.equal(state.asked, 1);
  await session.close();
});

test('without such a limit nothing is asked; a daemon that cannot be reached leaves the login of the profile', async () => {
  const { state, session } = world({ idleMs: null, unreachable: true });
  await session.during(() => session.open());
  assert.deepEqual(state.begun, [true, false]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([state.asked, state.told], [0, []]);
  await session.close();
  assert.equal(state.closed, 1);
});
