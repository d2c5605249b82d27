import type { Transaction } from 'kysely';
import { foldName } from '../../Models/names.ts';
import { type AccountsSchema, accountWhere, addUser } from '../accounts_rows.ts';
import type { Database } from '../database.ts';
import type { InviteCode, InviteCodes, InvitedReader } from '../invite_codes.ts';

type Row = AccountsSchema['invite_codes'];
const LISTED_MAX = 1000;
const EXPIRED_KEPT_MS = 90 * 86_400_000; // to be listed; whoever registered stays
const DIGEST_BYTES = 32;

function codeOf({ digest, uses_left, expires_at_ms, quota_bytes, label, made_by, made_at_ms }: Row): InviteCode {
  return { digest, usesLeft: uses_left, expiresAtMs: expires_at_ms, quotaBytes: quota_bytes, label, madeBy: made_by, madeAtMs: made_at_ms };
}

/** @returns what whoever takes this use may store; `null`: there is none to take */
async function takeUse(trx: Transaction<AccountsSchema>, digest: Buffer, atMs: number): Promise<Pick<InviteCode, 'quotaBytes'> | null> {
  const taken = await trx
    .updateTable('invite_codes')
    .set((e) => ({ uses_left: e('uses_left', '-', 1) }))
    .where('digest', '=', digest)
    .where('uses_left', '>', 0)
    .where('expires_at_ms', '>', atMs)
    .returning('quota_bytes as quotaBytes')
    .executeTakeFirst();
  return taken ?? null;
}

/** On whatever `database` gives; `null` stands for accounts that nobody has set up yet. */
export function invitedReaderOn(database: () => Promise<Database<AccountsSchema> | null>): InvitedReader {
  return {
    async invitedQuota(userId) {
      const opened = await database();
      const row = await opened?.db.selectFrom('invited').select('quota_bytes').where('user_id', '=', userId).executeTakeFirst();
      return row?.quota_bytes ?? null;
    },
  };
}

export function inviteCodesOn({ db, write }: Pick<Database<AccountsSchema>, 'db' | 'write'>): InviteCodes {
  return {
    addInviteCode: ({ digest, usesLeft, expiresAtMs, quotaBytes, label, madeBy, madeAtMs }) =>
      write(async (trx) => {
        const row = {
          digest,
          uses_left: usesLeft,
          expires_at_ms: expiresAtMs,
          quota_bytes: quotaBytes,
          label,
          made_by: madeBy,
          made_at_ms: madeAtMs,
        };
        await trx
          .deleteFrom('invite_codes')
          .where('expires_at_ms', '<', madeAtMs - EXPIRED_KEPT_MS)
          .execute();
        await trx.insertInto('invite_codes').values(row).execute();
      }),
    async inviteCodes(atMs) {
      const rows = await db
        .selectFrom('invite_codes')
        .selectAll()
        .orderBy((e) =>
          e
            .case()
            .when(e.and([e('uses_left', '>', 0), e('expires_at_ms', '>', atMs)]))
            .then(e.lit(0))
            .else(e.lit(1))
            .end(),
        )
        .orderBy('made_at_ms', 'desc')
        .orderBy('digest')
        .limit(LISTED_MAX)
        .execute();
      return rows.map(codeOf);
    },
    async findInviteCode(id) {
      const [first, last] = [Buffer.alloc(DIGEST_BYTES), Buffer.alloc(DIGEST_BYTES, 0xff)];
      for (const end of [first, last]) end.set(id);
      const row = await db
        .selectFrom('invite_codes')
        .selectAll()
        .where('digest', '>=', first)
        .where('digest', '<=', last)
        .orderBy('digest')
        .limit(1)
        .executeTakeFirst();
      return row === undefined ? null : codeOf(row);
    },
    withdrawInviteCode: (digest) =>
      write(async (trx) => {
        const gone = await trx.deleteFrom('invite_codes').where('digest', '=', Buffer.from(digest)).executeTakeFirst();
        return gone.numDeletedRows > 0n;
      }),
    async isInviteGood(digest, atMs) {
      const row = await db.selectFrom('invite_codes').selectAll().where('digest', '=', Buffer.from(digest)).executeTakeFirst();
      return row !== undefined && row.uses_left > 0 && row.expires_at_ms > atMs;
    },
    addInvited: (account, invite) =>
      write(async (trx) => {
        const digest = Buffer.from(invite.digest);
        const stored = () => accountWhere(trx, 'folded', foldName(account.name));
        const taken = await takeUse(trx, digest, invite.atMs);
        if (taken === null) return stored().then((there) => (there?.record.equals(account.record) ? there : null));
        await addUser(trx, account, invite.atMs);
        const now = await stored();
        if (now === null) throw new Error('an account that was just written is not there');
        if (now.id === account.id) {
          await trx.insertInto('invited').values({ user_id: account.id, digest, quota_bytes: taken.quotaBytes }).execute();
        } else {
          await trx
            .updateTable('invite_codes')
            .set((e) => ({ uses_left: e('uses_left', '+', 1) }))
            .where('digest', '=', digest)
            .execute();
        }
        return now;
      }),
  };
}
