import type { DeviceOptions, DiskFault, History, NetFault, PassFault, Step, UserAction } from './history.ts';
import { type Outcome, runHistory } from './run_history.ts';
import type { SimFolder } from './sim_server.ts';
import type { Plants } from './world.ts';

/** Something that one device takes from another: what was agreed on, what both people then did, and on which side a fault strikes. */
type Scenario = {
  readonly before: readonly UserAction[];
  readonly there: readonly UserAction[];
  readonly here: readonly UserAction[];
};

const write = (path: string, id: number, size = 60): UserAction => ({ kind: 'write', path, content: { id, size } });

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a new file': { before: [], there: [write('f', 1)], here: [] },
  'a new file in new folders': { before: [], there: [write('a/b/f', 1), write('a/g', 2)], here: [] },
  'a changed file': { before: [write('f', 1)], there: [write('f', 2)], here: [] },
  'a deleted file': { before: [write('f', 1), write('g', 2), write('h', 3)], there: [{ kind: 'remove', path: 'f' }], here: [] },
  'a deleted folder': { before: [write('a/f', 1), write('a/b/g', 2), write('h', 3)], there: [{ kind: 'remove', path: 'a' }], here: [] },
  'a moved file': { before: [write('f', 1), write('a/g', 2)], there: [{ kind: 'move', path: 'f', to: 'a/f' }], here: [] },
  'a moved folder': { before: [write('a/f', 1), write('b/g', 2)], there: [{ kind: 'move', path: 'a', to: 'b/a' }], here: [] },
  'two files that changed places': {
    before: [write('f', 1), write('g', 2)],
    there: [
      { kind: 'move', path: 'f', to: 't' },
      { kind: 'move', path: 'g', to: 'f' },
      { kind: 'move', path: 't', to: 'g' },
    ],
    here: [],
  },
  'a moved and changed file': { before: [write('f', 1)], there: [{ kind: 'move', path: 'f', to: 'g' }, write('g', 2)], here: [] },
  'another mode and time': {
    before: [write('f', 1)],
    there: [
      { kind: 'mode', path: 'f', mode: 0o700 },
      { kind: 'time', path: 'f', mtimeMs: 1_600_000_000_000 },
    ],
    here: [],
  },
  'a symlink': { before: [], there: [{ kind: 'symlink', path: 'l', target: 'somewhere' }], here: [] },
  'a symlink made anew': {
    before: [{ kind: 'symlink', path: 'l', target: 'somewhere' }],
    there: [{ kind: 'symlink', path: 'l', target: 'somewhere' }],
    here: [],
  },
  'a folder in the place of a file': { before: [write('f', 1)], there: [{ kind: 'remove', path: 'f' }, write('f/g', 2)], here: [] },
  'a file in the place of a folder': { before: [write('f/g', 1)], there: [{ kind: 'remove', path: 'f' }, write('f', 2)], here: [] },
  'a file changed on both': { before: [write('f', 1)], there: [write('f', 2)], here: [write('f', 3)] },
  'a file made on both': { before: [], there: [write('f', 1)], here: [write('f', 2)] },
  'a file changed here and deleted there': {
    before: [write('f', 1), write('g', 2)],
    there: [{ kind: 'remove', path: 'f' }],
    here: [write('f', 3)],
  },
  'a file changed here and its folder deleted there': {
    before: [write('a/f', 1), write('g', 2)],
    there: [{ kind: 'remove', path: 'a' }],
    here: [write('a/f', 3)],
  },
  'folders moved into each other': {
    before: [write('a/f', 1), write('b/g', 2)],
    there: [{ kind: 'move', path: 'a', to: 'b/a' }],
    here: [{ kind: 'move', path: 'b', to: 'a/b' }],
  },
  'a long file here': { before: [], there: [], here: [write('f', 1, 20_000)] },
  'changes here': {
    before: [write('f', 1), write('g', 2), write('a/h', 3)],
    there: [],
    here: [write('f', 4), { kind: 'remove', path: 'g' }, { kind: 'move', path: 'a', to: 'b' }, write('b/new', 5)],
  },
};

