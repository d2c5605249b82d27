import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { foldName } from '../../../Models/names.ts';
import { testSeed } from '../../../Models/testing/test_seed.ts';
import { portableNames } from './portable_names.ts';

const { toLocal, toRemote } = portableNames({ anyName: false });

/** As Windows documents it ("Naming Files, Paths, and Namespaces"), independent of how aliases are made. */
function canBeHeld(name: string): boolean {
  const word = (name.split('.')[0] ?? '').trimEnd().toUpperCase();
  const isDevice = /^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$)$/.test(word) || /^(COM|LPT)[0-9¹²³]$/.test(word);
  return !isDevice && ![...'<>:"/\\|?*'].some((character) => name.includes(character)) && !/[. ]$/.test(name) && name.length <= 255;
}

for (const [name, local] of [
  ['report.pdf', 'report.pdf'],
  ['a:b', 'a%58b'],
  ['what?.txt', 'what%63.txt'],
  ['"<>|*\\', '%34%60%62%124%42%92'],
  ['etc.', 'etc%46'],
  ['end ', 'end%32'],
  ['..a', '..a'],
  ['...', '..%46'],
  ['a. .', 'a. %46'],
  ['CON', 'CON%'],
  ['con.txt', 'con%.txt'],
  ['NUL .tar.gz', 'NUL% .tar.gz'],
  ['lpt¹', 'lpt¹%'],
  ['COM10', 'COM10'],
  ['CONSOLE', 'CONSOLE'],
  ['aux:', 'aux%58'],
  ['prn.', 'prn%46'],
  // what looks like an alias has one
  ['a%58b', 'a%3758b'],
  ['a%3758b', 'a%373758b'],
  ['etc%46', 'etc%3746'],
  ['CON%', 'CON%%'],
  // what only reminds of one has not
  ['100%', '100%'],
  ['What%3F.html', 'What%3F.html'],
  ['%46x', '%46x'],
  ['%37', '%37'],
  ['x%37.', 'x%37%46'],
  ['%:', '%%58'],
] as const) {
  it(`${JSON.stringify(name)} is ${JSON.stringify(local)} where not every name can be made`, () => {
    assert.equal(toLocal(name), local);
    assert.equal(toRemote(local), name);
    assert(canBeHeld(local));
  });
}

it('a name for which no alias is short enough has none', () => {
  assert.equal(toLocal('x'.repeat(255)), 'x'.repeat(255));
  assert.equal(toLocal(`${'x'.repeat(252)}:`)?.length, 255);
  assert.equal(toLocal(`${'x'.repeat(253)}:`), null);
});

it('where every name can be made, each is its own', () => {
  const same = portableNames({ anyName: true });
  for (const name of ['a:b', 'CON', 'end.', 'a%58b', ':'.repeat(255)]) {
    assert.equal(same.toLocal(name), name);
    assert.equal(same.toRemote(name), name);
  }
});

const PIECES = [...'"*:<>?\\|. %a1', '37', '58', '46', '32', '124', '3', '7', 'CON', 'nul', 'COM1', 'LPT²', 'é', 'ß', '\u{1f600}'];
const names = fc
  .array(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...PIECES) }, fc.string({ unit: 'grapheme', maxLength: 2 })), {
    minLength: 1,
    maxLength: 8,
  })
  .map((pieces) => pieces.join('').replaceAll(/[\p{Cc}/]/gu, ''))
  .filter((name) => name !== '' && name !== '.' && name !== '..');

it('both directions are one to one, and every alias can be held', () => {
  const seed = testSeed('portable names');
  fc.assert(
    fc.property(names, (name) => {
      const local = toLocal(name);
      assert(local !== null && canBeHeld(local), String(local));
      assert.equal(toRemote(local), name);
      if (canBeHeld(name)) assert.equal(toLocal(toRemote(name)), name);
    }),
    { seed, numRuns: 20_000 },
  );
});

it('an alias whose case the disk changed is still an alias of the same name', () => {
  const seed = testSeed('names of aliases');
  fc.assert(
    fc.property(names, (name) => {
      fc.pre(/^[ -~]*$/.test(name));
      const local = toLocal(name) ?? '';
      for (const changed of [local.toUpperCase(), local.toLowerCase()]) assert.equal(foldName(toRemote(changed)), foldName(name));
    }),
    { seed, numRuns: 20_000 },
  );
});
