import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../Models/errors.ts';
import type { EndedSession } from '../Storage/sessions.ts';
import { Revocations } from './revocations.ts';

const end = (sequence: number, id: string, endedAtMs: number): EndedSession => ({
  ...{ sequence, id, endedAtMs, reason: 'logout' },
  ...{ deviceRevoked: false, userId: 'u', deviceId: 'd' },
});

function build() {
  const clock = { ms: 1_800_000_000_000 };
  const ended: EndedSession[] = [];
  const state = { failing: false, failures: 0 };
  const accounts = {
    async endedSessions(afterSequence: number): Promise<EndedSession[]> {
      if (state.failing) throw new AppError('storage_unavailable', 'no answer');
      return ended.filter(({ sequence }) => sequence > afterSequence).slice(0, 2);
    },
  };
  const revocations = new Revocations(
    accounts,
    () => clock.ms,
    () => {
      state.failures += 1;
    },
  );
  return { clock, ended, state, revocations };
}

test('a session is let in until it has ended, however many end at once', async () => {
  const { ended, clock, revocations } = build();
  await revocations.poll();
  revocations.check('s5');
  for (let i = 1; i <= 5; i += 1) ended.push(end(i, `s${i}`, clock.ms));
  await revocations.poll();
  for (let i = 1; i <= 5; i += 1) assert.throws(() => revocations.check(`s${i}`), { code: 'ticket_revoked', reason: 'logout' });
  revocations.check('s6');
});

test('nobody is let in before the first reading, nor five seconds after the last', async () => {
  const { clock, state, revocations } = build();
  assert.throws(() => revocations.check('s'), { code: 'storage_unavailable' });
  await revocations.poll();
  revocations.check('s');
  state.failing = true;
  clock.ms += 5000;
  await revocations.poll();
  revocations.check('s');
  clock.ms += 1;
  await revocations.poll();
  assert.throws(() => revocations.check('s'), { code: 'storage_unavailable' });
  assert.equal(state.failures, 2);
  state.failing = false;
  await revocations.poll();
  revocations.check('s');
});

test('what ended so long ago that no ticket can be good any more is forgotten', async () => {
  const { clock, ended, revocations } = build();
  ended.push(end(1, 'old', clock.ms));
  await revocations.poll();
  clock.ms += 24 * 3_600_000;
  await revocations.poll();
  revocations.check('old');
});

test('only our own clock counts: a session whose end was written with a wrong one stays out as long', async () => {
  const { clock, ended, revocations } = build();
  ended.push(end(1, 'early', 0), end(2, 'late', clock.ms * 2));
  await revocations.poll();
  for (const id of ['early', 'late']) assert.throws(() => revocations.check(id), { code: 'ticket_revoked' });
  clock.ms += 24 * 3_600_000;
  await revocations.poll();
  for (const id of ['early', 'late']) revocations.check(id);
});

test('it reads again within a second, and no more once it is closed', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { ended, clock, revocations } = build();
  await revocations.start();
  ended.push(end(1, 's1', clock.ms));
  t.mock.timers.tick(1000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.throws(() => revocations.check('s1'), { code: 'ticket_revoked' });
  await revocations.close();
  ended.push(end(2, 's2', clock.ms));
  t.mock.timers.tick(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  revocations.check('s2');
});
