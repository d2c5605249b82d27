import { setFlagsFromString } from 'node:v8';

/**
 * For a process that lives long and mostly waits: what a pass makes dies with it, but by V8's own measure the heap may grow to several times of what is
 * in use, and the pages that become free stay in a pool. At rest with 10,000 files: 135 MiB before, 106 with this; at the most with
 * 300,000: 260 MiB before, 198 with this. It costs a device that sends 10,000 files about a tenth more processor time.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=60');
  setFlagsFromString('--no-memory-pool');
  setFlagsFromString('--no-large-page-pool');
}
