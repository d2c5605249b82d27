import { AppError } from '../Models/errors.ts';

/** An answer that is not to be had now: the client says the same again later. Infinity: waiting does not help. */
export type Later = { readonly retryAfterMs: number };

export function isLater(answer: object | null): answer is Later {
  return answer !== null && 'retryAfterMs' in answer;
}

/** What is busy now is to be had later. @throws what else fails */
export async function orLater<T>(work: Promise<T>): Promise<T | Later> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AppError && error.code === 'busy' && error.retryAfterMs !== undefined) return { retryAfterMs: error.retryAfterMs };
    throw error;
  }
}
