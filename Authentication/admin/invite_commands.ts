import { createPublicKey, hash, randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { parseDuration } from '../../Models/duration.ts';
import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import { fingerprint } from '../../Models/handshake.ts';
import { encodeInvite } from '../../Models/invite_code.ts';
import { LIMITS } from '../../Models/limits.ts';
import { nodePrimitives } from '../../Models/node_primitives.ts';
import { parseBytes } from '../../Models/parse_bytes.ts';
import type { InviteCode } from '../../Storage/invite_codes.ts';
import { readSecretContent } from '../secrets.ts';
import { argument, type Command, countText, table, textOption, timeText } from './command.ts';
import type { Settings } from './settings.ts';

const USES_MAX = 100_000;
const EXPIRES_DEFAULT = '7d';
const ID = /^[0-9a-f]{12}$/;
const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** What is written into the code. @throws AppError `request_invalid` */
function authAddress(given: string | undefined, { host, authPort }: Settings): string {
  if (given === undefined) {
    if (EVERYWHERE.has(host) || authPort === 0)
      throw new AppError(
        'request_invalid',
        'say with --auth HOST:PORT which address of the daemon people are to use: it listens on all, or on any port',
      );
    return `${isIPv6(host) ? `[${host}]` : host}:${authPort}`;
  }
  const url = URL.parse(`udp://${given}`);
  if (url === null || url.port === '' || url.host !== given)
    throw new AppError('request_invalid', '--auth takes HOST:PORT, as files.example.org:4810');
  return given;
}

function usesOf(text: string): number {
  const uses = Number(text);
  if (!Number.isSafeInteger(uses) || uses < 1 || uses > USES_MAX)
    throw new AppError('request_invalid', `--uses takes a number from 1 to ${USES_MAX}`);
  return uses;
}

/** What a code is named by: enough of its digest, which tells nothing of the code. */
const idOf = ({ digest }: Pick<InviteCode, 'digest'>): string => digest.toString('hex', 0, 6);

function labelOf(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (text === '' || text.length > LIMITS.inviteLabelCharsMax)
    throw new AppError('request_invalid', `--for takes a text of 1 to ${LIMITS.inviteLabelCharsMax} characters`);
  return text;
}

export const INVITE_COMMANDS: readonly Command[] = [
  {
    name: 'invite-code',
    args: '',
    summary: 'print a code that lets somebody register from elsewhere',
    about: `It carries where the daemon is and the fingerprint of its key, so that who registers with it talks to nobody else. It is shown this once: only its hash is stored.`,
    options: [
      { flags: '--uses <n>', text: 'for so many accounts (1)' },
      { flags: '--expires <time>', text: `how long it is good (${EXPIRES_DEFAULT})` },
      { flags: '--quota <size>', text: 'how much whoever registers with it may store' },
      { flags: '--for <text>', text: 'whom it is for, shown to administrators' },
      { flags: '--auth <host:port>', text: "the daemon's address (DRIFTLESS_HOST and DRIFTLESS_AUTH_PORT)" },
    ],
    examples: ['invite-code --for Zoë', 'invite-code --uses 30 --expires 2w --quota 10GB', 'invite-code --auth files.example.org:4810'],
    async run(admin, _args, options) {
      const auth = authAddress(textOption(options, 'auth'), admin.settings);
      const uses = usesOf(textOption(options, 'uses') ?? '1');
      const expiresAtMs = admin.now() + parseDuration(textOption(options, 'expires') ?? EXPIRES_DEFAULT) * 1000;
      const quota = textOption(options, 'quota');
      const quotaBytes = quota === undefined ? null : parseBytes(quota);
      const { boxKey } = await readSecretContent(admin.settings.data);
      const daemonKey = Buffer.from(createPublicKey(boxKey).export({ format: 'jwk' }).x ?? '', 'base64url');
      const secret = randomBytes(16);
      const code = encodeInvite(nodePrimitives, { auth, key: fingerprint(nodePrimitives, daemonKey), secret });
      const stored = {
        digest: hash('sha256', secret, 'buffer'),
        usesLeft: uses,
        expiresAtMs,
        quotaBytes,
        label: labelOf(textOption(options, 'for')),
        madeBy: admin.operator,
        madeAtMs: admin.now(),
      };
      const accounts = await admin.accounts();
      const id = idOf(stored);
      const detail = `${countText(uses, 'use')}, until ${timeText(expiresAtMs)}`;
      await admin.act('invite_code_made', { detail: `${id}, ${detail}` }, () => accounts.addInviteCode(stored));
      admin.tell(`good for ${detail}: driftless register NAME --invite CODE`);
      admin.tell(`to take it back: driftless-admin invite-codes withdraw ${id}`);
      return { json: { id, code, uses, expiresAt: new Date(expiresAtMs).toISOString(), quota: quotaBytes, auth }, lines: [code] };
    },
  },
  {
    name: 'invite-codes',
    args: '',
    summary: 'the codes that were made, and what is left of them',
    about: 'At most 1000, those first that are still good. One that expired three months ago is forgotten when the next is made.',
    examples: ['invite-codes', 'invite-codes --json'],
    async run(admin) {
      const codes = await (await admin.accounts()).inviteCodes(admin.now());
      const facts = codes.map(({ digest, ...rest }) => ({ id: idOf({ digest }), ...rest }));
      const rows = facts.map(({ id, expiresAtMs, usesLeft, quotaBytes, label, madeBy }) => [
        id,
        expiresAtMs <= admin.now() ? 'expired' : String(usesLeft),
        timeText(expiresAtMs),
        quotaBytes === null ? '-' : formatBytes(quotaBytes),
        madeBy,
        label ?? '-',
      ]);
      return { json: facts, lines: table([['code', 'uses left', 'good until', 'quota', 'made by', 'for'], ...rows]) };
    },
  },
  {
    name: 'invite-codes withdraw',
    args: '<id>',
    summary: 'nobody registers with a code any more',
    about: 'The id is what "invite-codes" lists, never the code itself. Who has registered with it stays.',
    examples: ['invite-codes withdraw 0123456789ab'],
    async run(admin, args) {
      const accounts = await admin.accounts();
      const wanted = argument(args, 0).toLowerCase();
      const code = ID.test(wanted) ? await accounts.findInviteCode(Buffer.from(wanted, 'hex')) : null;
      if (code === null) throw new AppError('not_found', 'there is no such code; "invite-codes" lists them');
      await admin.act('invite_code_withdrawn', { detail: wanted }, () => accounts.withdrawInviteCode(code.digest));
      const { usesLeft } = code;
      return { json: { id: wanted, usesLeft }, lines: [`withdrew ${wanted}, ${countText(usesLeft, 'use')} left`] };
    },
  },
];
