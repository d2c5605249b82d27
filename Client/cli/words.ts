import { AppError } from '../../Models/errors.ts';

/**
 * Splits a line into words as a shell does: blanks divide; '…' keeps everything, "…" everything but \" and \\; a backslash keeps
 * the next character; # at the beginning of a word begins a comment.
 * @throws AppError `request_invalid` for a quote or backslash without its end
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let rest = line.trimStart();
  while (rest !== '' && !rest.startsWith('#')) {
    const found = /^(?:[^\s'"\\]|'[^']*'|"(?:[^"\\]|\\[\s\S])*"|\\[\s\S])+/.exec(rest);
    const quoted = found?.[0] ?? '';
    rest = rest.slice(quoted.length);
    if (found === null || /^\S/.test(rest)) throw new AppError('request_invalid', 'a quote or backslash is not closed');
    words.push(unquote(quoted));
    rest = rest.trimStart();
  }
  return words;
}

function unquote(quoted: string): string {
  return quoted.replace(/'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])/g, (_all, single?: string, double?: string, escaped?: string) =>
    single !== undefined ? single : double !== undefined ? double.replace(/\\(["\\])/g, '$1') : (escaped ?? ''),
  );
}
