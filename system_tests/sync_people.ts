import { hash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findCut } from '../Models/chunking.ts';
import { contentId } from '../Models/content_id.ts';

const PRIVATE = '.driftless';
const DELETES_MAX = 60; // of one device: more of them would be held, as they should be

const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer');

/** Its content id, as the server has it. */
export function digestOf(bytes: Uint8Array): string {
  const chunks: { digest: Buffer; length: number }[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = findCut(bytes, start, bytes.length);
    chunks.push({ digest: sha256(bytes.subarray(start, end)), length: end - start });
    start = end;
  }
  return contentId(chunks, sha256).toString('hex');
}

/** What people wrote, and what of it they gave up themselves: only that may be gone in the end. */
export type Ledger = {
  /** Content by digest, in a word: who wrote it, and where. */
  readonly written: Map<string, string>;
  /** Digests of what somebody overwrote or deleted who had it. */
  readonly givenUp: Set<string>;
  readonly log: string[];
};

type Person = { readonly name: string; readonly local: string; deletes: number };

export function createLedger(): Ledger {
  return { written: new Map(), givenUp: new Set(), log: [] };
}

/** Somebody who changes the files of one device at random, each content never seen before. */
export function createPerson(ledger: Ledger, random: () => number, name: string, local: string): { act(): void } {
  const person: Person = { name, local, deletes: 0 };
  let count = 0;
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const note = (text: string): void => void ledger.log.push(`${new Date().toISOString()} ${name} ${text}`);

  function content(path: string): Buffer {
    count += 1;
    const head = `${name} ${count} ${path}\n`;
    const size = random() < 0.04 ? 700_000 + Math.floor(random() * 900_000) : Math.floor(random() ** 3 * 60_000);
    const bytes = Buffer.alloc(head.length + size, head);
    ledger.written.set(digestOf(bytes), `${name} ${count} at ${path}`);
    return bytes;
  }

  /** Who changes a file has seen what was in it. */
  function giveUp(path: string): void {
    try {
      ledger.givenUp.add(digestOf(readFileSync(path)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }

  function save(path: string): void {
    const full = join(local, path);
    mkdirSync(dirname(full), { recursive: true });
    const bytes = content(path);
    const how = random() < 0.5 ? 'writes' : 'replaces';
    try {
      if (existsSync(full)) giveUp(full);
      writeFileSync(how === 'writes' ? full : `${full}.tmp`, bytes);
      if (how === 'replaces') renameSync(`${full}.tmp`, full);
    } catch (error) {
      ledger.givenUp.add(digestOf(bytes)); // it was never saved: the folder is another one by now
      throw error;
    }
    note(`${how} ${path} (${bytes.length} bytes, ${digestOf(bytes).slice(0, 8)})`);
  }

  const actions: readonly (readonly [share: number, act: (files: readonly string[], folders: readonly string[]) => void])[] = [
    [4, (_, folders) => save(join(pick(folders) ?? '', `${pick(WORDS)}-${Math.floor(random() * 1e6)}`))],
    [2, (_, folders) => save(join(pick(folders) ?? '', pick(WORDS) ?? 'word'))], // the same names on all devices
    [4, (files) => save(pick(files) ?? 'first')],
    [2, (files, folders) => move(pick(files), join(pick(folders) ?? '', `moved-${Math.floor(random() * 1e6)}`))],
    [1, (_, folders) => move(pick(folders.slice(1)), join(pick(folders) ?? '', `folder-${Math.floor(random() * 1e4)}`))],
    [1, (_, folders) => mkdirSync(join(local, pick(folders) ?? '', `${pick(WORDS)} folder`), { recursive: true })],
    [2, (files) => remove(pick(files))],
  ];

  function move(from: string | undefined, to: string): void {
    if (from === undefined || `${to}/`.startsWith(`${from}/`) || existsSync(join(local, to))) return;
    renameSync(join(local, from), join(local, to));
    note(`moves ${from} to ${to}`);
  }

  function remove(path: string | undefined): void {
    if (path === undefined || person.deletes >= DELETES_MAX) return;
    person.deletes += 1;
    giveUp(join(local, path));
    rmSync(join(local, path));
    note(`deletes ${path}`);
  }

  return {
    act() {
      let at = random() * actions.reduce((sum, [share]) => sum + share, 0);
      const chosen = actions.find(([share]) => {
        at -= share;
        return at < 0;
      });
      try {
        const { files, folders } = lookAt(local);
        chosen?.[1](files, ['', ...folders]);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // the sync was faster: what was looked at is not there any more
        if (!['ENOENT', 'EEXIST', 'ENOTDIR', 'EISDIR', 'EINVAL', 'ENOTEMPTY'].includes(code ?? '')) throw error;
        note(`is too late (${code})`);
      }
    },
  };
}

const WORDS = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'] as const;

/** Paths below a folder, as they are at this moment, without what is private to the engine. */
export function lookAt(local: string): { files: string[]; folders: string[] } {
  const files: string[] = [];
  const folders: string[] = [];
  for (const name of readdirSync(local, { recursive: true }) as string[]) {
    if (name === PRIVATE || name.startsWith(`${PRIVATE}/`) || name.endsWith('.tmp')) continue;
    const stat = statSync(join(local, name), { throwIfNoEntry: false });
    if (stat?.isDirectory()) folders.push(name);
    else if (stat?.isFile()) files.push(name);
  }
  return { files: files.sort(), folders: folders.sort() };
}

/** Digests of all files below a folder, the private ones too. */
export function digestsIn(folder: string): Set<string> {
  const digests = new Set<string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) digests.add(digestOf(readFileSync(join(entry.parentPath, entry.name))));
  }
  return digests;
}
