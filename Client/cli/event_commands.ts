import { AppError } from '../../Models/errors.ts';
import type { Driftless, RestChange, RestEvent, RestOnline } from '../client.ts';
import { type Command, type Options, textOption } from './command.ts';
import { type DeviceNames, namedRows } from './device_names.ts';
import { changeText } from './file_commands.ts';
import { formatTime } from './format.ts';
import { facts, rowsOf } from './output.ts';
import { publishedText } from './publish_commands.ts';
import { syncedText } from './receipt_commands.ts';

const PINGS = 5;

function onlineLine({ user, device, name, since }: RestOnline): string {
  return `${user.padEnd(12)}  since ${formatTime(since)}  ${name === '' ? device : name}`;
}

function eventLine(event: RestEvent, names: DeviceNames): string {
  switch (event.type) {
    case 'connected':
      return '';
    case 'presence':
      return `${event.user} ${event.online ? 'came' : 'went'}: ${event.name === '' ? event.device : event.name}`;
    case 'published':
      return publishedText(event);
    case 'synced':
      return syncedText(event).join('  ');
    default:
      return changeText(event, names);
  }
}

/** What there is up to now, then the end. */
async function* upToNow(client: Driftless, since: string): AsyncGenerator<RestChange> {
  if (since === 'now') return;
  const after = since === 'done' ? await client.doneMark() : since === 'start' ? null : since;
  yield* client.changes(after === null ? {} : { after });
}

function sinceOf(options: Options): string {
  if (options.new === true) return 'done';
  return textOption(options, 'since') ?? (options.follow === true ? 'now' : 'start');
}

export const EVENT_COMMANDS: readonly Command[] = [
  {
    name: 'events',
    args: '[word] [id]',
    usage: '[options] | events done ID',
    summary: 'show what happened, and with --follow what happens',
    options: [
      { flags: '-f, --follow', text: 'go on with what happens, until interrupted' },
      { flags: '-s, --since <cursor>', text: 'begin behind this cursor, at the start, or now' },
      { flags: '--new', text: 'begin behind what this device has marked as done' },
    ],
    about: [
      'The last column of a change is its id, the cursor. "events done ID" marks everything up to it as processed by this device: "events --new" then begins behind it.',
      'Who came or went, what is published, and how far a device of yours is with a folder it keeps are told with --follow, as they happen, and not again.',
      'What happened before is in order within your own space and within each shared folder, as "changes" has it.',
      'With --json each event is a line.',
    ].join('\n'),
    examples: ['events --follow', 'events --new --json', 'events --follow --since CURSOR', 'events done ID'],
    async run(run, [word, id], options) {
      if (word !== undefined && (word !== 'done' || id === undefined))
        throw new AppError('request_invalid', 'the only word here is "done ID"');
      const client = await run.client();
      if (id !== undefined) {
        const cursor = await client.eventsDone(id);
        return facts({ cursor }, `done up to ${cursor}`);
      }
      const since = sinceOf(options);
      if (options.follow !== true) return { kind: 'events', events: await namedRows(client, upToNow(client, since), changeText) };
      return { kind: 'events', events: await namedRows(client, client.events({ since }), eventLine) };
    },
  },
  {
    name: 'online',
    args: '',
    summary: 'show who is online, on which devices and since when',
    about:
      'Your own devices, and those of everybody who shares a folder with you. A device is online while it keeps a folder in sync or follows events.',
    examples: ['online', 'online --json'],
    async run(run) {
      return { kind: 'rows', rows: rowsOf(await (await run.client()).online(), onlineLine) };
    },
  },
  {
    name: 'ping',
    args: '',
    summary: 'show how long the server takes to answer',
    examples: ['ping', 'ping --json'],
    async run(run) {
      const client = await run.client();
      const times: number[] = [];
      await client.ping(); // opens the connection
      while (times.length < PINGS) times.push((await client.ping()).ms);
      const [best, worst] = [Math.min(...times), Math.max(...times)];
      return facts({ server: client.serverUrl, ms: times }, `${client.serverUrl} answers in ${best.toFixed(1)} to ${worst.toFixed(1)} ms`);
    },
  },
];
