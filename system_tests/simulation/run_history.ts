import { assertNever } from '../../Models/errors.ts';
import { withChunksFrom } from './chunk_sizes.ts';
import { type History, historySize, type Step } from './history.ts';
import { type ContentKey, liveContents } from './ledger.ts';
import { live } from './live_step.ts';
import { checkNewcomer, settle } from './settle.ts';
import type { SimFolder } from './sim_server.ts';
import { type Plants, Violation, World } from './world.ts';

export type Outcome = {
  readonly violation: Violation | null;
  readonly labels: ReadonlySet<string>;
  /** Some fault had its call. */
  readonly reached: boolean;
  readonly trace: readonly string[];
  /** What there was of each content at the end. */
  readonly contents: ReadonlyMap<ContentKey, number>;
};

const NEWCOMER_EVERY = 4; // histories

/** Runs a history from an empty server to a settled end. The same history gives the same outcome. */
export async function runHistory(history: History, folder: SimFolder, plants: Plants = {}): Promise<Outcome> {
  return withChunksFrom(history.chunkBytesMin ?? null, () => run(history, folder, plants));
}

async function run(history: History, folder: SimFolder, plants: Plants): Promise<Outcome> {
  const world = await World.open(history, folder, plants);
  let violation: Violation | null = null;
  let contents: ReadonlyMap<ContentKey, number> = new Map();
  try {
    for (const step of history.steps) await runStep(world, step);
    await settle(world);
    contents = liveContents(world.device(0).user.walk(['.driftless']));
    if (history.seed % NEWCOMER_EVERY === 0) await checkNewcomer(world);
  } catch (error) {
    violation =
      error instanceof Violation ? error : new Violation('simulation', error instanceof Error ? (error.stack ?? '') : String(error));
  } finally {
    await world.close();
  }
  return { violation, labels: world.labels, reached: world.reached, trace: world.trace, contents };
}

async function runStep(world: World, step: Step): Promise<void> {
  world.pause(step.afterMs);
  switch (step.kind) {
    case 'user':
      world.act(world.device(step.device), step.action);
      return;
    case 'share':
      await world.share(step.action);
      return;
    case 'pass':
      await world.pass(world.device(step.device), step.hinted, step.faults);
      return;
    case 'live':
      await live(world, step);
      return;
    case 'settle':
      world.note('settle');
      await settle(world);
      return;
    case 'kill':
      await world.kill(world.device(step.device));
      return;
    case 'power':
      await world.cutPower(world.device(step.device), step.seed);
      return;
    case 'back_up_index':
      await world.device(step.device).backUpIndex();
      return;
    case 'restore_index':
      world.note(`d${step.device} has its old index again`);
      if (await world.device(step.device).restoreIndex()) world.loosen();
      return;
    case 'delete_index':
      world.note(`d${step.device} has no index any more`);
      world.labels.add('no index');
      await world.device(step.device).deleteIndex();
      world.loosen();
      return;
    case 'unmounted':
      await world.unmounted(world.device(step.device));
      return;
    case 'set_clock':
      world.note(`the clock of d${step.device} is set by ${step.byMs} ms`);
      if (step.byMs < 0) world.labels.add('clock set back');
      world.device(step.device).setClock(step.byMs);
      return;
    case 'restart':
      await world.server.restart();
      return;
    case 'back_up_server':
      await world.server.backUp();
      world.hasBackup = true;
      return;
    case 'restore_server':
      if (!world.hasBackup) return;
      world.note('the server is restored');
      await world.server.restore(step.newEpoch);
      world.loosen();
      return;
    default:
      assertNever(step);
  }
}

/** The same failure with as little as possible: steps and faults are left out while it still comes. */
export async function minimise(
  history: History,
  invariant: string,
  folder: SimFolder,
  plants: Plants,
  deadlineMs: number,
): Promise<History> {
  let best = history;
  const stillFails = async (candidate: History): Promise<boolean> => {
    const { violation } = await runHistory(candidate, folder, plants);
    return violation?.invariant === invariant;
  };
  for (let shrunk = true; shrunk; ) {
    shrunk = false;
    for (const candidate of smaller(best)) {
      if (performance.now() > deadlineMs) return best;
      if (historySize(candidate) >= historySize(best) || !(await stillFails(candidate))) continue;
      best = candidate;
      shrunk = true;
      break;
    }
  }
  return best;
}

/** Large pieces first. */
function* smaller(history: History): Generator<History> {
  const { steps } = history;
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = steps.length - size; at >= 0; at -= size) yield { ...history, steps: steps.toSpliced(at, size) };
  }
  for (const [at, step] of steps.entries()) {
    if (step.kind === 'live') for (const less of lessLive(step)) yield { ...history, steps: steps.with(at, less) };
    if (step.kind !== 'pass') continue;
    for (const faults of fewerFaults(step.faults)) yield { ...history, steps: steps.with(at, { ...step, faults }) };
  }
}

function* lessLive(step: Extract<Step, { kind: 'live' }>): Generator<Step> {
  for (const at of step.actions.keys()) yield { ...step, actions: step.actions.toSpliced(at, 1) };
  for (const at of step.passFaults.keys()) yield { ...step, passFaults: step.passFaults.toSpliced(at, 1) };
}

type Faults = Extract<Step, { kind: 'pass' }>['faults'];

function* fewerFaults(faults: Faults): Generator<Faults> {
  for (const [at, fault] of faults.entries()) {
    yield faults.toSpliced(at, 1);
    if (fault.on !== 'net' || fault.effect.kind !== 'pass') continue;
    for (const fewer of fewerFaults(fault.effect.faults)) yield faults.with(at, { ...fault, effect: { ...fault.effect, faults: fewer } });
  }
}
