import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { HashMessage } from './file_hash.ts';

const READ_BYTES = 256 * 1024;

const fd = workerData as number;
const hash = createHash('sha256');
const piece = new Uint8Array(READ_BYTES);
let position = 0;

parentPort?.on('message', ({ upTo, last }: HashMessage) => {
  while (position < upTo) {
    const count = readSync(fd, piece, 0, Math.min(piece.length, upTo - position), position);
    if (count === 0) throw new Error('the file became shorter');
    hash.update(piece.subarray(0, count));
    position += count;
  }
  if (last) parentPort?.postMessage(hash.digest('hex'));
});
