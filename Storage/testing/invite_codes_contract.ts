import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Account } from '../account.ts';
import type { Accounts } from '../accounts.ts';
import type { InviteCode } from '../invite_codes.ts';

function account(name: string): Account {
  const ksf = { memoryKiB: 65_536, iterations: 3, parallelism: 4 };
  return { id: randomBytes(16).toString('hex'), name, role: 'user', disabled: false, record: randomBytes(192), ksf };
}

function code(usesLeft: number, more: Partial<InviteCode> = {}): InviteCode {
  return { digest: randomBytes(32), usesLeft, expiresAtMs: 1000, quotaBytes: null, label: null, madeBy: 'root', madeAtMs: 1, ...more };
}

/** What every implementation of InviteCodes must do. @param open gives empty accounts, closed with the test */
export function inviteCodesContract(kind: string, open: (t: TestContext) => Promise<Accounts>): void {
  const contract = (name: string, body: (accounts: Accounts) => Promise<void>): void => {
    test(`${kind}: ${name}`, async (t) => body(await open(t)));
  };
  const left = async (accounts: Accounts, { digest }: InviteCode): Promise<number | undefined> =>
    (await accounts.inviteCodes(1)).find((one) => one.digest.equals(digest))?.usesLeft;

  contract('a code is good for its uses until it expires, and read back as it was', async (accounts) => {
    const [one, other] = [code(1, { quotaBytes: 10_000_000_000, label: 'Zoë' }), code(5, { madeAtMs: 2 })];
    for (const each of [one, other]) await accounts.addInviteCode(each);
    assert.deepEqual(await accounts.inviteCodes(1), [other, one]);
    assert.equal(await accounts.isInviteGood(one.digest, 999), true);
    assert.equal(await accounts.isInviteGood(one.digest, 1000), false);
    assert.equal(await accounts.isInviteGood(randomBytes(32), 1), false);
    const alice = account('alice');
    assert.deepEqual(await accounts.addInvited(alice, { digest: one.digest, atMs: 999 }), alice);
    assert.equal(await accounts.invitedQuota(alice.id), 10_000_000_000);
    const carol = await accounts.addInvited(account('carol'), { digest: other.digest, atMs: 999 });
    assert.equal(await accounts.invitedQuota(carol?.id ?? ''), null);
    assert.equal(await accounts.invitedQuota(account('bob').id), null);
    assert.equal(await accounts.isInviteGood(one.digest, 999), false);
    assert.equal(await accounts.addInvited(account('bob'), { digest: one.digest, atMs: 999 }), null);
    assert.equal(await accounts.addInvited(account('bob'), { digest: other.digest, atMs: 1000 }), null);
    assert.equal(await accounts.addInvited(account('bob'), { digest: randomBytes(32), atMs: 1 }), null);
    assert.equal(await accounts.findAccount('bob'), null);
    assert.deepEqual([await left(accounts, one), await left(accounts, other)], [0, 4]);
  });

  contract('the same registration once more takes no second use, also when none is left', async (accounts) => {
    const invite = code(1);
    await accounts.addInviteCode(invite);
    const alice = account('alice');
    for (let n = 0; n < 3; n += 1) {
      const again = { ...alice, id: randomBytes(16).toString('hex') };
      assert.deepEqual(await accounts.addInvited(n === 0 ? alice : again, { digest: invite.digest, atMs: 1 }), alice);
    }
    assert.equal(await left(accounts, invite), 0);
  });

  contract('a code that was withdrawn is good for nobody, and whoever registered with it stays', async (accounts) => {
    const [gone, other] = [code(2, { quotaBytes: 5 }), code(1)];
    for (const each of [gone, other]) await accounts.addInviteCode(each);
    const alice = account('alice');
    await accounts.addInvited(alice, { digest: gone.digest, atMs: 1 });
    assert.deepEqual([await accounts.withdrawInviteCode(gone.digest), await accounts.withdrawInviteCode(gone.digest)], [true, false]);
    assert.equal(await accounts.isInviteGood(gone.digest, 1), false);
    assert.equal(await accounts.addInvited(account('bob'), { digest: gone.digest, atMs: 1 }), null);
    assert.deepEqual(await accounts.addInvited(alice, { digest: gone.digest, atMs: 1 }), alice); // whose answer was lost
    assert.equal(await accounts.invitedQuota(alice.id), 5);
    assert.deepEqual(await accounts.inviteCodes(1), [other]);
  });

  contract('codes that are still good are listed first, and any is found by how its digest begins', async (accounts) => {
    const [oldest, expired, usedUp] = [code(1), code(1, { expiresAtMs: 500, madeAtMs: 2 }), code(1, { madeAtMs: 3 })];
    for (const each of [oldest, expired, usedUp]) await accounts.addInviteCode(each);
    await accounts.addInvited(account('alice'), { digest: usedUp.digest, atMs: 3 });
    assert.deepEqual(await accounts.inviteCodes(500), [oldest, { ...usedUp, usesLeft: 0 }, expired]);
    await Promise.all(Array.from({ length: 1000 }, (_, n) => accounts.addInviteCode(code(1, { madeAtMs: 4 + n }))));
    assert.equal((await accounts.inviteCodes(500)).length, 1000);
    assert.equal(await left(accounts, oldest), undefined);
    assert.deepEqual(await accounts.findInviteCode(oldest.digest.subarray(0, 6)), oldest);
    assert.equal(await accounts.findInviteCode(randomBytes(6)), null);
  });

  contract('a code that expired long ago is forgotten when another is made, and whoever registered with it stays', async (accounts) => {
    const [old, late] = [code(2, { quotaBytes: 5 }), code(1, { expiresAtMs: 1001 })];
    for (const each of [old, late]) await accounts.addInviteCode(each);
    const alice = account('alice');
    await accounts.addInvited(alice, { digest: old.digest, atMs: 1 });
    const madeAtMs = 1001 + 90 * 86_400_000;
    const next = code(1, { madeAtMs, expiresAtMs: madeAtMs + 1 });
    await accounts.addInviteCode(next);
    assert.deepEqual(await accounts.inviteCodes(madeAtMs), [next, late]);
    assert.deepEqual([await accounts.findAccount('alice'), await accounts.invitedQuota(alice.id)], [alice, 5]);
  });

  contract('a name that somebody has takes no use, and is told to those with a good code only', async (accounts) => {
    const invite = code(1);
    await accounts.addInviteCode(invite);
    const alice = account('alice');
    await accounts.addAccount(alice, 1);
    assert.deepEqual(await accounts.addInvited(account('ALICE'), { digest: invite.digest, atMs: 1 }), alice);
    assert.equal(await left(accounts, invite), 1);
    assert.equal(await accounts.addInvited(account('alice'), { digest: randomBytes(32), atMs: 1 }), null);
  });

  contract('of many who register at once with one use left, exactly one is', async (accounts) => {
    const invite = code(3);
    await accounts.addInviteCode(invite);
    for (const [uses, prefix] of [
      [1, 'a'],
      [2, 'b'],
    ] as const) {
      const each = code(uses);
      await accounts.addInviteCode(each);
      const made = await Promise.all(
        Array.from({ length: 12 }, (_, n) => accounts.addInvited(account(`${prefix}${n}`), { digest: each.digest, atMs: 1 })),
      );
      assert.equal(made.filter((one) => one !== null).length, uses);
      const there = await Promise.all(Array.from({ length: 12 }, (_, n) => accounts.findAccount(`${prefix}${n}`)));
      assert.equal(there.filter((one) => one !== null).length, uses);
      assert.equal(await left(accounts, each), 0);
    }
    assert.equal(await left(accounts, invite), 3);
    const alice = account('alice');
    const same = await Promise.all(
      Array.from({ length: 6 }, () =>
        accounts.addInvited({ ...alice, id: randomBytes(16).toString('hex') }, { digest: invite.digest, atMs: 1 }),
      ),
    );
    assert.equal(new Set(same.map((one) => one?.id)).size, 1);
    assert.equal(await left(accounts, invite), 2);
  });
}
