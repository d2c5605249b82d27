import { setTimeout as sleep } from 'node:timers/promises';
import { AUDIT_KINDS, type AuditKind } from '../../Models/audit.ts';
import { parseDuration } from '../../Models/duration.ts';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Audit, AuditEntry, AuditQuery } from '../../Storage/audit.ts';
import type { Admin } from './admin.ts';
import { type Command, type Happening, type Options, table, textOption, timeText } from './command.ts';

const LINES_DEFAULT = 100;
const FOLLOWED_DEFAULT = 10;
const FOLLOW_EACH_MS = 1000;
/** No row is counted in for longer, however late it was written. */
const GROWS_MS = 2 * 60_000;
const KINDS = Object.keys(AUDIT_KINDS) as AuditKind[];

/** `7d`, or a time as ISO 8601 writes it. @returns milliseconds since 1970. @throws AppError `request_invalid` */
function sinceMs(text: string, nowMs: number): number {
  if (/^\d+[a-z]$/i.test(text)) return nowMs - parseDuration(text) * 1000;
  const atMs = Date.parse(text);
  if (Number.isNaN(atMs)) throw new AppError('request_invalid', `"${text}" is neither a length of time like 7d nor a time like 2026-11-20`);
  return atMs;
}

function limitOf(text: string | undefined, otherwise: number): number {
  const limit = Number(text ?? otherwise);
  if (!Number.isSafeInteger(limit) || limit < 1) throw new AppError('request_invalid', '--limit takes a number from 1 on');
  return limit;
}

type Query = Omit<AuditQuery, 'after' | 'limit'>;

function queryOf(admin: Admin, options: Options): Query {
  const since = textOption(options, 'since');
  return {
    since: since === undefined ? undefined : sinceMs(since, admin.now()),
    user: textOption(options, 'user'),
    what: KINDS.find((kind) => kind === options.what),
  };
}

/** The newest first. */
async function entriesOf(audit: Pick<Audit, 'page'>, query: Query, limit: number): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  let after: number | null | undefined;
  while (after !== null && entries.length < limit) {
    const page = await audit.page({ ...query, after, limit: Math.min(LIMITS.auditPageMax, limit - entries.length) });
    entries.push(...page.entries);
    after = page.next;
  }
  return entries;
}

/** Each entry when it is written, and again when its count has risen; the last `limit` first. Never ends. */
async function* followed(admin: Admin, query: Query, limit: number): AsyncGenerator<AuditEntry> {
  const audit = await admin.audit();
  const growing = new Map<number, AuditEntry>();
  let last = 0;
  for (let most = limit; ; most = Number.POSITIVE_INFINITY) {
    const from = Math.min(last + 1, ...growing.keys());
    for (const entry of (await entriesOf(audit, { ...query, from }, most)).toReversed()) {
      const known = growing.get(entry.number);
      if (known === undefined ? entry.number <= last : known.count === entry.count) continue;
      last = Math.max(last, entry.number);
      growing.set(entry.number, entry);
      yield entry;
    }
    for (const { number, firstAtMs } of growing.values()) if (firstAtMs < admin.now() - GROWS_MS) growing.delete(number);
    await sleep(FOLLOW_EACH_MS);
  }
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

const HEAD = ['last', 'what', 'result', 'who', 'from', '', 'detail'];
/** Of columns whose widest cell is not known yet. */
const WIDTHS = [17, 22, 19, 16, 15, 4, 0];

function lineOf(entry: AuditEntry): string {
  const cells = rowOf(entry).map((cell, at) => cell.padEnd(WIDTHS[at] ?? 0));
  return cells.join('  ').trimEnd();
}

export const AUDIT_COMMAND: Command = {
  name: 'audit',
  args: '',
  summary: 'who came, was refused, was sent away, and what administrators did',
  about: `The newest first. What is alike and happened within a minute is one line with a count. With --follow the newest is last, and what comes is told
within two seconds, until Ctrl-C; a line whose count rises is said again.`,
  options: [
    { flags: '--since <when>', text: 'not what is older: 24h, 7d, or a time like 2026-11-20' },
    { flags: '--user <name>', text: 'what concerns a user, or was done by one (name or id)' },
    { flags: '--what <kind>', text: 'one kind of event', choices: KINDS },
    { flags: '--limit <n>', text: `so many lines (${LINES_DEFAULT}; with --follow ${FOLLOWED_DEFAULT} to begin with)` },
    { flags: '--follow', text: 'go on with what comes; as JSON a line each' },
  ],
  examples: ['audit', 'audit --since 24h --user bob', 'audit --what login --limit 1000 --json', 'audit --follow'],
  async run(admin, _args, options) {
    const query = queryOf(admin, options);
    const limit = textOption(options, 'limit');
    if (options.follow === true) return { happening: happening(followed(admin, query, limitOf(limit, FOLLOWED_DEFAULT))) };
    const entries = await entriesOf(await admin.audit(), query, limitOf(limit, LINES_DEFAULT));
    return { json: entries, lines: table([HEAD, ...entries.map(rowOf)]) };
  },
};

async function* happening(entries: AsyncIterable<AuditEntry>): AsyncGenerator<Happening> {
  for await (const entry of entries) yield { line: lineOf(entry), json: entry };
}
