import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import type { Driftless, Plan, RestPlanConflict, RestPlanStep } from '../client.ts';
import { argument, type Command, type Options, type Outcome, type Run, textOption } from './command.ts';
import { type DeviceNames, deviceNames } from './device_names.ts';
import { countOf, formatTime } from './format.ts';
import { facts } from './output.ts';
import { parseTime } from './times.ts';

const VERB: Record<RestPlanStep['kind'], string> = { delete: 'delete', move: 'move back', restore: 'bring back', content: 'change back' };
const REASON: Record<RestPlanConflict['reason'], string> = {
  folder_gone: 'the folder it was in is not there',
  name_taken: 'something else has its name now',
  not_empty: 'something is in it that stays',
  into_itself: 'the folder it was in is in it now',
  path_too_long: 'its path would become too long',
  changed_since: 'it was changed since',
  thinned: 'that version is not kept any more',
  shared: 'sharing is not taken back',
  forbidden: 'you may only read it',
  unknown: 'where it was is not known',
};

function stepLine({ kind, path, from, entry, size }: RestPlanStep): string {
  const name = entry === 'folder' ? `${path}/` : path;
  return `${VERB[kind].padEnd(11)}  ${(entry === 'folder' ? '-' : formatBytes(size)).padStart(9)}  ${name}${from === null ? '' : ` (is ${from})`}`;
}

function conflictLine({ path, reason, by }: RestPlanConflict, { nameOf }: DeviceNames): string {
  return `stays as it is: ${path}: ${REASON[reason]}${by === null ? '' : `, by ${by.user} on ${nameOf(by.device)} at ${formatTime(by.at)}`}`;
}

function summary(counts: Plan['counts'], conflicts: number): string {
  const { restore, content, move, delete: deleted } = counts;
  const parts = [`${restore} brought back`, `${content} changed back`, `${move} moved back`, `${deleted} deleted`];
  return `${parts.join(', ')}${conflicts === 0 ? '' : `, ${countOf(conflicts, 'conflict')}`}`;
}

/** A cursor has nothing in it that a time begins with, nor is it as short as one. */
function positionOf(text: string): { time: Date } | { cursor: string } {
  return /^[A-Za-z0-9_-]{16,}$/.test(text) && !/^[0-9]{4}-/.test(text) ? { cursor: text } : { time: parseTime(text, new Date()) };
}

type Preview = (client: Driftless, names: DeviceNames) => Promise<Plan>;

/** Previews, and does just that; with `--dry-run` it stays at the first, with `--plan` it is a preview of before. */
async function back(run: Run, options: Options, preview: Preview): Promise<Outcome> {
  const client = await run.client();
  const before = textOption(options, 'plan');
  if (before !== undefined) {
    const result = await client.goBack({ plan: before });
    return facts(result, `${summary(result.counts, 0)}; to take this back: driftless undo ${result.operation}`);
  }
  const names = await deviceNames(client);
  const plan = await preview(client, names);
  const { steps, conflicts, counts } = plan;
  const kept = conflicts.map((conflict) => conflictLine(conflict, names));
  if (options.dryRun === true) {
    const lines = [...steps.map(stepLine), ...kept, `would be: ${summary(counts, conflicts.length)}`];
    return facts(plan, ...lines, `plan ${plan.plan}`);
  }
  if (steps.length === 0) return facts({ operation: null, counts, conflicts }, ...kept, 'nothing to do');
  const result = await client.goBack(plan);
  const done = `${summary(counts, conflicts.length)}; to take this back: driftless undo ${result.operation}`;
  return facts({ ...result, conflicts }, ...kept, done);
}

const PLAN_OPTIONS = [
  { flags: '-n, --dry-run', text: 'only show what would be done, and the plan that --plan takes' },
  { flags: '--plan <plan>', text: 'do exactly what that preview showed, or stop if something came between' },
] as const;

export const BACK_COMMANDS: readonly Command[] = [
  {
    name: 'rewind',
    args: '<folder>',
    summary: 'make a folder again what it was',
    options: [{ flags: '--to <when>', text: 'a time (14:05, "2026-03-01 14:05", 2h) or the cursor of a change' }, ...PLAN_OPTIONS],
    about: [
      'New changes are written, which all devices see as any other; what is replaced stays a version, and what is deleted is in the trash.',
      'All of it is done or nothing, and undo takes it back. Shared folders below are left alone: rewind those by themselves.',
    ].join('\n'),
    examples: ['rewind /work --to 14:05 --dry-run', 'rewind /work --to "2026-03-01 09:00"', 'rewind / --to CURSOR'],
    async run(run, args, options) {
      const to = textOption(options, 'to');
      if (to === undefined && options.plan === undefined) throw new AppError('request_invalid', 'to when? --to TIME or --to CURSOR');
      return back(run, options, (client) => client.rewind(argument(args, 0), positionOf(to ?? '')));
    },
  },
  {
    name: 'undo',
    args: '[operation]',
    summary: 'take back one operation, or all that a device did',
    options: [
      { flags: '-d, --device <device>', text: 'what this device of yours did, by its name or id, see devices and who' },
      { flags: '--since <when>', text: 'behind this time (14:05, "2026-03-01 14:05", 2h)' },
      { flags: '--user <name>', text: 'whose device; yours if not given' },
      ...PLAN_OPTIONS,
    ],
    about: 'Nothing else is taken back: what somebody changed since on the same files stays, and is named.',
    examples: ['undo 0123456789abcdef0123456789abcdef --dry-run', 'undo --device laptop-3 --since 14:05'],
    async run(run, [operation], options) {
      const device = textOption(options, 'device');
      if (options.plan === undefined && (operation === undefined) === (device === undefined)) {
        throw new AppError('request_invalid', 'what? an operation, or --device and --since');
      }
      return back(run, options, (client, names) => {
        if (operation !== undefined) return client.undo({ operation });
        const user = textOption(options, 'user');
        const since = parseTime(textOption(options, 'since') ?? '', new Date());
        return client.undo({ device: names.idOf(device ?? ''), since, ...(user === undefined ? {} : { user }) });
      });
    },
  },
];