const DISK_EFFECTS: readonly DiskFault['effect'][] = [
  { kind: 'kill' },
  ...[1, 2, 3].map((seed) => ({ kind: 'power', seed }) as const),
  ...(['EIO', 'EACCES', 'ENOSPC'] as const).map((code) => ({ kind: 'error', code, times: 1 }) as const),
  { kind: 'error', code: 'EIO', times: 1000 },
  { kind: 'short_write', bytes: 3 },
  ...(['f', 'g', 'a/f'] as const).flatMap((path, at): DiskFault['effect'][] => [
    { kind: 'user', device: 1, action: { kind: 'save', path, content: { id: 90 + at, size: 60 } } },
    { kind: 'user', device: 1, action: { kind: 'write', path, content: { id: 95 + at, size: 60 } } },
  ]),
  { kind: 'user', device: 1, action: { kind: 'remove', path: 'f' } },
  { kind: 'user', device: 1, action: { kind: 'remove', path: 'a' } },
  { kind: 'user', device: 1, action: { kind: 'move', path: 'f', to: 'm' } },
  { kind: 'user', device: 1, action: { kind: 'move', path: 'a', to: 'm' } },
  { kind: 'user', device: 1, action: { kind: 'folder', path: 'f' } },
];
const NET_EFFECTS: readonly NetFault['effect'][] = [
  { kind: 'drop' },
  { kind: 'drop_reply' },
  { kind: 'duplicate' },
  { kind: 'restart' },
  { kind: 'kill' },
  { kind: 'cut_body', at: 0.1 },
  { kind: 'cut_body', at: 0.6 },
  { kind: 'cut_reply', at: 0.5 },
  { kind: 'wrong_byte', at: 0.9 },
  ...(['ticket_expired', 'busy', 'storage_full'] as const).map((code) => ({ kind: 'refuse', code }) as const),
  { kind: 'user', device: 0, action: { kind: 'save', path: 'f', content: { id: 80, size: 60 } } },
  { kind: 'user', device: 1, action: { kind: 'save', path: 'f', content: { id: 81, size: 60 } } },
  { kind: 'pass', device: 0, faults: [] },
];

const PLAIN: DeviceOptions = { foldsCase: false, foldsUnicode: false, birthTimes: true, timeStepMs: 0.001, skewMs: 0 };

/** The scenario with one fault. */
export function matrixHistory(name: string, fault: PassFault): History {
  const scenario = SCENARIOS[name];
  if (scenario === undefined) throw new RangeError(`no scenario ${name}`);
  return historyOf(scenario, fault);
}

function historyOf({ before, there, here }: Scenario, fault: PassFault): History {
  const acts = (device: number, actions: readonly UserAction[]): Step[] =>
    actions.map((action) => ({ kind: 'user', device, action, afterMs: 1000 }));
  const steps: Step[] = [
    ...acts(0, before),
    { kind: 'settle', afterMs: 1000 },
    ...acts(0, there),
    ...acts(1, here),
    { kind: 'pass', device: 0, hinted: false, faults: [], afterMs: 1000 },
    { kind: 'pass', device: 1, hinted: false, faults: [fault], afterMs: 1000 },
  ];
  return { seed: 1, tickMs: 0.01, devices: [PLAIN, PLAIN], steps };
}

export type MatrixFailure = { readonly scenario: string; readonly fault: PassFault; readonly history: History; readonly outcome: Outcome };

/** Each scenario, each kind of trouble, at each call of the pass: until a run has no such call any more. @returns runs made */
export async function runMatrix(
  folder: SimFolder,
  options: { readonly only?: string | undefined; readonly plants?: Plants; readonly onFailure: (failure: MatrixFailure) => boolean },
): Promise<number> {
  let runs = 0;
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    if (options.only !== undefined && options.only !== name) continue;
    const faultsAt = (nth: number): PassFault[] => [
      ...DISK_EFFECTS.map((effect): PassFault => ({ on: 'disk', nth, name: null, effect })),
      ...NET_EFFECTS.flatMap((effect) => (['before', 'after'] as const).map((when): PassFault => ({ on: 'net', nth, when, effect }))),
    ];
    let alive = faultsAt(1).map((_, at) => at);
    for (let nth = 1; alive.length > 0; nth += 1) {
      const struck: number[] = [];
      for (const at of alive) {
        const fault = faultsAt(nth)[at];
        if (fault === undefined) continue;
        const history = historyOf(scenario, fault);
        const outcome = await runHistory(history, folder, options.plants);
        runs += 1;
        if (outcome.violation !== null && !options.onFailure({ scenario: name, fault, history, outcome })) return runs;
        if (outcome.reached) struck.push(at);
      }
      alive = struck;
    }
  }
  return runs;
}
