import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Driftless, RestDevice, RestSession } from '../client.ts';
import type { Run } from './command.ts';
import { DEVICE_COMMANDS } from './device_commands.ts';
import type { Answer } from './output.ts';

const AT = '2026-11-20T15:20:00.000Z';
const device = (id: string, name: string, more: Partial<RestDevice> = {}): RestDevice => ({
  ...{ id: id.padEnd(32, '0'), name, firstSeenAt: AT, lastSeenAt: AT },
  ...{ signedIn: true, revokedAt: null, own: false, ...more },
});
const session = (id: string, deviceName: string, more: Partial<RestSession> = {}): RestSession => ({
  ...{ id: id.padEnd(32, '0'), device: 'd'.repeat(32), deviceName, beganAt: AT, lastSeenAt: AT },
  ...{ interactive: false, own: false, ...more },
});

function world() {
  const asked: string[] = [];
  const client: Partial<Driftless> = {
    devices: async () => [
      device('1f3a', 'laptop', { own: true }),
      device('1f3b', 'phone', { signedIn: false, revokedAt: AT }),
      device('9', 'old', { signedIn: false }),
    ],
    sessions: async () => [session('aaaa1', 'laptop', { own: true, interactive: true }), session('aaaa2', 'phone')],
    whoami: async () => ({ device: '1f3a'.padEnd(32, '0') }) as Awaited<ReturnType<Driftless['whoami']>>,
    renameDevice: async (id, name) => void asked.push(`rename ${id} ${name}`),
    revokeDevice: async (id) => void asked.push(`revoke ${id}`),
    endSession: async (id) => void asked.push(`end ${id}`),
  };
  const told = async (name: string, ...words: string[]): Promise<readonly string[]> => {
    const command = DEVICE_COMMANDS.find((one) => one.name === name);
    assert.ok(command !== undefined);
    const answer = (await command.run({ client: async () => client } as unknown as Run, words, {})) as Answer;
    if (answer.kind === 'facts') return answer.lines;
    assert.ok(answer.kind === 'rows');
    return (await Array.fromAsync(answer.rows)).map(({ line }) => line);
  };
  return { asked, told };
}

test('devices are shown with their state, and this one is marked', async () => {
  const lines = await world().told('devices');
  assert.deepEqual(
    lines.map((line) => line.replace(/since .* seen \S+ \S+/, '-')),
    ['1f3a'.padEnd(32, '0'), '1f3b'.padEnd(32, '0'), '9'.padEnd(32, '0')].map(
      (id, n) => `${id}  ${['signed in ', 'revoked   ', 'signed out'][n]}  -  ${['laptop  (this one)', 'phone', 'old'][n]}`,
    ),
  );
});

test('a device is meant by the beginning of its id, if that is long enough and of one alone', async () => {
  const { asked, told } = world();
  assert.deepEqual(await told('devices', 'revoke', '1F3B'), ['revoked phone']);
  await told('devices', 'rename', '1f3a0', 'desk');
  await told('devices', 'rename', 'the kitchen'); // this one
  assert.deepEqual(asked, [
    `revoke ${'1f3b'.padEnd(32, '0')}`,
    `rename ${'1f3a'.padEnd(32, '0')} desk`,
    `rename ${'1f3a'.padEnd(32, '0')} the kitchen`,
  ]);
  for (const wrong of ['1f3', 'ffff', '']) await assert.rejects(told('devices', 'revoke', wrong), { code: 'not_found' });
  for (const words of [['revoke'], ['rename'], ['list', 'x'], ['toString'], ['revoke', '1f3a', '1f3b']]) {
    await assert.rejects(told('devices', ...words), { code: 'request_invalid' }, words.join(' '));
  }
  assert.equal(asked.length, 3);
});

test('sessions are shown and ended; one that several could be is not', async () => {
  const { asked, told } = world();
  assert.deepEqual(
    (await told('sessions')).map((line) => line.replace(/since .* seen \S+ \S+ {2}/, '')),
    [`${'aaaa1'.padEnd(32, '0')}  laptop  (shell, this one)`, `${'aaaa2'.padEnd(32, '0')}  phone`],
  );
  await assert.rejects(told('sessions', 'end', 'aaaa'), { code: 'request_invalid' });
  assert.deepEqual(await told('sessions', 'end', 'aaaa2'), ['ended the session on phone']);
  assert.deepEqual(asked, [`end ${'aaaa2'.padEnd(32, '0')}`]);
  for (const words of [['end'], ['list', 'x'], ['begin', 'x']])
    await assert.rejects(told('sessions', ...words), { code: 'request_invalid' });
});
