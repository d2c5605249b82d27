/**
 * Names come from other people and from servers, and a terminal obeys what it is shown. Everything that could move the cursor,
 * end a line or reverse the order of reading is shown as its code instead; so are invisible characters, save the two joiners
 * that scripts and emoji need.
 */
const UNSAFE = /[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]--[\u200c\u200d]]/gv;
const UNSAFE_IN_CONTENT = /[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]--[\u200c\u200d\n\t]]/gv;

/** Text of others as part of one line. */
export function visible(text: string): string {
  return text.replace(UNSAFE, codeOf);
}

/** Content of a file shown to a person: its lines and tabs stay. */
export function visibleContent(text: string): string {
  return text.replace(UNSAFE_IN_CONTENT, codeOf);
}

/** JSON that means the same and is safe to show: what must not reach a terminal is written as \uXXXX. */
export function visibleJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (character) =>
    Array.from({ length: character.length }, (_, at) => `\\u${hex(character.charCodeAt(at), 4)}`).join(''),
  );
}

function codeOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${hex(code, 2)}`;
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\u{${hex(code, 5)}}`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
