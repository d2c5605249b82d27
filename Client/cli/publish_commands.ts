import { resolve, sep } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import type {
  Driftless,
  FetchOptions,
  PublishEvent,
  PublishedMessage,
  Publisher,
  PublishTo,
  RestFetch,
  RestPublication,
  RestPublished,
} from '../client.ts';
import { argument, type Command, listOption, type Options, type Run, textOption } from './command.ts';
import { countOf, formatSeconds, formatTime } from './format.ts';
import { createLines } from './line_queue.ts';
import { facts, rowsOf } from './output.ts';
import { createProgressLine } from './progress.ts';
import { rememberPublished } from './publish_settings.ts';

type Line = { readonly line: string; readonly json: unknown };

/** @throws AppError `request_invalid` */
function audienceOf(to: readonly string[]): PublishTo {
  const [first, ...others] = to;
  const isAlone = others.length === 0;
  if (first === 'everyone' && isAlone) return 'everyone';
  if (first?.startsWith('/') === true && isAlone) return { membersOf: first };
  if (to.some((word) => word === 'everyone' || word.startsWith('/'))) {
    throw new AppError('request_invalid', '--to is "everyone", or users, or one shared folder');
  }
  return to;
}

function audienceText(to: PublishTo): string {
  if (to === 'everyone') return 'everyone';
  if ('membersOf' in to) return `the members of ${to.membersOf}`;
  return to.length === 0 ? 'your own devices only' : to.join(', ');
}

export function publishEventLine(event: PublishEvent): Line {
  switch (event.kind) {
    case 'announced': {
      const named = [...event.files.map(({ path }) => `+ ${path}`), ...event.gone.map((path) => `- ${path}`)];
      return {
        line: `announced ${listed(named)}`,
        json: { event: 'announced', files: event.files, gone: event.gone },
      };
    }
    case 'served':
      return {
        line: `${event.user} fetched ${event.path}, ${formatBytes(event.length)}`,
        json: { event: 'served', ...event, kind: undefined },
      };
    case 'not_served':
      return notLine('not_served', `not sent to ${event.user}`, event.error);
    case 'trouble':
      return notLine('trouble', 'not announced yet', event.error);
  }
}

const NAMED_MAX = 10;

function listed(names: readonly string[]): string {
  const rest = names.length - NAMED_MAX;
  return [...names.slice(0, NAMED_MAX), ...(rest > 0 ? [`${rest} more`] : [])].join(', ');
}

function notLine(event: string, what: string, { code, message }: AppError): Line {
  return { line: `${what}: ${message} (${code})`, json: { event, error: { code, message } } };
}

/** Until it is interrupted, or withdrawn elsewhere. */
async function* publishing(run: Run, local: string, options: Options): AsyncGenerator<Line> {
  const client = await run.client();
  const to = audienceOf(listOption(options, 'to'));
  const name = textOption(options, 'name');
  const lines = createLines();
  const ended = run
    .interruptible(async (signal) => {
      const tell = (event: PublishEvent): void => {
        lines.push(publishEventLine(event));
      };
      await using publisher = await client.publish(local, { to, onEvent: tell, ...(name === undefined ? {} : { name }) });
      await remember(run, client, { local, to, publisher });
      lines.push(startLine(publisher, to));
      const how = await Promise.race([publisher.ended, aborted(signal)]);
      if (how === 'withdrawn') lines.push({ line: `${publisher.name} was withdrawn`, json: { event: 'withdrawn', name: publisher.name } });
    })
    .finally(() => lines.end());
  ended.catch(() => undefined); // thrown below
  yield* lines.all();
  await ended;
}

async function remember(
  run: Run,
  client: Driftless,
  { local, to, publisher: { name } }: { local: string; to: PublishTo; publisher: Publisher },
): Promise<void> {
  const which = { user: client.username, server: client.serverUrl, name };
  await rememberPublished(run.settings.home, which, { local: resolve(local), to });
}

