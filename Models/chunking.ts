import { LIMITS } from './limits.ts';

/**
 * Content-defined chunking, so that an insertion moves only the boundaries beside it. A gear hash over the last 32 bytes cuts where its
 * top bits are zero; nothing is hashed before the minimum, and behind the normal size a cut is twice as likely (normalised chunking).
 * @see FastCDC (Xia et al., USENIX ATC 2016)
 */
const MASK_BEFORE_NORMAL = 0xffff_f000 | 0; // 20 bits
const MASK_AFTER_NORMAL = 0xffff_e000 | 0; // 19 bits

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

/**
 * Where the chunk that begins at `start` ends. Depends on nothing before `start`.
 * @param end end of the content, or at least `start + LIMITS.chunkBytesMax` when more follows
 * @returns an offset in `(start, end]`; `end` when the rest is one chunk
 */
export function findCut(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= LIMITS.chunkBytesMin) return end;
  const normal = Math.min(end, start + LIMITS.chunkBytesNormal);
  const last = Math.min(end, start + LIMITS.chunkBytesMax);
  let at = start + LIMITS.chunkBytesMin;
  let hash = 0;
  for (; at < normal; at += 1) {
    hash = ((hash << 1) + (GEAR[bytes[at] as number] as number)) | 0;
    if ((hash & MASK_BEFORE_NORMAL) === 0) return at + 1;
  }
  for (; at < last; at += 1) {
    hash = ((hash << 1) + (GEAR[bytes[at] as number] as number)) | 0;
    if ((hash & MASK_AFTER_NORMAL) === 0) return at + 1;
  }
  return last;
}
