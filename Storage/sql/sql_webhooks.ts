import { randomBytes } from 'node:crypto';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { WEBHOOK_KINDS } from '../../Models/webhooks.ts';
import type { Principal } from '../metadata.ts';
import type { Outcome, Webhook, Webhooks } from '../webhooks.ts';
import type { Store } from './sql_metadata_batch.ts';
import { SPARE_IDS } from './sql_metadata_commit.ts';
import { openCursor, writeCursor } from './sql_metadata_cursor.ts';
import type { MetadataSchema, Rows } from './sql_metadata_schema.ts';
import { loadView, lockSpaces, viewForWriting } from './sql_metadata_view.ts';
import { tellIn } from './sql_notices.ts';

type Row = MetadataSchema['webhooks'];

export function sqlWebhooks(store: Store, epoch: string): Webhooks {
  const { db, write } = store.database;
  return {
    async add(who, webhook) {
      await store.ids.reserve(SPARE_IDS * 2);
      return write((trx) => add(store, trx, { epoch, who, webhook }));
    },
    async list({ userId }) {
      const rows = await db
        .selectFrom('webhooks')
        .selectAll()
        .where('user_id', '=', userId)
        .orderBy('created_at_ms')
        .orderBy('id')
        .execute();
      return rows.map(webhookOf);
    },
    async remove(who, id) {
      await store.ids.reserve(SPARE_IDS);
      await write((trx) => remove(store, trx, who, id));
    },
    active: async () => (await db.selectFrom('webhooks').selectAll().where('state', '=', 'active').execute()).map(webhookOf),
    async find(id) {
      const row = await db.selectFrom('webhooks').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : webhookOf(row);
    },
    async claim({ id, cursor, dueAtMs }, untilMs) {
      const query = (trx: Rows) =>
        trx
          .updateTable('webhooks')
          .set({ due_at_ms: untilMs })
          .where('id', '=', id)
          .where('state', '=', 'active')
          .where('cursor', '=', cursor)
          .where('due_at_ms', '=', dueAtMs)
          .returning('id');
      return (await write((trx) => query(trx).executeTakeFirst())) !== undefined;
    },
    settle: (claimed, outcome) => write((trx) => settle(store, trx, claimed, outcome)),
  };
}

type Added = { readonly epoch: string; readonly who: Principal; readonly webhook: Pick<Webhook, 'url' | 'kinds' | 'secret'> };

async function add(store: Store, trx: Rows, { epoch, who, webhook }: Added): Promise<Webhook> {
  const nowMs = store.now();
  const view = await viewForWriting(trx, who, { ids: store.ids, nowMs });
  await lockSpaces(trx, store.database.dialect, [view.home.id]); // two at once do not cross the limit together
  const own = await trx.selectFrom('webhooks').select('id').where('user_id', '=', who.userId).execute();
  if (own.length >= LIMITS.webhooksPerUserMax) throw new AppError('too_large', `a user has at most ${LIMITS.webhooksPerUserMax} webhooks`);
  const id = randomBytes(16).toString('hex');
  await tellIn(store, trx, {
    who,
    notice: { kind: 'webhook', details: { webhook: id, host: new URL(webhook.url).host, state: 'active' } },
  });
  const { heads } = await openCursor({ db: trx, view: await loadView(trx, who.userId), epoch }, null, { withHeads: true }); // behind that
  const row: Row = {
    id,
    user_id: who.userId,
    user_name: who.userName,
    url: webhook.url,
    kinds: webhook.kinds?.join(',') ?? null,
    secret: webhook.secret,
    state: 'active',
    cursor: writeCursor(epoch, heads),
    created_at_ms: nowMs,
    due_at_ms: 0,
    failures: 0,
    failing_since_ms: null,
    reason: null,
  };
  await trx.insertInto('webhooks').values(row).execute();
  return webhookOf(row);
}

async function remove(store: Store, trx: Rows, who: Principal, id: string): Promise<void> {
  const removed = await trx
    .deleteFrom('webhooks')
    .where('id', '=', id)
    .where('user_id', '=', who.userId)
    .returning('url')
    .executeTakeFirst();
  if (removed === undefined) throw new AppError('not_found', 'no such webhook');
  const details = { webhook: id, host: new URL(removed.url).host, state: 'removed' };
  await tellIn(store, trx, { who, notice: { kind: 'webhook', details } });
}

async function settle(store: Store, trx: Rows, { id, untilMs }: { id: string; untilMs: number }, outcome: Outcome): Promise<void> {
  const query = trx.selectFrom('webhooks').selectAll().where('id', '=', id).where('state', '=', 'active').where('due_at_ms', '=', untilMs);
  const row = await (store.database.dialect === 'postgres' ? query.forUpdate() : query).executeTakeFirst();
  if (row === undefined) return;
  await trx
    .updateTable('webhooks')
    .set(changesOf(row, outcome, store.now()))
    .where('id', '=', id)
    .execute();
  if (outcome.kind !== 'ended') return;
  const who = { userId: row.user_id, userName: row.user_name, deviceId: '' };
  const details = { webhook: id, host: new URL(row.url).host, state: 'failed', reason: outcome.reason };
  await tellIn(store, trx, { who, notice: { kind: 'webhook', details } });
}

function changesOf({ failures, failing_since_ms }: Row, outcome: Outcome, nowMs: number): Partial<Row> {
  switch (outcome.kind) {
    case 'taken':
      return { cursor: outcome.cursor, due_at_ms: 0, failures: 0, failing_since_ms: null, reason: null };
    case 'left':
      return { due_at_ms: 0 };
    case 'failed':
    case 'ended': {
      const failed = { failures: failures + 1, failing_since_ms: failing_since_ms ?? nowMs, reason: outcome.reason };
      return outcome.kind === 'ended' ? { ...failed, state: 'failed', due_at_ms: 0 } : { ...failed, due_at_ms: outcome.dueAtMs };
    }
  }
}

function webhookOf(row: Row): Webhook {
  const kinds = row.kinds?.split(',') ?? null;
  return {
    id: row.id,
    userId: row.user_id,
    userName: row.user_name,
    url: row.url,
    kinds: kinds === null ? null : WEBHOOK_KINDS.filter((kind) => kinds.includes(kind)),
    secret: row.secret,
    state: row.state,
    cursor: row.cursor,
    createdAtMs: row.created_at_ms,
    dueAtMs: row.due_at_ms,
    failures: row.failures,
    failingSinceMs: row.failing_since_ms,
    reason: row.reason,
  };
}
