import { AppError } from '../../Models/errors.ts';
import type { ListedSession } from '../../Storage/sessions.ts';
import type { Admin } from './admin.ts';
import { argument, type Command, countText, table, textOption, timeText } from './command.ts';
import { everyUser } from './user_commands.ts';

type Line = ListedSession & { readonly user: string };

async function sessionsOf(admin: Admin, name: string | undefined): Promise<Line[]> {
  const accounts = await admin.accounts();
  const users = name === undefined ? await Array.fromAsync(everyUser(admin)) : [await admin.user(name)];
  const lines: Line[] = [];
  for (const user of users) {
    if (user.sessions === 0) continue;
    for (const session of await accounts.listSessions(user.id)) lines.push({ user: user.name, ...session });
  }
  return lines;
}

export const SESSION_COMMANDS: readonly Command[] = [
  {
    name: 'sessions list',
    args: '[user]',
    summary: 'who is logged in, on which device, since when',
    examples: ['sessions list', 'sessions list bob --json'],
    async run(admin, [name]) {
      const sessions = await sessionsOf(admin, name);
      const rows = sessions.map((one) => [one.id, one.user, one.deviceName, timeText(one.createdAtMs), timeText(one.lastSeenMs)]);
      return { json: sessions, lines: table([['session', 'user', 'device', 'since', 'last seen'], ...rows]) };
    },
  },
  {
    name: 'sessions end',
    args: '[id]',
    summary: 'end a session, or all of a user, within two seconds',
    options: [{ flags: '--user <name>', text: 'all of this user' }],
    examples: ['sessions end 0123456789abcdef0123456789abcdef', 'sessions end --user bob'],
    async run(admin, [id], options) {
      const name = textOption(options, 'user');
      if ((id === undefined) === (name === undefined)) throw new AppError('request_invalid', 'name a session, or a user with --user');
      const accounts = await admin.accounts();
      if (name !== undefined) {
        const user = await admin.user(name);
        const end = () => accounts.endSessionsOf(user.id, { reason: 'revoked', except: null, atMs: admin.now() });
        const count = await admin.act('session_ended', { userId: user.id, userName: user.name, detail: 'all, by an administrator' }, end);
        return { json: { user: user.name, sessionsEnded: count }, lines: [`${countText(count, 'session')} of ${user.name} ended`] };
      }
      const session = await accounts.session(argument([id ?? ''], 0));
      if (session === null) throw new AppError('not_found', 'there is no such session');
      const { userId, userName, deviceId } = session;
      const isOver = session.state === 'ended';
      const end = () => accounts.endSession(session.id, admin.now(), 'revoked');
      if (!isOver) await admin.act('session_ended', { userId, userName, deviceId, detail: 'by an administrator' }, end);
      const text = isOver ? `it had ended before (${session.endReason})` : `ended a session of ${userName}`;
      return { json: { user: userName, session: session.id, sessionsEnded: isOver ? 0 : 1 }, lines: [text] };
    },
  },
];
