import { parentPort, workerData } from 'node:worker_threads';
import type { NewPassword } from '../../Storage/user_admin.ts';
import { makeRecord, type Registration } from './record.ts';

/** `null`: it failed; the cause might quote the password. */
export type RecordReply = NewPassword | null;

const { opaqueSetup } = workerData as Pick<Registration, 'opaqueSetup'>;

parentPort?.on('message', (asked: Omit<Registration, 'opaqueSetup'>) => {
  makeRecord({ ...asked, opaqueSetup }).then(
    (made) => parentPort?.postMessage(made),
    () => parentPort?.postMessage(null),
  );
});
