import type { Step } from './history.ts';
import { LiveRun } from './live_run.ts';
import { Violation, type World } from './world.ts';

type LiveStep = Omit<Extract<Step, { kind: 'live' }>, 'kind' | 'afterMs'>;
const LONG_ENOUGH_MS = 40 * 60_000; // two full scans, the latest hints, and the longest wait for another try

/** What a watcher or the server did not tell is found all the same, and in time. */
export async function live(world: World, { watch, actions, sleepMs, passFaults }: LiveStep): Promise<void> {
  world.note('everybody lives');
  const run = new LiveRun(world, watch, passFaults);
  try {
    for (const [at, { afterMs, device, action }] of actions.entries()) {
      await run.pass(afterMs);
      if (sleepMs > 0 && at === actions.length - 1) run.sleep(sleepMs);
      world.act(world.device(device), action);
    }
    await run.pass(LONG_ENOUGH_MS);
  } finally {
    await run.close();
  }
  for (const device of world.devices) {
    const before = world.effects();
    await world.pass(device, false, []);
    if (world.effects() !== before) throw new Violation('I6', `${device.name} was left with something to do`);
  }
}