export function startLine(publisher: Publisher, to: PublishTo): Line {
  const files = publisher.files();
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return {
    line: `publishing ${countOf(files.length, 'file')}, ${formatBytes(bytes)}, as ${publisher.name} for ${audienceText(to)}`,
    json: { event: 'start', id: publisher.id, name: publisher.name, files: files.length, bytes },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}

function publishedLine({ user, name, size, online, announcedAt }: RestPublished): string {
  return `${formatBytes(size).padStart(9)}  ${formatTime(announcedAt)}  ${online ? 'online ' : 'offline'}  ${user}/${name}`;
}

function fetchLine({ at, user, name, start, length, sent }: RestFetch): string {
  const part = start === 0 ? '' : `, from byte ${start}`;
  const whole =
    sent === null
      ? `not known how much of ${formatBytes(length)}`
      : sent === length
        ? formatBytes(sent)
        : `${formatBytes(sent)} of ${formatBytes(length)}`;
  return `${formatTime(at)}  ${user}  ${name}  ${whole}${part}`;
}

function publicationLine({ name, audience, users, files, bytes, online }: RestPublication): string {
  const whom =
    audience === 'users' ? users.join(', ') || 'your own devices' : audience === 'everyone' ? 'everyone' : 'members of a shared folder';
  return `${online ? 'online ' : 'offline'}  ${countOf(files, 'file')}, ${formatBytes(bytes)}  ${name}  for ${whom}`;
}

export function publishedText({ user, name, change, files, gone, more }: PublishedMessage): string {
  const named = [...files.map(({ path }) => `+ ${user}/${name}/${path}`), ...gone.map((path) => `- ${user}/${name}/${path}`)];
  if (change !== 'files') named.push(`${user}/${name} ${change === 'withdrawn' ? 'was withdrawn' : `is ${change}`}`);
  if (more) named.push(`${user}/${name}: more changed`);
  return listed(named);
}

async function* following(run: Run, client: Driftless): AsyncGenerator<Line> {
  const lines = createLines();
  const ended = run
    .interruptible(async (signal) => {
      const end = client.watchPublished((message) => {
        const { type: _, ...json } = message;
        lines.push({ line: publishedText(message), json });
      });
      await aborted(signal);
      end();
    })
    .finally(() => lines.end());
  ended.catch(() => undefined); // thrown below
  yield* lines.all();
  await ended;
}

/** `USER/NAME`. @throws AppError `request_invalid` */
function ownerAndName(text: string): { user: string; name: string } {
  const slash = text.indexOf('/');
  if (slash <= 0 || slash === text.length - 1) throw new AppError('request_invalid', 'what to fetch, and from whom? USER/NAME');
  return { user: text.slice(0, slash), name: text.slice(slash + 1) };
}

function waitMs(options: Options): FetchOptions {
  if (options.wait === undefined) return {};
  if (options.wait === true) return { waitMs: Number.POSITIVE_INFINITY };
  const seconds = Number(options.wait);
  if (!(seconds >= 0)) throw new AppError('request_invalid', '--wait takes seconds');
  return { waitMs: seconds * 1000 };
}

async function fetchOne(run: Run, from: string, local: string, options: Options) {
  const { user, name } = ownerAndName(from);
  const client = await run.client();
  const line = createProgressLine(run.screen);
  const startedAt = performance.now();
  try {
    const fetched = await run.interruptible((signal) =>
      client.fetch(user, name, local, { ...waitMs(options), signal, onProgress: (progress) => line.update(progress) }),
    );
    const seconds = formatSeconds((performance.now() - startedAt) / 1000);
    const resumed = fetched.bytes < fetched.size ? `, ${formatBytes(fetched.size - fetched.bytes)} were there` : '';
    return facts(fetched, `fetched ${fetched.local}, ${formatBytes(fetched.bytes)}${resumed}, in ${seconds}`);
  } finally {
    line.clear();
  }
}

async function previewOne(run: Run, from: string) {
  const { user, name } = ownerAndName(from);
  const content = await (await run.client()).fetchPreview(user, name);
  return {
    kind: 'content' as const,
    pieces: (async function* () {
      yield content;
    })(),
    json: { user, name, bytes: content.length, text: new TextDecoder().decode(content), base64: content.toString('base64') },
  };
}

export const PUBLISH_COMMANDS: readonly Command[] = [
  {
    name: 'publish',
    args: '<local>',
    summary: 'let others fetch files of a folder from this device, without uploading them',
    options: [
      { flags: '--name <name>', text: "what it is called (the folder's own name)" },
      {
        flags: '--to <whom>',
        text: 'everyone, a user (may be repeated), or the path of a shared folder, for its members; else your own devices only',
        repeated: true,
      },
    ],
    about: [
      'Names, sizes and digests are announced; the content stays here and goes through the server, which keeps none of it, when somebody fetches it.',
      'Runs until Ctrl-C; files that come, change or go are announced as they do. After that they are shown as offline, until "unpublish".',
    ].join('\n'),
    examples: ['publish ./photos --to bob --to carol', 'publish ./iso --to everyone', 'publish ./drafts --name drafts --to /reports'],
    run: async (run, args, options) => ({ kind: 'events', events: publishing(run, argument(args, 0), options) }),
  },
  {
    name: 'unpublish',
    args: '<name>',
    summary: 'announce a published folder no more',
    examples: ['unpublish photos'],
    async run(run, args) {
      const client = await run.client();
      const name = argument(args, 0);
      await client.unpublish(name);
      await rememberPublished(run.settings.home, { user: client.username, server: client.serverUrl, name }, null);
      return facts({ name }, `${name} is not published any more`);
    },
  },
  {
    name: 'published',
    args: '[user]',
    summary: 'show what you may fetch from devices, and whether they are online',
    options: [
      { flags: '--mine', text: 'only your own files' },
      { flags: '--folders', text: 'the folders you publish, and for whom' },
      { flags: '--log', text: 'who fetched what of yours, newest first' },
      { flags: '--follow', text: 'print what is added, taken away, comes or goes, until Ctrl-C' },
    ],
    examples: ['published', 'published alice', 'published --log', 'published --follow'],
    async run(run, [user], options) {
      const client = await run.client();
      if (options.log === true) return { kind: 'rows', rows: rowsOf(client.fetches(), fetchLine) };
      if (options.folders === true) return { kind: 'rows', rows: rowsOf(await client.publications(), publicationLine) };
      if (options.follow === true) return { kind: 'events', events: following(run, client) };
      const which = { own: options.mine === true, ...(user === undefined ? {} : { user }) };
      return { kind: 'rows', rows: rowsOf(client.published(which), publishedLine) };
    },
  },
  {
    name: 'fetch',
    args: '<from> [local]',
    usage: '[options] <USER/NAME> [local]',
    summary: "fetch a published file from its owner's device",
    options: [
      { flags: '--preview', text: 'print the first 1024 bytes' },
      { flags: '--wait [seconds]', text: 'for the device to be online; without a number as long as it takes' },
    ],
    about: [
      'The file becomes LOCAL, or goes into it if that is a folder (the current one if not given), once its digest is the announced one.',
      'What is broken off goes on from where it was: by itself for 30 s when the device goes, and with the next fetch.',
    ].join('\n'),
    examples: ['fetch alice/photos/beach.jpg', 'fetch alice/iso/debian.iso ~/Downloads --wait', 'fetch alice/notes.txt --preview'],
    async run(run, args, options) {
      if (options.preview === true) return previewOne(run, argument(args, 0));
      return fetchOne(run, argument(args, 0), args[1] ?? `.${sep}`, options);
    },
  },
];
