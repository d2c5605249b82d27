import { enableCompileCache } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import type { LookAheadStart } from './look_ahead.ts';

const { root, compileCache } = workerData as LookAheadStart;
if (compileCache !== null) enableCompileCache(compileCache); // a thread does not take it over, and what it loads is soon most of its work
const { openNodeDisk } = await import('./node_disk.ts');
const { lookAt } = await import('./folder_picture.ts');

const disk = openNodeDisk(root);
parentPort?.on('message', (folders: readonly string[]) => {
  const looked = folders.map((folder) => [folder, lookAt(disk, folder)] as const);
  parentPort?.postMessage(
    looked,
    looked.flatMap(([, shown]) => (shown === null ? [] : [shown.shown.buffer])),
  );
});
