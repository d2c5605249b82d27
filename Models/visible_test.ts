import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { visible, visibleContent, visibleJson } from './visible.ts';

const HOSTILE: [string, string, string][] = [
  ['an escape sequence', '\u001b]0;title\u0007x', '\\x1b]0;title\\x07x'],
  ['a C1 control', 'a\u009bb', 'a\\x9bb'],
  ['a line end', 'a\nb\r\nc', 'a\\x0ab\\x0d\\x0ac'],
  ['DEL and NUL', '\u007f\u0000', '\\x7f\\x00'],
  ['a reversed reading order', 'exe.\u202egpj', 'exe.\\u202egpj'],
  ['an isolate', '\u2066x\u2069', '\\u2066x\\u2069'],
  ['the separators of lines and paragraphs', 'a\u2028b\u2029', 'a\\u2028b\\u2029'],
  ['an invisible character', 'a\u200bb\ufeff', 'a\\u200bb\\ufeff'],
  ['a lone surrogate', 'a\ud800b', 'a\\ud800b'],
  ['an invisible tag', 'a\u{e0041}', 'a\\u{e0041}'],
];

describe('text of others on a terminal', () => {
  for (const [what, text, expected] of HOSTILE) {
    it(`shows ${what} as its code`, () => assert.equal(visible(text), expected));
  }

  it('leaves ordinary names of all scripts alone, joined emoji too', () => {
    for (const name of ['q3.pdf', 'Übergröße', '日本語', 'شاهد', 'می‌خواهم', '👩‍👩‍👧']) assert.equal(visible(name), name);
  });

  it('keeps lines and tabs of content', () => assert.equal(visibleContent('a\tb\n\u001b[31m\r\n'), 'a\tb\n\\x1b[31m\\x0d\n'));

  it('is JSON of the same meaning', () => {
    for (const [, text] of HOSTILE) {
      const shown = visibleJson({ path: text });
      assert.deepEqual(JSON.parse(shown), { path: text });
      assert.equal(visible(shown), shown);
    }
  });
});
