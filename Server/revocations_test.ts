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
  const state = { failing: false, failures: 0, asked: 0 };
  const forgotten = new Set<string>(); // sessions
  const accounts = {
    async endedSessions(afterSequence: number): Promise<EndedSession[]> {
      if (state.failing) throw new AppError('storage_unavailable', 'no answer');
      return ended.filter(({ sequence }) => sequence > afterSequence).slice(0, 2);
    },
    async endOfSession(sessionId: string) {
      state.asked += 1;
      return forgotten.has(sessionId) ? 'lapsed' : (ended.find(({ id }) => id === sessionId)?.reason ?? null);
    },
  };
  const revocations = new Revocations(
    accounts,
    () => clock.ms,
    () => {
      state.failures += 1;
    },
  );
  return { clock, ended, forgotten, state, revocations };
}

test('a session is let in until it has ended, however many end at once', async () => {
  const { ended, clock, revocations } = build();
  await revocations.poll();
  await revocations.check('s5');
  for (let i = 1; i <= 5; i += 1) ended.push(end(i, `s${i}`, clock.ms));
  await revocations.poll();
  for (let i = 1; i <= 5; i += 1) await assert.rejects(revocations.check(`s${i}`), { code: 'ticket_revoked', reason: 'logout' });
  await revocations.check('s6');
});

test('nobody is let in before the first reading, nor five seconds after the last', async () => {
  const { clock, state, revocations } = build();
  await assert.rejects(revocations.check('s'), { code: 'storage_unavailable' });
  await revocations.poll();
  await revocations.check('s');
  state.failing = true;
  clock.ms += 5000;
  await revocations.poll();
  await revocations.check('s');
  clock.ms += 1;
  await revocations.poll();
  await assert.rejects(revocations.check('s'), { code: 'storage_unavailable' });
  assert.equal(state.failures, 2);
  state.failing = false;
  await revocations.poll();
  await revocations.check('s');
});

test('what has ended stays out for ever, whatever the wall clock says and whether or not its row is still there', async () => {
  const { clock, ended, forgotten, revocations } = build();
  ended.push(end(1, 'early', 0), end(2, 'late', clock.ms * 2), end(3, 'old', clock.ms));
  await revocations.poll();
  for (const hours of [0, 24, 24]) {
    clock.ms += hours * 3_600_000;
    await revocations.poll();
    for (const id of ['early', 'late', 'old']) await assert.rejects(revocations.check(id), { code: 'ticket_revoked', reason: 'logout' });
  }
  ended.length = 0;
  forgotten.add('old');
  await assert.rejects(revocations.check('old'), { code: 'ticket_revoked', reason: 'lapsed' });
});

test('a session is looked up when it is first seen, and again before its end could have been forgotten', async () => {
  const { clock, ended, state, revocations } = build();
  const minutes = async (count: number) => {
    clock.ms += count * 60_000;
    await revocations.poll();
  };
  await minutes(0);
  for (let n = 0; n < 3; n += 1) await revocations.check('s');
  assert.equal(state.asked, 1);
  ended.push(end(1, 's', clock.ms));
  for (let n = 0; n < 120; n += 1) {
    await minutes(1);
    await assert.rejects(revocations.check('s'), { code: 'ticket_revoked' });
  }
  await revocations.check('other');
  const { asked } = state;
  for (let n = 0; n < 40; n += 1) {
    await minutes(1);
    await revocations.check('other');
  }
  assert.equal(state.asked, asked + 2);
});

test('it reads again within a second, and no more once it is closed', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { ended, clock, revocations } = build();
  await revocations.start();
  ended.push(end(1, 's1', clock.ms));
  t.mock.timers.tick(1000);
  await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(revocations.check('s1'), { code: 'ticket_revoked' });
  await revocations.check('s2');
  await revocations.close();
  ended.push(end(2, 's2', clock.ms));
  t.mock.timers.tick(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  await revocations.check('s2');
});
