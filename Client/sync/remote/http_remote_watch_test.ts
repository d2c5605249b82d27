import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../testing/manual_clock.ts';
import { type EventConnection, watchEvents } from './http_remote_watch.ts';

type Events = Parameters<EventConnection['open']>[0];

function openScripted() {
  const opened: Events[] = [];
  let closed = 0;
  const events: EventConnection = {
    open(told) {
      opened.push(told);
      return {
        close() {
          closed += 1;
        },
      };
    },
  };
  return { events, opened, closed: () => closed, last: (): Events => opened.at(-1) as Events };
}

test('a connection brings one hint when it opens and one for each event', () => {
  const { events, last, closed } = openScripted();
  let hints = 0;
  const end = watchEvents(events, new ManualClock(), () => {
    hints += 1;
  });
  assert.equal(hints, 0);
  last().onOpen();
  assert.equal(hints, 1);
  last().onHint(null);
  last().onHint(null);
  assert.equal(hints, 3);
  end();
  assert.equal(closed(), 1);
});

test('while no connection is possible there is a hint every ten seconds, and attempts ever farther apart', async () => {
  const { events, opened, last } = openScripted();
  const clock = new ManualClock();
  let hints = 0;
  const times: number[] = [];
  watchEvents(
    {
      open(told) {
        times.push(clock.now());
        const connection = events.open(told);
        clock.after(0, () => told.onClose());
        return connection;
      },
    },
    clock,
    () => {
      hints += 1;
    },
  );
  await clock.pass(300_000);
  assert.equal(hints, 30);
  const gaps = times.slice(1).map((at, i) => at - (times[i] as number));
  assert.deepEqual(gaps.slice(0, 4), [75, 150, 300, 600]);
  assert.ok(gaps.every((gap) => gap <= 30_000) && (gaps.at(-1) as number) >= 15_000, gaps.join());
  last().onOpen();
  hints = 0;
  await clock.pass(60_000);
  assert.equal(hints, 0, 'with a connection nothing is polled');
  assert.ok(opened.length < 30);
});

test('a connection that was lost is opened again at once if it was a good one, and slower each time if not', async () => {
  const { events, opened, last } = openScripted();
  const clock = new ManualClock();
  let hints = 0;
  const end = watchEvents(events, clock, () => {
    hints += 1;
  });
  for (const expected of [75, 150, 300]) {
    last().onOpen();
    const before = opened.length;
    last().onClose();
    await clock.pass(expected - 1);
    assert.equal(opened.length, before);
    await clock.pass(1);
    assert.equal(opened.length, before + 1, `after ${expected} ms`);
  }
  last().onOpen();
  await clock.pass(20_000);
  last().onClose();
  const before = opened.length;
  await clock.pass(75);
  assert.equal(opened.length, before + 1);
  assert.equal(hints, 4);
  await clock.pass(10_000);
  assert.equal(hints, 5, 'while there is none it is polled');
  last().onClose();
  end();
  await clock.pass(1_000_000);
  assert.equal(opened.length, before + 1, 'nothing is opened after the end');
  assert.equal(clock.waiting, 0);
});

test('with a connection that tells nothing there is still a hint every five minutes', async () => {
  const { events, last } = openScripted();
  const clock = new ManualClock();
  let hints = 0;
  watchEvents(events, clock, () => {
    hints += 1;
  });
  last().onOpen();
  await clock.pass(900_000);
  assert.equal(hints, 4);
});
