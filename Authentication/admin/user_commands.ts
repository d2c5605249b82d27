import { randomBytes } from 'node:crypto';
import { prepareNewPassword, prepareUserName } from '../../Models/credentials.ts';
import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import { parseBytes } from '../../Models/parse_bytes.ts';
import type { ListedUser, NewPassword } from '../../Storage/user_admin.ts';
import { readSecretContent } from '../secrets.ts';
import type { Admin } from './admin.ts';
import { argument, type Command, countText, table, timeText } from './command.ts';
import { makeRecord } from './record.ts';
import { openStrangerGuesses } from './stranger_guesses.ts';

const PASSWORD =
  'The password is asked for, or taken from DRIFTLESS_PASSWORD or the first line of standard input. It is not stored, here or anywhere.';
const SESSIONS_END = 'Sessions end within two seconds.';

async function newPassword(admin: Admin, name: string): Promise<NewPassword> {
  const { opaqueSetup } = await readSecretContent(admin.settings.data);
  return makeRecord({ opaqueSetup, name, password: prepareNewPassword(await admin.askPassword(name)) });
}

async function forgetGuesses(admin: Admin, name: string): Promise<void> {
  await (await openStrangerGuesses(admin)).forget(name);
}

export async function* everyUser(admin: Admin): AsyncGenerator<ListedUser> {
  const accounts = await admin.accounts();
  for (let page = await accounts.users(''); page.length > 0; page = await accounts.users(page.at(-1)?.name ?? '')) yield* page;
}

function assertThere(user: ListedUser): void {
  if (user.state === 'deleted') throw new AppError('user_unknown', `${user.name} was deleted; "users restore" brings the account back`);
}

const ended = (count: number): string => `${countText(count, 'session')} ended`;
const named = ({ id, name }: Pick<ListedUser, 'id' | 'name'>) => ({ userId: id, userName: name });

function switching(name: 'disable' | 'enable'): Command {
  const disabled = name === 'disable';
  return {
    name: `users ${name}`,
    args: '<name>',
    summary: disabled ? 'a user may not log in until enabled again' : 'a user who was disabled may log in again',
    ...(disabled && { about: `${SESSIONS_END} Nothing of the user's is touched.` }),
    examples: [`users ${name} bob`],
    async run(admin, args) {
      const user = await admin.user(argument(args, 0));
      assertThere(user);
      const accounts = await admin.accounts();
      await admin.act(disabled ? 'user_disabled' : 'user_enabled', named(user), () => accounts.setDisabled(user.id, disabled, admin.now()));
      return {
        json: { user: user.name, state: disabled ? 'disabled' : 'active' },
        lines: [`${user.name} is ${disabled ? 'disabled' : 'enabled'}`],
      };
    },
  };
}

