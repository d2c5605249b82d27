import type { Notice } from '../Models/notices.ts';
import type { Principal } from './metadata.ts';

/**
 * Notices are rows in the journal of the user's home space, so they are in the change feed, have cursors, and are told and replayed as changes
 * are. A transaction that causes one writes it itself (`recordNotice`, sql_metadata_notice.ts); this port is for what has no transaction.
 */
export type Notices = {
  /**
   * Tells a user something, as caused by themselves with this device. Durable when the promise resolves.
   * @throws AppError `too_large`, `storage_full`, `storage_unavailable`
   */
  tell(who: Principal, notice: Notice): Promise<void>;
  /**
   * A device asks something. If it is a further one of its user and was never seen before, the user is told so, once.
   * @param name as a person knows it
   */
  deviceSeen(who: Principal, name: string): Promise<void>;
  /**
   * A device was sent away. If it had been seen before then, the user is told so, once; from now on it was never seen.
   * @param device.atMs milliseconds since 1970
   */
  deviceRevoked(who: Principal, device: { readonly name: string; readonly atMs: number }): Promise<void>;
};
