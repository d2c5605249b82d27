import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import { parseBytes } from '../../Models/parse_bytes.ts';
import type { RestLimits } from '../../Models/rest_quota.ts';
import { type Command, type Options, textOption } from './command.ts';
import { facts } from './output.ts';

/** `10G`, `none`, or `default`: as for everybody. */
function limitOption(options: Options, name: string): RestLimits['quota'] | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  if (text === 'default') return null;
  return text === 'none' ? 'none' : parseBytes(text);
}

/** `exe,video`, `none`, or `default`. @throws AppError `request_invalid` */
function typesOption(options: Options, name: string): string[] | null | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  if (text === 'default') return null;
  if (text === 'none') return [];
  const types = text.split(',').map((type) => type.trim().replace(/^\./, '').toLowerCase());
  if (!types.every((type) => /^[a-z0-9]{1,32}$/.test(type)))
    throw new AppError('request_invalid', `"${text}" is no list of extensions and kinds like exe,video`);
  return types;
}

function wanted(options: Options): Partial<RestLimits> {
  const limits = {
    quota: limitOption(options, 'quota'),
    fileSize: limitOption(options, 'fileSize'),
    allowed: typesOption(options, 'allow'),
    refused: typesOption(options, 'refuse'),
  };
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}

const limitText = (limit: RestLimits['quota']): string => (limit === null ? 'default' : limit === 'none' ? 'none' : formatBytes(limit));
const typesText = (types: readonly string[] | null): string => (types === null ? 'default' : types.length === 0 ? 'none' : types.join(','));

export const QUOTA_COMMANDS: readonly Command[] = [
  {
    name: 'usage',
    args: '',
    summary: 'how much you store, and may store',
    about:
      'Only live files count against the quota: those in your own tree and in the folders that you share with others. Older versions and the trash are beside it.',
    examples: ['usage', 'usage --json'],
    async run(run) {
      const used = await (await run.client()).usage();
      const { quota, live, versions, trash, shared } = used;
      const share = quota === null || quota === 0 ? '' : ` (${Math.floor((live / quota) * 100)} %)`;
      const line = (name: string, bytes: number): string => `${name.padEnd(9)} ${formatBytes(bytes).padStart(8)}`;
      return facts(
        used,
        `${line('live', live)}${quota === null ? '' : ` of ${formatBytes(quota)}${share}`}`,
        line('versions', versions),
        line('trash', trash),
        line('shared', shared),
      );
    },
  },
  {
    name: 'limits',
    args: '[user]',
    summary: 'show or set what a user may store, or everybody (administrators)',
    options: [
      { flags: '--quota <size>', text: 'all live files together: 10G, none, or default' },
      { flags: '--file-size <size>', text: 'one file' },
      { flags: '--allow <types>', text: 'only these extensions and kinds: pdf,image; none is no such rule' },
      { flags: '--refuse <types>', text: 'not these: exe,video' },
    ],
    about:
      'Without a user: what holds for everybody. "default" takes back what was set. Kinds: image, video, audio, document, archive, code, other. What is stored already stays.',
    examples: ['limits --quota 10G', 'limits bob --quota 50G --refuse exe,video', 'limits bob --json'],
    async run(run, [user], options) {
      const client = await run.client();
      const limits = wanted(options);
      const now = Object.keys(limits).length === 0 ? await client.limits(user) : await client.setLimits(limits, user);
      return facts(
        now,
        `quota      ${limitText(now.quota)}`,
        `file size  ${limitText(now.fileSize)}`,
        `allowed    ${typesText(now.allowed)}`,
        `refused    ${typesText(now.refused)}`,
      );
    },
  },
];