export const USER_COMMANDS: readonly Command[] = [
  {
    name: 'users list',
    args: '',
    summary: 'everybody who has an account, or had one',
    examples: ['users list', 'users list --json'],
    async run(admin) {
      const users = await Array.fromAsync(everyUser(admin));
      const rows = users.map((user) => [
        user.name,
        user.role,
        user.state,
        timeText(user.createdAtMs),
        timeText(user.lastSeenMs),
        String(user.sessions),
      ]);
      return { json: users, lines: table([['name', 'role', 'state', 'since', 'last seen', 'sessions'], ...rows]) };
    },
  },
  {
    name: 'users add',
    args: '<name>',
    summary: 'make an account',
    about: `${PASSWORD} This is also how somebody gets a name at which
too many passwords were tried while nobody had it: register refuses it then, and no waiting helps. What was tried is forgotten.`,
    options: [{ flags: '--admin', text: 'an administrator' }],
    examples: ['users add bob', 'users add alice --admin', 'pwgen -s 20 1 | tee bob.txt | driftless-admin users add bob'],
    async run(admin, args, options) {
      const name = prepareUserName(argument(args, 0));
      const accounts = await admin.accounts();
      const before = await accounts.user(name);
      if (before?.state === 'deleted')
        throw new AppError('name_taken', `${before.name} was deleted; "users restore" brings the account back`);
      if (before !== null) throw new AppError('name_taken', 'there is a user with this name');
      const password = await newPassword(admin, name);
      const role = options.admin === true ? 'admin' : 'user';
      const account = { id: randomBytes(16).toString('hex'), name, role, disabled: false, ...password } as const;
      await admin.act('user_added', { ...named(account), detail: role }, async () => {
        await forgetGuesses(admin, name);
        const stored = await accounts.addAccount(account, admin.now());
        if (stored.id !== account.id) throw new AppError('name_taken', 'there is a user with this name');
      });
      return { json: { id: account.id, user: name, role }, lines: [`added ${name} (${role})`] };
    },
  },
  switching('disable'),
  switching('enable'),
  {
    name: 'users delete',
    args: '<name>',
    summary: 'take an account away; files stay',
    about: `The password's record goes, and all sessions end within two seconds. Nobody's files are lost: folders that the user shared stay with their members as they are, and what only
the user could see stays in the store, seen by nobody. Public links and webhooks of the user are over. The name stays taken, so that no later person gets those files
by it. "users restore" brings the account and its files back, with another password.`,
    options: [{ flags: '--yes', text: 'do not ask' }],
    examples: ['users delete bob', 'users delete bob --yes'],
    async run(admin, args, options) {
      const user = await admin.user(argument(args, 0));
      assertThere(user);
      if (options.yes !== true && !(await admin.askYes(`Delete the account of ${user.name}?`)))
        throw new AppError('cancelled', 'nothing was deleted');
      const accounts = await admin.accounts();
      const sessions = await admin.act('user_deleted', named(user), () => accounts.deleteUser(user.id, admin.now()));
      return { json: { user: user.name, state: 'deleted', sessionsEnded: sessions }, lines: [`deleted ${user.name}, ${ended(sessions)}`] };
    },
  },
  {
    name: 'users restore',
    args: '<name>',
    summary: 'a deleted account is back, with all its files and another password',
    about: PASSWORD,
    examples: ['users restore bob'],
    async run(admin, args) {
      const user = await admin.user(argument(args, 0));
      if (user.state !== 'deleted') throw new AppError('already_exists', `${user.name} is not deleted`);
      const password = await newPassword(admin, user.name);
      const accounts = await admin.accounts();
      await admin.act('user_added', { ...named(user), detail: 'restored' }, async () => {
        await accounts.restoreUser(user.id, password);
        await forgetGuesses(admin, user.name);
      });
      return { json: { user: user.name, state: 'active' }, lines: [`${user.name} is back`] };
    },
  },
  {
    name: 'users reset-password',
    args: '<name>',
    summary: 'give a user another password',
    about: `${PASSWORD} ${SESSIONS_END} The user's devices must log in again with the new one. Strangers' guesses are
forgotten, so that who was locked out by them, and has no known device left, may log in.`,
    examples: ['users reset-password bob'],
    async run(admin, args) {
      const user = await admin.user(argument(args, 0));
      assertThere(user);
      const password = await newPassword(admin, user.name);
      const accounts = await admin.accounts();
      const sessions = await admin.act('password_reset', named(user), async () => {
        const endedSessions = await accounts.resetPassword(user.id, password, admin.now());
        await forgetGuesses(admin, user.name);
        return endedSessions;
      });
      return { json: { user: user.name, sessionsEnded: sessions }, lines: [`${user.name} has another password, ${ended(sessions)}`] };
    },
  },
  {
    name: 'users set-role',
    args: '<name> <role>',
    summary: 'make a user an administrator (admin), or a plain user again (user)',
    about:
      'A role that is given holds from the next renewal of a ticket, which is within 15 minutes, or from the next login. One that is taken away ends the sessions of the user, within two seconds: their tickets still say it.',
    examples: ['users set-role bob admin', 'users set-role bob user'],
    async run(admin, args) {
      const user = await admin.user(argument(args, 0));
      assertThere(user);
      const role = argument(args, 1);
      if (role !== 'admin' && role !== 'user') throw new AppError('request_invalid', 'a role is user or admin');
      const accounts = await admin.accounts();
      const sessions = await admin.act('role_changed', { ...named(user), detail: role }, () =>
        accounts.setRole(user.id, role, admin.now()),
      );
      const holds = role === 'admin' ? '; it holds from the next ticket (15 minutes at the most) or the next login' : '';
      return { json: { user: user.name, role, sessionsEnded: sessions }, lines: [`${user.name} is ${role}, ${ended(sessions)}${holds}`] };
    },
  },
  {
    name: 'users set-quota',
    args: '<name> <size>',
    summary: 'how much a user may store: 10GB, none (no limit), or default',
    about:
      'Live files count, see "driftless usage". "default" is what holds for everybody. What is stored already stays. It holds at once, also while the server runs.',
    examples: ['users set-quota bob 10GB', 'users set-quota bob none', 'users set-quota bob default'],
    async run(admin, args) {
      const user = await admin.activeUser(argument(args, 0));
      const size = argument(args, 1);
      const quotaBytes = size === 'default' ? null : size === 'none' ? 'none' : parseBytes(size);
      const quotas = await admin.quotas();
      await admin.act('limits_changed', { ...named(user), detail: `quota ${size}` }, () => quotas.setLimits(user.id, { quotaBytes }));
      const text = quotaBytes === 'none' ? 'without limit' : quotaBytes === null ? 'as much as everybody' : formatBytes(quotaBytes);
      return { json: { user: user.name, quota: quotaBytes }, lines: [`${user.name} may store ${text}`] };
    },
  },
];
