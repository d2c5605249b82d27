import type { DiskFeatures } from './disk.ts';

/**
 * How names are called on this disk. Both directions are one to one, whatever the names are: no two ever meet, and a name that only
 * looks like an alias has one of its own.
 */
export type PortableNames = {
  /** @param name as the server has it. @returns what the entry is called on this disk, or `null`: no alias of it is short enough */
  toLocal(name: string): string | null;
  /** @param localName as the disk has it, in the Unicode form in which the name was written. The result may be one that no server takes. */
  toRemote(localName: string): string;
};

const NAME_UNITS_MAX = 255; // UTF-16 units, on the file systems that need aliases

/**
 * `%` and the decimal number of the character: digits have no case, so that aliases stay apart where case does not count. Characters that are not allowed
 * anywhere, and those not allowed at the end.
 */
const ANYWHERE: ReadonlyMap<string, string> = codes('"*:<>?\\|');
const AT_END: ReadonlyMap<string, string> = codes(' .');
const CHARACTERS: ReadonlyMap<string, string> = new Map([...ANYWHERE, ...AT_END].map(([character, code]) => [code, character]));

/** What follows the `%` of an alias, or of a name that looks like one: such a `%` becomes `%37`, once more for each time. */
const CODE = `(?:${[...ANYWHERE.values()].join('|')}|(?:${[...AT_END.values()].join('|')})$)`;
const TO_LOCAL = new RegExp(`["*:<>?\\\\|]|[ .]$|%(?=(?:37)*${CODE})`, 'g');
const TO_REMOTE = new RegExp(`%(?:(${CODE})|37(?=(?:37)*${CODE}))`, 'g');

/** Names of devices, with whatever ending: a `%` more behind the word. `CON.txt` is `CON%.txt`, `CON%.txt` is `CON%%.txt`. */
const DEVICE = /^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3])(%*)(?= *(?:\.|$))/i;

function codes(characters: string): ReadonlyMap<string, string> {
  return new Map([...characters].map((character) => [character, String(character.charCodeAt(0))]));
}

/** @param anyName of the disk: then every name is its own */
export function portableNames({ anyName }: Pick<DiskFeatures, 'anyName'>): PortableNames {
  if (anyName) return { toLocal: (name) => name, toRemote: (name) => name };
  return {
    toLocal(name) {
      const local = name.replace(TO_LOCAL, aliasOf).replace(DEVICE, '$1$2%');
      return local.length > NAME_UNITS_MAX ? null : local;
    },
    toRemote: (localName) =>
      localName
        .replace(DEVICE, (_, word: string, marks: string) => word + marks.slice(1))
        .replace(TO_REMOTE, (_, code: string | undefined) => (code === undefined ? '%' : (CHARACTERS.get(code) ?? ''))),
  };
}

function aliasOf(match: string): string {
  if (match === '%') return '%37';
  return `%${ANYWHERE.get(match) ?? AT_END.get(match)}`;
}
