/**
 * Gives the memory of received bytes back at once. For the collector a buffer counts as part of the heap: of each gigabyte that flows through
 * a process it would look dozens of times through all that lives there.
 * @param pieces nobody needs them any more. Those that share their buffer with something else are left to the collector
 */
export function giveBack(pieces: readonly Uint8Array[]): void {
  for (const { buffer, byteLength } of pieces) {
    if (buffer instanceof ArrayBuffer && !buffer.detached && byteLength === buffer.byteLength) buffer.transfer(0);
  }
}
