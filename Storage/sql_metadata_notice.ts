import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { Notice } from '../Models/notices.ts';
import type { Principal } from './metadata.ts';
import type { Batch } from './sql_metadata_batch.ts';
import { KIND, NO_NODE, type Node } from './sql_metadata_schema.ts';
import { viewForWriting } from './sql_metadata_view.ts';

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

/** The user's home is made if they have none yet. To be called before the ledger is finished. @throws AppError `too_large` */
export async function recordNotice(
  { trx, ledger, store, nowMs }: Pick<Batch, 'trx' | 'ledger' | 'store' | 'nowMs'>,
  to: Pick<Principal, 'userId' | 'userName'>,
  { kind, details }: Notice,
): Promise<void> {
  const text = JSON.stringify(details);
  if (Buffer.byteLength(text) > LIMITS.noticeBytesMax) throw new AppError('too_large', 'there is too much in a notice');
  const { home } = await viewForWriting(trx, { ...to, deviceId: '' }, { ids: store.ids, nowMs });
  await ledger.lock([home.id]);
  ledger.record(home.id, { kind, node: NOTHING, path: '/', details: text });
}
