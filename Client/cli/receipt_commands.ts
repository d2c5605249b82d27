import { AppError } from '../../Models/errors.ts';
import { EXIT } from '../../Models/exit_codes.ts';
import type { RestPlaces, RestSyncedRoot } from '../client.ts';
import { argument, type Command, type Options, textOption } from './command.ts';
import { countOf, grouped } from './format.ts';
import { facts } from './output.ts';
import { parseDuration } from './times.ts';

const AGES = [
  { unit: 'd', ms: 86_400_000 },
  { unit: 'h', ms: 3_600_000 },
  { unit: 'min', ms: 60_000 },
] as const;

/** `just now`, `5 min ago`, `3 h ago`, `12 d ago`. */
function agoText(iso: string, nowMs: number): string {
  const ageMs = nowMs - Date.parse(iso);
  const age = AGES.find(({ ms }) => ageMs >= ms);
  return age === undefined ? 'just now' : `${Math.floor(ageMs / age.ms)} ${age.unit} ago`;
}

/** For example `on 1 store, laptop (just now), phone (3 h ago)`. */
export function placesText({ stores, devices }: RestPlaces, nowMs: number): string {
  const named = devices.map(({ device, name, reportedAt }) => `${name === '' ? device : name} (${agoText(reportedAt, nowMs)})`);
  return `on ${[countOf(stores, 'store'), ...named].join(', ')}`;
}

const STATE_TEXT: Readonly<Record<RestSyncedRoot['state'], string>> = {
  in_sync: 'in sync',
  working: 'working',
  held: 'held: it waits for your word there',
  offline: 'offline',
  signed_out: 'signed out: it counts for nothing',
  unknown: 'knows another history of the server',
};

/** What a device said of a folder it keeps. */
export function syncedText(root: Omit<RestSyncedRoot, 'current'>): string[] {
  const name = root.name === '' ? root.device : root.name;
  const parts = [name, root.remote ?? '(the folder is gone)', STATE_TEXT[root.state]];
  if (root.held && root.state !== 'held') parts.push('held');
  if (root.behind !== null && root.behind > 0) parts.push(`${countOf(root.behind, 'change')} behind`);
  if (root.waiting > 0) parts.push(`${grouped(root.waiting)} waiting`);
  if (root.problems > 0) parts.push(countOf(root.problems, 'problem'));
  return parts;
}

function rootLine(root: RestSyncedRoot, nowMs: number): string {
  const [name, ...parts] = syncedText(root);
  return [root.current ? `${name} (this device)` : name, ...parts, `seen ${agoText(root.seenAt, nowMs)}`].join('  ');
}

function wantedPlaces(options: Options): number {
  const text = textOption(options, 'durable');
  if (text === undefined || !/^[1-9]\d{0,3}$/.test(text)) throw new AppError('request_invalid', 'on how many places? --durable N');
  return Number(text);
}

export const RECEIPT_COMMANDS: readonly Command[] = [
  {
    name: 'sync-status',
    args: '',
    summary: 'show how far each of your devices is with the folders it keeps',
    about: [
      'What a device said of itself, and when. It says so after each pass that changed something, and every few minutes that it still is so.',
      'Behind: changes in its folder that it has not carried out, counted up to 10,000.',
    ].join('\n'),
    examples: ['sync-status', 'sync-status --json'],
    async run(run) {
      const roots = await (await run.client()).syncStatus();
      const lines = roots.map((root) => rootLine(root, Date.now()));
      return facts(roots, ...(lines.length === 0 ? ['no device of yours has reported a synced folder'] : lines));
    },
  },
  {
    name: 'wait',
    args: '<path>',
    summary: 'wait until a file is on so many places',
    options: [
      { flags: '--durable <n>', text: 'stores of the server and devices of yours, together' },
      { flags: '--timeout <time>', text: 'give up after 90s, 30m, 2h; without it waits until it is so' },
    ],
    about: [
      "Counts the server's store as one, and each of your devices that said to have this version whole on its disk.",
      'The device that sent it counts once it has said so. When the time is over: exit code 6, and how far it is.',
    ].join('\n'),
    examples: ['wait /thesis.pdf --durable 3', 'wait /thesis.pdf --durable 2 --timeout 5m && rm thesis.pdf'],
    async run(run, args, options) {
      const wanted = wantedPlaces(options);
      const timeout = textOption(options, 'timeout');
      const client = await run.client();
      const limit = timeout === undefined ? {} : { timeoutMs: parseDuration(timeout) };
      const found = await run.interruptible((signal) => client.untilDurable(argument(args, 0), wanted, { ...limit, signal }));
      const isSo = found.durable >= wanted;
      const text = `${found.path}: version ${found.version} is ${placesText(found, Date.now())}`;
      const answer = facts({ ...found, reached: isSo }, isSo ? text : `${text}: ${found.durable} of ${wanted} places`);
      return { answer, failures: [], code: isSo ? EXIT.done : EXIT.limit };
    },
  },
];
