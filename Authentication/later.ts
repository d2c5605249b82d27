/** An answer that is not to be had now: the client says the same again later. Infinity: waiting does not help. */
export type Later = { readonly retryAfterMs: number };

export function isLater(answer: Uint8Array | Later | null): answer is Later {
  return answer !== null && 'retryAfterMs' in answer;
}
