import { createTwoFilesPatch } from 'diff';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';

export type Side = { readonly name: string; readonly content: Uint8Array };

/**
 * A unified diff of two texts, empty if they are the same.
 * @throws AppError `not_text`; `too_large` when they differ in so much that finding the shortest way would take long
 */
export function textDiff(from: Side, to: Side): string {
  const [before, after] = [textOf(from), textOf(to)];
  if (before === after) return '';
  const bounds = { context: 3, timeout: LIMITS.diffTimeoutMs, maxEditLength: LIMITS.diffEditsMax };
  const patch = createTwoFilesPatch(from.name, to.name, before, after, undefined, undefined, bounds);
  if (patch === undefined) throw new AppError('too_large', 'the two versions differ in too much');
  return patch.replace(/^=+\n/, '');
}

function textOf({ name, content }: Side): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
    if (!text.includes('\0')) return text;
  } catch (cause) {
    throw new AppError('not_text', `${name} is not text in UTF-8`, { cause });
  }
  throw new AppError('not_text', `${name} is not text`);
}
