import { createPublicKey, hash, randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { parseDuration } from '../../Models/duration.ts';
import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import { fingerprint } from '../../Models/handshake.ts';
import { encodeInvite } from '../../Models/invite_code.ts';
import { parseBytes } from '../../Models/parse_bytes.ts';
import { nodePrimitives } from '../node_primitives.ts';
import { readSecretContent } from '../secrets.ts';
import { type Command, countText, table, textOption, timeText } from './command.ts';
import type { Settings } from './settings.ts';

const USES_MAX = 100_000;
const EXPIRES_DEFAULT = '7d';
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
      { flags: '--auth <host:port>', text: "the daemon's address (DRIFTLESS_HOST and DRIFTLESS_AUTH_PORT)" },
    ],
    examples: ['invite-code', 'invite-code --uses 30 --expires 2w --quota 10GB', 'invite-code --auth files.example.org:4810'],
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
        madeBy: admin.operator,
        madeAtMs: admin.now(),
      };
      const accounts = await admin.accounts();
      const detail = `${countText(uses, 'use')}, until ${timeText(expiresAtMs)}`;
      await admin.act('invite_code_made', { detail }, () => accounts.addInviteCode(stored));
      admin.tell(`good for ${detail}: driftless register NAME --invite CODE`);
      return { json: { code, uses, expiresAt: new Date(expiresAtMs).toISOString(), quota: quotaBytes, auth }, lines: [code] };
    },
  },
  {
    name: 'invite-codes',
    args: '',
    summary: 'the codes that were made, and what is left of them',
    examples: ['invite-codes', 'invite-codes --json'],
    async run(admin) {
      const codes = await (await admin.accounts()).inviteCodes();
      const facts = codes.map(({ digest, ...rest }) => ({ digest: digest.toString('hex'), ...rest }));
      const rows = facts.map((one) => [
        one.digest.slice(0, 8),
        one.expiresAtMs <= admin.now() ? 'expired' : String(one.usesLeft),
        timeText(one.expiresAtMs),
        one.quotaBytes === null ? '-' : formatBytes(one.quotaBytes),
        one.madeBy,
      ]);
      return { json: facts, lines: table([['code', 'uses left', 'good until', 'quota', 'made by'], ...rows]) };
    },
  },
];
