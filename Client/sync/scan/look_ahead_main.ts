import { parentPort, workerData } from 'node:worker_threads';
import { openNodeDisk } from '../disk/node_disk.ts';
import { lookAt } from './folder_picture.ts';
import type { LookAheadStart } from './look_ahead.ts';

const { root } = workerData as LookAheadStart;
const disk = openNodeDisk(root);
parentPort?.on('message', (folders: readonly string[]) => {
  const looked = folders.map((folder) => [folder, lookAt(disk, folder)] as const);
  parentPort?.postMessage(
    looked,
    looked.flatMap(([, shown]) => (shown === null ? [] : [shown.shown.buffer])),
  );
});
