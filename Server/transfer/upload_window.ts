import { findCut } from '../../Models/chunking.ts';
import { LIMITS } from '../../Models/limits.ts';

const FIRST_BYTES = 64 * 1024;

/**
 * Content that has come and is not yet cut, in one buffer that grows to `LIMITS.uploadWindowBytes` and is then used again and again:
 * fresh buffers for gigabytes would be garbage faster than it is collected.
 */
export class UploadWindow {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #filled = 0;
  #cut = 0; // bytes that `cut` has given out

  /** Copies bytes of `piece` from `at` on, as many as there is room for. @returns where to go on; `at` itself when the window is full */
  add(piece: Buffer, at: number): number {
    if (this.#filled === this.#buffer.length && this.#buffer.length < LIMITS.uploadWindowBytes) this.#grow(piece.length - at);
    const copied = piece.copy(this.#buffer, this.#filled, at);
    this.#filled += copied;
    return at + copied;
  }

  /**
   * The chunks whose ends are sure; they are slices of the window, good until `forget`.
   * @param last nothing more will come
   */
  cut(last: boolean): Buffer[] {
    const chunks: Buffer[] = [];
    const enough = last ? 1 : LIMITS.chunkBytesMax;
    while (this.#filled - this.#cut >= enough) {
      const end = findCut(this.#buffer, this.#cut, this.#filled);
      chunks.push(this.#buffer.subarray(this.#cut, end));
      this.#cut = end;
    }
    return chunks;
  }

  /** Makes room: what was cut is not needed any more. */
  forget(): void {
    this.#buffer.copyWithin(0, this.#cut, this.#filled);
    this.#filled -= this.#cut;
    this.#cut = 0;
  }

  #grow(moreBytes: number): void {
    const bytes = Math.min(LIMITS.uploadWindowBytes, Math.max(2 * this.#buffer.length, this.#filled + moreBytes));
    const larger = Buffer.allocUnsafeSlow(bytes);
    this.#buffer.copy(larger, 0, 0, this.#filled);
    this.#buffer = larger;
  }
}
