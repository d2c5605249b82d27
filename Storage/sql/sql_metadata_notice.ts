import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Notice } from '../../Models/notices.ts';
import type { Principal } from '../metadata.ts';
import type { Batch } from './sql_metadata_batch.ts';
import { KIND, NO_NODE, type Node } from './sql_metadata_schema.ts';
import { homesOf } from './sql_metadata_view.ts';

/** What a notice is about. */
const NOTHING: Node = {
  id: NO_NODE,
  space: 0,
  parent: null,
  name: '',
  key: '',
  kind: KIND.folder,
  version: 0,
  size: 0,
  mtimeUs: 0,
  digest: null,
  mode: 0,
  chunkCount: 0,
  target: null,
  mount: null,
};

export type User = Pick<Principal, 'userId' | 'userName'>;
type Writing = Pick<Batch, 'trx' | 'ledger' | 'store' | 'nowMs'>;

/** The user's home is made if they have none yet. To be called before the ledger is finished. @throws AppError `too_large` */
export async function recordNotice({ trx, ledger, store, nowMs }: Writing, to: User, { kind, details }: Notice): Promise<void> {
  const text = JSON.stringify(details);
  if (Buffer.byteLength(text) > LIMITS.noticeBytesMax) throw new AppError('too_large', 'there is too much in a notice');
  const home = (await homesOf(trx, [to], { ids: store.ids, nowMs })).get(to.userId);
  if (home === undefined) throw new Error('a home space was made and is not there');
  await ledger.lock([home]);
  ledger.record(home, { kind, node: NOTHING, path: '/', details: text });
}

/** Gets ready for notices to all of these: takes the locks of their homes together, so that two who tell the same users wait for each other in one order. */
export async function prepareNotices(batch: Writing & Pick<Batch, 'provideIds'>, users: readonly User[]): Promise<void> {
  const homes = await homesOf(batch.trx, users, { ids: batch.store.ids, nowMs: batch.nowMs });
  await batch.provideIds(homes.size);
  await batch.ledger.lock([...homes.values()]);
}
