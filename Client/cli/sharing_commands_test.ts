import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { Driftless, RestMember } from '../client.ts';
import type { Run } from './command.ts';
import { type Answer, printAnswer } from './output.ts';
import { SHARING_COMMANDS } from './sharing_commands.ts';

test('what a member says to be called stands quoted behind the name, and moves no cursor, whatever the server lets through', async () => {
  const member = { role: 'viewer', state: 'member', inherited: false } as const;
  const members: RestMember[] = [
    { ...member, user: 'bob', displayName: null },
    { ...member, user: 'eve', displayName: 'alice"  (owner)' },
    { ...member, user: 'mallory', displayName: '\u001b[2J\u202eowner  alice\nowner  mallory\u009b31m' },
  ];
  const client: Partial<Driftless> = { members: async () => members };
  const command = SHARING_COMMANDS.find(({ name }) => name === 'members');
  const shown = async (asJson: boolean): Promise<string> => {
    const answer = (await command?.run({ client: async () => client } as unknown as Run, ['/x'], {})) as Answer;
    const stream = new PassThrough();
    await printAnswer({ stream, isTerminal: true }, answer, asJson);
    stream.end();
    return text(stream);
  };
  const lines = (await shown(false)).split('\n');
  assert.deepEqual(lines.slice(0, 2), ['viewer  bob', 'viewer  eve  "alice\\"  (owner)"']);
  assert.equal(lines.length, 4); // the last one is empty
  assert.match(lines[2] ?? '', /^viewer {2}mallory {2}"/);
  for (const said of [await shown(false), await shown(true)]) assert.doesNotMatch(said, /[[\p{Cc}\p{Cf}]--\n]/v);
  assert.equal(JSON.parse(await shown(true))[2].displayName, members[2]?.displayName);
});
