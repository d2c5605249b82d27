/**
 * Looks for secrets in what processes wrote: a secret is found as it is, and as hex, base64 or percent-encoded text would show it.
 * Nobody could search for one that is short: each has at least 8 bytes.
 */
export type Written = ReadonlyMap<string, string>; // by where it was written
export type Secrets = Readonly<Record<string, string | Buffer>>;

/** @returns what was found where, `SECRET in PLACE as FORM` */
export function findSecrets(written: Written, secrets: Secrets): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) =>
    Object.entries(formsOf(secret)).flatMap(([form, text]) =>
      Array.from(written).flatMap(([place, content]) => (content.includes(text) ? [`${name} in ${place} as ${form}`] : [])),
    ),
  );
}

function formsOf(secret: string | Buffer): Record<string, string> {
  const bytes = Buffer.from(secret);
  if (bytes.length < 8) throw new RangeError('a secret this short is found anywhere');
  return {
    ...(typeof secret === 'string' && { text: secret, JSON: JSON.stringify(secret).slice(1, -1), URL: encodeURIComponent(secret) }),
    hex: bytes.toString('hex'),
    // without the last bits, which depend on what is behind
    base64: bytes.toString('base64').replace(/.{1,2}=*$/, ''),
    base64url: bytes.toString('base64url').slice(0, -2),
  };
}

/** What a terminal would obey, line ends aside. @returns `CODE in PLACE` */
export function findControls(written: Written): string[] {
  return Array.from(written).flatMap(([place, content]) => {
    const found = new Set(content.match(/[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]--[\n\u200c\u200d]]/gv));
    return Array.from(found, (character) => `U+${character.codePointAt(0)?.toString(16).padStart(4, '0')} in ${place}`);
  });
}
