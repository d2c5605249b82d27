import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, glob, readFile, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { findControls, type Written } from './canaries.ts';

/**
 * What is no secret but looks like one: fingerprints, pins, and names of temporary folders. Ids and digests are hex and look like none.
 */
const HARMLESS = /SHA256:[A-Za-z0-9+/]{43}|sha256\/\/[A-Za-z0-9+/]{43}=|driftless-[a-z0-9-]+-[A-Za-z0-9]{6}\b/g;
/** Sixteen random bytes in base64url have 22 characters: tickets, codes, tokens of links, renewal secrets, proofs. */
const RANDOM = /(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{22,}/g;
const PASSWORD = /\b\w*(?:password|wrong|guess)\w*['"]?\s*[:=]\s*(['"`])(?!password\1)((?:(?!\1)[^\\$\n_/]){8,})\1/gi;

/** The logs of processes and command lines that ran below `folder`, and the rows of the audit record, which others may still be writing. */
export async function keepWritten(folder: string, kept: string): Promise<void> {
  const own = join(kept, randomUUID());
  for await (const path of glob(join(folder, '{.,*}/logs/*.log'))) await cp(path, join(own, relative(folder, path)));
  const audit = join(folder, 'data', 'audit.db');
  if (existsSync(audit)) await writeFile(`${own}-audit.log`, auditRows(audit));
}

function auditRows(path: string): string {
  const database = new DatabaseSync(path);
  try {
    const isThere = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'audit'").get() !== undefined;
    const rows = isThere ? database.prepare('SELECT * FROM audit').all() : [];
    return rows.map((row) => `${Object.values(row).join(' ')}\n`).join('');
  } finally {
    database.close();
  }
}

/** All that was kept. */
export async function readWritings(kept: string): Promise<Written> {
  const written = new Map<string, string>();
  for await (const path of glob(join(kept, '**/*.log'))) written.set(relative(kept, path), await readFile(path, 'utf8'));
  return written;
}

/** Passwords that tests write out: whoever adds one has it searched for. */
export async function passwordsIn(sources: string): Promise<Set<string>> {
  const found = new Set<string>();
  for await (const path of glob(sources, { exclude: (name) => basename(name) === 'node_modules' })) {
    for (const [, , password] of (await readFile(path, 'utf8')).matchAll(PASSWORD)) if (password !== undefined) found.add(password);
  }
  return found;
}

/** @returns what was found where; of a thing that looks like a secret its beginning alone */
export function findLeaks(written: Written, passwords: Iterable<string>): string[] {
  const leaks = findControls(written);
  const known = [...passwords];
  for (const [place, text] of written) {
    for (const password of known) if (text.includes(password)) leaks.push(`the password "${password}" in ${place}`);
    for (const [token] of text.replace(HARMLESS, '').matchAll(RANDOM)) leaks.push(`"${token.slice(0, 12)}…" in ${place}`);
  }
  return leaks;
}
