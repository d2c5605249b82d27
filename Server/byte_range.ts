/** Bytes `start` up to, not including, `end`. */
export type ByteRange = { readonly start: number; readonly end: number };

/**
 * The `Range` header of a GET (RFC 9110, 14.2). A header that is not one well-formed byte range is ignored, as the RFC allows.
 * @returns `null` when the whole content is meant
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | null {
  const match = /^bytes=(\d{0,16})-(\d{0,16})$/.exec(header ?? '');
  if (match === null) return null;
  const [, first, last] = match;
  if (first === '' || first === undefined) {
    if (last === '' || last === undefined) return null;
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === '' || last === undefined ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return null;
  return start >= size ? 'unsatisfiable' : { start, end };
}

export type Conditions = {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  readonly ifRange?: string | undefined;
};

/** What the conditional headers say about content with this strong `etag` (quotes included). RFC 9110, 13.2.2. */
export function checkConditions(conditions: Conditions, etag: string): 'proceed' | 'not_modified' | 'failed' {
  if (conditions.ifMatch !== undefined && !lists(conditions.ifMatch, etag, false)) return 'failed';
  if (conditions.ifNoneMatch !== undefined && lists(conditions.ifNoneMatch, etag, true)) return 'not_modified';
  return 'proceed';
}

/** Does a range hold, or has the content changed since the client got its part of it? */
export function rangeStillHolds(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange === etag;
}

function lists(header: string, etag: string, weak: boolean): boolean {
  if (header.trim() === '*') return true;
  return header.split(',').some((item) => {
    const tag = item.trim();
    return tag === etag || (weak && tag === `W/${etag}`);
  });
}
