import { AppError } from '../Models/errors.ts';

/** Where a page ended: the texts that its last row is ordered by. Opaque to callers. */
export function pageMark(texts: readonly string[]): string {
  return Buffer.from(JSON.stringify(texts)).toString('base64url');
}

/** @throws AppError `cursor_invalid` */
export function readPageMark(mark: string, count: number): string[] {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(mark, 'base64url').toString());
  } catch {
    value = null;
  }
  if (
    Array.isArray(value) &&
    value.length === count &&
    value.every((text): text is string => typeof text === 'string' && !text.includes('\0'))
  ) {
    return value;
  }
  throw new AppError('cursor_invalid', 'this is no mark of a page');
}
