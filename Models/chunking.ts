import { LIMITS } from './limits.ts';

/**
 * Content-defined chunking, so that an insertion moves only the boundaries beside it. A gear hash over the last 32 bytes cuts where its
 * top bits are zero (20 of them for a normal size of 1 MiB); nothing is hashed before the minimum, and behind the normal size a cut is
 * twice as likely (normalised chunking).
 * @see FastCDC (Xia et al., USENIX ATC 2016)
 */

/** The same 256 random words for everybody: splitmix32 seeded with the ASCII of "drif". Changing them changes every boundary. */
const GEAR = gearTable(0x64726966);

function gearTable(seed: number): Int32Array {
  const table = new Int32Array(256);
  let state = seed | 0;
  for (let i = 0; i < 256; i += 1) {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    table[i] = z ^ (z >>> 15);
  }
  return table;
}

const WINDOW_BYTES = 32; // what a hash of so many bits still knows of

function masks(): { readonly maskBeforeNormal: number; readonly maskAfterNormal: number } {
  const bits = 31 - Math.clz32(LIMITS.chunkBytesNormal);
  return { maskBeforeNormal: -1 << (32 - bits), maskAfterNormal: -1 << (33 - bits) };
}

/**
 * Where the chunk that begins at `start` ends. Depends on nothing before `start`.
 * @param end end of the content, or at least `start + LIMITS.chunkBytesMax` when more follows
 * @returns an offset in `(start, end]`; `end` when the rest is one chunk
 */
export function findCut(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= LIMITS.chunkBytesMin) return end;
  const first = start + LIMITS.chunkBytesMin;
  const normal = Math.min(end, start + LIMITS.chunkBytesNormal);
  const last = Math.min(end, start + LIMITS.chunkBytesMax);
  const { maskBeforeNormal, maskAfterNormal } = masks();
  const hashed = { bytes, first };
  return firstCut(hashed, first, normal, maskBeforeNormal) ?? firstCut(hashed, normal, last, maskAfterNormal) ?? last;
}

/** Bytes before `first` do not count. */
type Hashed = { readonly bytes: Uint8Array; readonly first: number };

const LANE_BYTES = 1024;
const LANES = 4;

/** @returns `null` when there is no cut behind a byte in `[from, to)` */
function firstCut(hashed: Hashed, from: number, to: number, mask: number): number | null {
  let at = from;
  while (to - at >= LANES * LANE_BYTES && !hasCut(hashed, at, mask)) at += LANES * LANE_BYTES;
  const { bytes } = hashed;
  let hash = hashBefore(hashed, at);
  for (; at < to; at += 1) {
    hash = ((hash << 1) + (GEAR[bytes[at] as number] as number)) | 0;
    if ((hash & mask) === 0) return at + 1;
  }
  return null;
}

/**
 * Whether there is a cut in the next four lanes. Each hash waits for the one before it, but not for those of another lane, so four take little longer
 * than one.
 */
function hasCut(hashed: Hashed, at: number, mask: number): boolean {
  const { bytes } = hashed;
  let a = hashBefore(hashed, at);
  let b = hashBefore(hashed, at + LANE_BYTES);
  let c = hashBefore(hashed, at + 2 * LANE_BYTES);
  let d = hashBefore(hashed, at + 3 * LANE_BYTES);
  for (let i = at; i < at + LANE_BYTES; i += 1) {
    a = ((a << 1) + (GEAR[bytes[i] as number] as number)) | 0;
    b = ((b << 1) + (GEAR[bytes[i + LANE_BYTES] as number] as number)) | 0;
    c = ((c << 1) + (GEAR[bytes[i + 2 * LANE_BYTES] as number] as number)) | 0;
    d = ((d << 1) + (GEAR[bytes[i + 3 * LANE_BYTES] as number] as number)) | 0;
    if ((a & mask) === 0 || (b & mask) === 0 || (c & mask) === 0 || (d & mask) === 0) return true;
  }
  return false;
}

/** Of the window that ends at `at`. */
function hashBefore({ bytes, first }: Hashed, at: number): number {
  let hash = 0;
  for (let i = Math.max(first, at - WINDOW_BYTES); i < at; i += 1) hash = ((hash << 1) + (GEAR[bytes[i] as number] as number)) | 0;
  return hash;
}

/** Whether a chunk that has no cut inside ends at `end` whatever follows, as one at the end of a file need not. */
export function isCut(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length <= LIMITS.chunkBytesMin || length >= LIMITS.chunkBytesMax) return length === LIMITS.chunkBytesMax;
  const { maskBeforeNormal, maskAfterNormal } = masks();
  const hash = hashBefore({ bytes, first: start + LIMITS.chunkBytesMin }, end);
  return (hash & (length <= LIMITS.chunkBytesNormal ? maskBeforeNormal : maskAfterNormal)) === 0;
}
