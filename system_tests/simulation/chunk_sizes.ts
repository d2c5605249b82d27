import { LIMITS } from '../../Models/limits.ts';

type Sizes = Pick<typeof LIMITS, 'chunkBytesMin' | 'chunkBytesNormal' | 'chunkBytesMax' | 'deltaBlockBytes'>;

/**
 * Smaller chunks while something runs, so that a file of a few KiB has several. The limits are those of this whole process: nothing else
 * may run in it meanwhile.
 * @param bytesMin a power of two, a file of at most so many bytes is one chunk; the other sizes keep their proportions. `null`: as they are
 */
export async function withChunksFrom<T>(bytesMin: number | null, work: () => Promise<T>): Promise<T> {
  const limits: { -readonly [Name in keyof Sizes]: number } = LIMITS;
  const { chunkBytesMin, chunkBytesNormal, chunkBytesMax, deltaBlockBytes } = LIMITS;
  const share = bytesMin === null ? 1 : bytesMin / chunkBytesMin;
  limits.chunkBytesMin = chunkBytesMin * share;
  limits.chunkBytesNormal = chunkBytesNormal * share;
  limits.chunkBytesMax = chunkBytesMax * share;
  limits.deltaBlockBytes = Math.max(deltaBlockBytes * share, 16);
  try {
    return await work();
  } finally {
    Object.assign(limits, { chunkBytesMin, chunkBytesNormal, chunkBytesMax, deltaBlockBytes });
  }
}
