import { AUDIT_KINDS, type AuditKind } from '../../Models/audit.ts';
import { parseDuration } from '../../Models/duration.ts';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { AuditEntry } from '../../Storage/audit.ts';
import type { Admin } from './admin.ts';
import { type Command, type Options, table, textOption, timeText } from './command.ts';

const LINES_DEFAULT = 100;
const KINDS = Object.keys(AUDIT_KINDS) as AuditKind[];

/** `7d`, or a time as ISO 8601 writes it. @returns milliseconds since 1970. @throws AppError `request_invalid` */
function sinceMs(text: string, nowMs: number): number {
  if (/^\d+[a-z]$/i.test(text)) return nowMs - parseDuration(text) * 1000;
  const atMs = Date.parse(text);
  if (Number.isNaN(atMs)) throw new AppError('request_invalid', `"${text}" is neither a length of time like 7d nor a time like 2026-11-20`);
  return atMs;
}

function limitOf(text: string | undefined): number {
  const limit = Number(text ?? LINES_DEFAULT);
  if (!Number.isSafeInteger(limit) || limit < 1) throw new AppError('request_invalid', '--limit takes a number from 1 on');
  return limit;
}

/** The newest first. */
async function entriesOf(admin: Admin, options: Options): Promise<AuditEntry[]> {
  const audit = await admin.audit();
  const since = textOption(options, 'since');
  const query = {
    since: since === undefined ? undefined : sinceMs(since, admin.now()),
    user: textOption(options, 'user'),
    what: KINDS.find((kind) => kind === options.what),
  };
  const entries: AuditEntry[] = [];
  const limit = limitOf(textOption(options, 'limit'));
  let after: number | null | undefined;
  while (after !== null && entries.length < limit) {
    const page = await audit.page({ ...query, after, limit: Math.min(LIMITS.auditPageMax, limit - entries.length) });
    entries.push(...page.entries);
    after = page.next;
  }
  return entries;
}

function rowOf({ lastAtMs, what, result, userName, userId, by, address, count, detail }: AuditEntry): string[] {
  const who = userName ?? userId ?? '-';
  return [
    timeText(lastAtMs),
    what,
    result,
    by === null ? who : `${who} (by ${by})`,
    address ?? '-',
    count === 1 ? '' : `×${count}`,
    detail ?? '',
  ];
}

export const AUDIT_COMMAND: Command = {
  name: 'audit',
  args: '',
  summary: 'who came, was refused, was sent away, and what administrators did',
  about: 'The newest first. What is alike and happened within a minute is one line with a count.',
  options: [
    { flags: '--since <when>', text: 'not what is older: 24h, 7d, or a time like 2026-11-20' },
    { flags: '--user <name>', text: 'what concerns a user, or was done by one (name or id)' },
    { flags: '--what <kind>', text: 'one kind of event', choices: KINDS },
    { flags: '--limit <n>', text: `so many lines (${LINES_DEFAULT})` },
  ],
  examples: ['audit', 'audit --since 24h --user bob', 'audit --what login --limit 1000 --json'],
  async run(admin, _args, options) {
    const entries = await entriesOf(admin, options);
    return { json: entries, lines: table([['last', 'what', 'result', 'who', 'from', '', 'detail'], ...entries.map(rowOf)]) };
  },
};
