import { foldName } from '../../Models/names.ts';
import type { History, PassFault, Step, UserAction } from './history.ts';
import { type Outcome, runHistory } from './run_history.ts';
import type { SimFolder } from './sim_server.ts';
import type { Plants } from './world.ts';

/** What must make no difference to what there is in the end. */
const VARIANTS: Readonly<Record<string, (history: History) => History>> = {
  'told of every change': (history) => ({ ...history, steps: history.steps.map((step) => hinted(step, true)) }),
  'told of nothing': (history) => ({ ...history, steps: history.steps.map((step) => hinted(step, false)) }),
  'planned in small parts': (history) => ({ ...history, plannedTogether: 1 }),
  'planned at once': (history) => ({ ...history, plannedTogether: 1000 }),
  'cut into smaller chunks': (history) => ({ ...history, chunkBytesMin: 256 }),
  'devices with other names': (history) => ({ ...history, names: history.devices.map((_, at) => `z${9 - at} laptop`) }),
};

/**
 * Runs a history without its troubles in other ways that must make no difference (metamorphic testing).
 * Who was first is the same in all of them, so what is in conflict is too; only the names of copies differ.
 * @returns what differed, `null`: nothing
 */
export async function differsInVariants(history: History, folder: SimFolder, plants: Plants = {}): Promise<string | null> {
  const calm = calmed(history);
  const plain = await runHistory(calm, folder, plants);
  if (plain.violation !== null) return `without its troubles: ${plain.violation.message}`;
  for (const [name, change] of Object.entries(VARIANTS)) {
    const outcome = await runHistory(change(calm), folder, plants);
    if (outcome.violation !== null) return `${name}: ${outcome.violation.message}`;
    const difference = differenceOf(plain, outcome);
    if (difference !== null) return `I15: ${name}: ${difference}`;
  }
  return null;
}

/**
 * What people do and passes that nothing happens to. Conflict copies have names that depend on the device, so nobody touches them; and of two
 * names that fold together one has to wait, which of them is a matter of order, so there are none.
 */
function calmed(history: History): History {
  const steps = history.steps.flatMap((step): Step[] => {
    if (step.kind === 'user') return step.action.path === '?conflict' ? [] : [{ ...step, action: foldedAction(step.action) }];
    if (step.kind === 'pass') return [{ ...step, hinted: false, faults: NONE }];
    return step.kind === 'settle' ? [step] : [];
  });
  return { ...history, steps };
}

function foldedAction(action: UserAction): UserAction {
  const path = foldedPath(action.path);
  return 'to' in action ? { ...action, path, to: foldedPath(action.to) } : { ...action, path };
}

function foldedPath(path: string): string {
  return path.split('/').map(foldName).join('/');
}

const NONE: readonly PassFault[] = [];

function hinted(step: Step, isHinted: boolean): Step {
  return step.kind === 'pass' ? { ...step, hinted: isHinted } : step;
}

function differenceOf(one: Outcome, other: Outcome): string | null {
  for (const key of new Set([...one.contents.keys(), ...other.contents.keys()])) {
    const [before, after] = [one.contents.get(key) ?? 0, other.contents.get(key) ?? 0];
    if (before !== after) return `${key.slice(0, 12)} is there ${after} times instead of ${before}`;
  }
  return null;
}
