import { AppError } from '../../Models/errors.ts';
import type { RestDevice, RestSession } from '../client.ts';
import type { Command } from './command.ts';
import { formatTime } from './format.ts';
import { facts, rowsOf } from './output.ts';

const PREFIX_MIN = 4;

function stateOf({ signedIn, revokedAt }: RestDevice): string {
  if (signedIn) return 'signed in';
  return revokedAt === null ? 'signed out' : 'revoked';
}

function deviceLine(device: RestDevice): string {
  const seen = `since ${formatTime(device.firstSeenAt)}  seen ${formatTime(device.lastSeenAt)}`;
  return `${device.id}  ${stateOf(device).padEnd(10)}  ${seen}  ${device.name}${device.own ? '  (this one)' : ''}`;
}

function sessionLine(session: RestSession): string {
  const times = `since ${formatTime(session.beganAt)}  seen ${formatTime(session.lastSeenAt)}`;
  const marks = [session.interactive ? 'shell' : '', session.own ? 'this one' : ''].filter((mark) => mark !== '');
  return `${session.id}  ${times}  ${session.deviceName}${marks.length === 0 ? '' : `  (${marks.join(', ')})`}`;
}

/** The one that is meant by an id or the beginning of one. @throws AppError `not_found`, `request_invalid` when several are */
function oneOf<T extends { readonly id: string }>(all: readonly T[], text: string, what: string): T {
  const prefix = text.toLowerCase();
  const [found, other] = all.filter(({ id }) => id === prefix || (prefix.length >= PREFIX_MIN && id.startsWith(prefix)));
  if (found === undefined) throw new AppError('not_found', `you have no ${what} with the id ${text}`);
  if (other !== undefined) throw new AppError('request_invalid', `more than one ${what} has an id that begins with ${text}`);
  return found;
}

/** How many words may stand behind it. */
const DEVICE_WORDS: ReadonlyMap<string, readonly number[]> = new Map([
  ['list', [0]],
  ['rename', [1, 2]],
  ['revoke', [1]],
]);
const wrongWords = (usage: string): AppError => new AppError('request_invalid', `it is ${usage}`);

export const DEVICE_COMMANDS: readonly Command[] = [
  {
    name: 'devices',
    args: '[word] [values...]',
    usage: '[list] | rename [ID] NAME | revoke ID',
    summary: 'show your devices, rename or revoke one',
    about:
      'A device that is revoked loses all its sessions at once, is refused by the server within two seconds, and must log in again with the password. ' +
      'Of an id the first four or more digits are enough; without one "rename" is about this device.',
    examples: ['devices', 'devices rename "the kitchen"', 'devices rename 1f3a laptop', 'devices revoke 1f3a'],
    async run(run, [word = 'list', ...values]) {
      const client = await run.client();
      const [first, second] = values;
      if (DEVICE_WORDS.get(word)?.includes(values.length) !== true)
        throw wrongWords('"devices list", "devices rename [ID] NAME" or "devices revoke ID"');
      const devices = await client.devices();
      if (first === undefined) return { kind: 'rows', rows: rowsOf(devices, deviceLine) };
      if (word === 'revoke') {
        const { id, name } = oneOf(devices, first, 'device');
        await client.revokeDevice(id);
        return facts({ id, name }, `revoked ${name}`);
      }
      const { id } = second === undefined ? { id: (await client.whoami()).device } : oneOf(devices, first, 'device');
      const name = second ?? first;
      await client.renameDevice(id, name);
      return facts({ id, name }, `renamed to ${name}`);
    },
  },
  {
    name: 'sessions',
    args: '[word] [id]',
    usage: '[list] | end ID',
    summary: 'show your sessions, or end one',
    about: 'Each login of a device is a session, and so is each shell. Of an id the first four or more digits are enough.',
    examples: ['sessions', 'sessions end 9c41'],
    async run(run, [word = 'list', text]) {
      if ((word !== 'list' || text !== undefined) && (word !== 'end' || text === undefined))
        throw wrongWords('"sessions list" or "sessions end ID"');
      const client = await run.client();
      const sessions = await client.sessions();
      if (text === undefined) return { kind: 'rows', rows: rowsOf(sessions, sessionLine) };
      const { id, deviceName } = oneOf(sessions, text, 'session');
      await client.endSession(id);
      return facts({ id }, `ended the session on ${deviceName}`);
    },
  },
];
