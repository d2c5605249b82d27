import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Account } from './account.ts';
import { openAccounts, openAccountsReader } from './accounts_sql.ts';
import { accountsContract } from './testing/accounts_contract.ts';
import { newDatabases, sqliteAddress } from './testing/databases.ts';
import { guessesContract } from './testing/guesses_contract.ts';
import { inviteCodesContract } from './testing/invite_codes_contract.ts';
import { passwordsContract } from './testing/passwords_contract.ts';
import { sessionsContract } from './testing/sessions_contract.ts';
import { userAdminContract } from './testing/user_admin_contract.ts';

function nobody(): Account {
  const ksf = { memoryKiB: 1, iterations: 1, parallelism: 1 };
  return { id: randomBytes(16).toString('hex'), name: 'alice', role: 'user', disabled: false, record: randomBytes(192), ksf };
}

for (const [kind, addressFor] of newDatabases()) {
  const open = async (t: TestContext) => {
    const address = await addressFor(t);
    const accounts = await openAccounts(address);
    const reader = openAccountsReader(address);
    t.after(async () => {
      await reader.close();
      await accounts.close();
    });
    return { accounts, reader };
  };
  accountsContract(kind, open);
  sessionsContract(kind, open);
  for (const contract of [inviteCodesContract, passwordsContract, userAdminContract]) {
    contract(kind, async (t) => {
      const accounts = await openAccounts(await addressFor(t));
      t.after(() => accounts.close());
      return accounts;
    });
  }
  guessesContract(kind, async (t) => {
    const accounts = await openAccounts(await addressFor(t));
    t.after(() => accounts.close());
    return accounts.guesses;
  });
}

test('a reader that is opened before the accounts exist sees nobody, and then everybody', async (t) => {
  const address = await sqliteAddress(t);
  const reader = openAccountsReader(address);
  assert.equal(await reader.findUser('alice'), null);
  assert.deepEqual(await reader.endedSessions(0), []);
  assert.equal((await reader.userNames(['0'.repeat(32)])).size, 0);
  const accounts = await openAccounts(address);
  await accounts.addAccount(nobody(), 1);
  assert.equal((await reader.findUser('alice'))?.name, 'alice');
  await accounts.close();
  assert.equal((await reader.findUser('alice'))?.name, 'alice'); // the daemon is away
  await reader.close();
});

test('accounts survive being closed and opened again', async (t) => {
  const address = await sqliteAddress(t);
  const alice = nobody();
  const first = await openAccounts(address);
  await first.addAccount(alice, 1);
  await first.close();
  const second = await openAccounts(address);
  assert.deepEqual(await second.findAccount('alice'), alice);
  await second.close();
});
