import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Driftless } from '../client.ts';
import { ACCOUNT_COMMANDS } from './account_commands.ts';
import type { Options, Run } from './command.ts';
import type { Answer } from './output.ts';

type Said = Parameters<Driftless['setProfile']>[0];

async function profileTold(options: Options): Promise<{ lines: readonly string[]; said: Said[] }> {
  const said: Said[] = [];
  const client: Partial<Driftless> = {
    profile: async () => ({ user: 'alice', displayName: 'Alice', email: null }),
    async setProfile(profile) {
      said.push(profile);
      return { user: 'alice', displayName: null, email: 'alice@example.org' };
    },
  };
  const command = ACCOUNT_COMMANDS.find(({ name }) => name === 'profile');
  const answer = (await command?.run({ client: async () => client } as unknown as Run, [], options)) as Answer;
  assert.ok(answer.kind === 'facts');
  return { lines: answer.lines, said };
}

test('profile shows what there is, and sets no more than what is given', async () => {
  assert.deepEqual(await profileTold({}), { lines: ['user    alice', 'name    Alice', 'e-mail  -'], said: [] });
  const set = await profileTold({ name: '', email: 'alice@example.org' });
  assert.deepEqual(set.said, [{ displayName: '', email: 'alice@example.org' }]);
  assert.deepEqual(set.lines.slice(1), ['name    -', 'e-mail  alice@example.org']);
  assert.deepEqual((await profileTold({ email: '' })).said, [{ email: '' }]);
});
