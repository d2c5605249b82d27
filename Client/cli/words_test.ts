import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { splitWords } from './words.ts';

const LINES: [string, string[]][] = [
  ['', []],
  ['   \t ', []],
  ['ls', ['ls']],
  ['  put  a.txt\t/b ', ['put', 'a.txt', '/b']],
  [`put 'two words' "three more words" /x\\ y`, ['put', 'two words', 'three more words', '/x y']],
  [`a'b c'd"e f"`, ['ab cde f']],
  [`'' ""`, ['', '']],
  [`"say \\"hi\\" \\\\ \\n"`, ['say "hi" \\ \\n']],
  [`'it\\'`, ['it\\']],
  ['ls # all of it', ['ls']],
  ['# nothing', []],
  ['cat /a#b', ['cat', '/a#b']],
];

describe('a line of the shell', () => {
  for (const [line, words] of LINES)
    it(`${JSON.stringify(line)} is ${JSON.stringify(words)}`, () => assert.deepEqual(splitWords(line), words));

  for (const line of [`'open`, `a "open`, 'end\\', `"x\\"`, `a'b`]) {
    it(`${JSON.stringify(line)} is refused`, () => assert.throws(() => splitWords(line), { code: 'request_invalid' }));
  }
});
