import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import type { LinkMode } from '../../Models/links.ts';
import type { RestLink, RestLinkAccess } from '../client.ts';
import { argument, type Command, type Options, type Run, textOption } from './command.ts';
import { countOf, formatTime } from './format.ts';
import { facts, rowsOf } from './output.ts';

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 7 * 86_400 };

/** `90m`, `12h`, `7d`, `4w`. @throws AppError `request_invalid` */
function secondsOf(duration: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,6})([smhdw])$/.exec(duration) ?? [];
  const seconds = Number(count) * (SECONDS[unit] ?? 0);
  if (seconds === 0) throw new AppError('request_invalid', `a time is a number with s, m, h, d or w, for example 7d, not "${duration}"`);
  return seconds;
}

/** @throws AppError `request_invalid` */
function usesOf(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new AppError('request_invalid', `uses are a number, not "${text}"`);
  return Number(text);
}

const MODES: readonly (readonly [option: string, mode: LinkMode])[] = [
  ['upload', 'upload'],
  ['both', 'both'],
  ['previewOnly', 'preview'],
];

/** @throws AppError `request_invalid` */
function modeOf(options: Options): LinkMode {
  const chosen = MODES.filter(([option]) => options[option] === true);
  if (chosen.length > 1) throw new AppError('request_invalid', 'only one of --upload, --both and --preview-only');
  return chosen[0]?.[1] ?? 'download';
}

const MODE_WORDS: Record<LinkMode, string> = {
  download: 'download',
  preview: 'previews only',
  upload: 'upload only',
  both: 'download and upload',
};

function restrictions({ mode, hasPassword, expiresAt, usesMax, uses }: RestLink): string {
  return [
    MODE_WORDS[mode],
    ...(hasPassword ? ['password'] : []),
    expiresAt === null ? 'no end' : `until ${formatTime(expiresAt)}`,
    usesMax === null ? countOf(uses, 'use') : `${uses} of ${countOf(usesMax, 'use')}`,
  ].join(', ');
}

function linkLine(link: RestLink): string {
  return `${link.id}  ${link.state.padEnd(11)}  ${link.path ?? '(gone)'}  ${restrictions(link)}, by ${link.maker}`;
}

function accessLine({ action, address, path, firstAt, requests, bytes }: RestLinkAccess): string {
  const times = requests === 1 ? '' : `, ${countOf(requests, 'request')}`;
  return `${formatTime(firstAt)}  ${action.padEnd(8)}  ${address}  ${path}  ${formatBytes(bytes)}${times}`;
}

async function passwordFor(run: Run, options: Options): Promise<string | undefined> {
  if (options.password !== true) return undefined;
  const { askPassword } = await import('./prompt.ts');
  return run.settings.linkPassword ?? (await askPassword('the link', true, 'DRIFTLESS_LINK_PASSWORD'));
}

export const LINK_COMMANDS: readonly Command[] = [
  {
    name: 'link',
    args: '<path>',
    summary: 'make a public link to a file or folder',
    about:
      'Whoever has the URL needs no account. A link can do what you can do: it ends when you lose the right, and follows the folder when it is moved. ' +
      'The URL is printed once and stored nowhere. --password asks for one, or takes DRIFTLESS_LINK_PASSWORD. With --max-uses each download, zip, ' +
      'preview or upload of a file is one use; a download that was cut off and goes on within the hour is the same one.',
    options: [
      { flags: '--expires <time>', text: 'when it ends: 90m, 12h, 7d, 4w' },
      { flags: '--password', text: 'visitors need a password' },
      { flags: '--max-uses <n>', text: 'how often it can be used' },
      { flags: '--upload', text: 'files can be sent to the folder, and nothing in it is shown' },
      { flags: '--both', text: 'download and upload' },
      { flags: '--preview-only', text: 'the first 1024 bytes of each file' },
    ],
    examples: ['link /photos/summer --expires 7d', 'link /inbox --upload', 'link /report.pdf --password --max-uses 1'],
    async run(run, args, options) {
      const mode = modeOf(options);
      const expires = textOption(options, 'expires');
      const uses = textOption(options, 'maxUses');
      const limits = {
        ...(expires === undefined ? {} : { expiresInSeconds: secondsOf(expires) }),
        ...(uses === undefined ? {} : { usesMax: usesOf(uses) }),
      };
      const password = await passwordFor(run, options);
      const client = await run.client();
      const link = await client.createLink(argument(args, 0), { mode, ...limits, ...(password === undefined ? {} : { password }) });
      return facts(link, link.url, `${link.path} (${restrictions(link)}); "unlink ${link.id}" ends it`);
    },
  },
  {
    name: 'links',
    args: '[path]',
    summary: 'show your public links, and all that show a shared folder of yours',
    about:
      'With a path, those that show what is there. A link is open, expired, used_up, revoked, or unreachable: what it led to is gone, or its maker ' +
      'may not read it any more.',
    options: [{ flags: '--log <id>', text: 'instead, who used this link, the newest first' }],
    examples: ['links', 'links /photos', 'links --log 0123456789abcdef0123456789abcdef'],
    async run(run, args, options) {
      const client = await run.client();
      const id = textOption(options, 'log');
      if (id !== undefined) return { kind: 'rows', rows: rowsOf(await client.linkLog(id), accessLine) };
      return { kind: 'rows', rows: rowsOf(client.links(args[0]), linkLine) };
    },
  },
  {
    name: 'unlink',
    args: '<id>',
    summary: 'revoke a public link, at once',
    examples: ['unlink 0123456789abcdef0123456789abcdef'],
    async run(run, args) {
      await (await run.client()).deleteLink(argument(args, 0));
      return facts({ id: argument(args, 0) }, 'revoked');
    },
  },
];
