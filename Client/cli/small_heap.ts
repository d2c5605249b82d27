import { setFlagsFromString } from 'node:v8';

/**
 * For a process that lives long and mostly waits: what a pass makes dies with it, but by V8's own measure the part of the heap for that grows to 48 MiB
 * and stays. A client at rest with 10,000 files had 135 MiB before, and 110 with this.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
