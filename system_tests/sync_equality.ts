import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, lstatSync, readdirSync, readlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

const PRIVATE = '.driftless';

/** What one entry of a folder is, in a form that is equal where the entries are. */
type Shown = string;

/**
 * Everything below a folder but what is private to the engine: kind, bytes, permission bits and time by path.
 * @param except paths that are left out, with all below them
 */
async function contentOf(root: string, except: readonly string[] = []): Promise<Map<string, Shown>> {
  const found = new Map<string, Shown>();
  await walk(Buffer.from(root), Buffer.alloc(0), { found, except });
  return found;
}

type Walk = { readonly found: Map<string, Shown>; readonly except: readonly string[] };

async function walk(root: Buffer, folder: Buffer, { found, except }: Walk): Promise<void> {
  const slash = Buffer.from('/');
  for (const name of readdirSync(Buffer.concat([root, slash, folder]), { encoding: 'buffer' })) {
    const path = folder.length === 0 ? name : Buffer.concat([folder, slash, name]);
    const text = isText(path) ? path.toString() : `bytes:${path.toString('latin1')}`;
    if ((folder.length === 0 && text === PRIVATE) || except.includes(text)) continue;
    const full = Buffer.concat([root, slash, path]);
    const stat = lstatSync(full);
    const attributes = `${(stat.mode & 0o777).toString(8)} ${Math.round(stat.mtimeMs * 1000)}`;
    if (stat.isDirectory()) {
      found.set(text, `folder ${attributes}`);
      await walk(root, path, { found, except });
    } else if (stat.isSymbolicLink()) found.set(text, `link ${Math.round(stat.mtimeMs * 1000)} to ${readlinkSync(full)}`);
    else if (stat.isFile()) found.set(text, `file ${attributes} ${await digestOf(full)}`);
    else found.set(text, 'special');
  }
}

function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString()).equals(bytes);
}

async function digestOf(path: Buffer): Promise<string> {
  const digest = createHash('sha256');
  await pipeline(createReadStream(path), digest);
  return digest.digest('hex');
}

/**
 * Both folders are the same in everything that is synced: names, kinds, bytes, permission bits, times. The folders' own times are not synced.
 * `rsync` is asked as well, where it is installed and nothing is left out.
 */
export async function assertSameFolders(one: string, other: string, except: readonly string[] = []): Promise<void> {
  const [ours, theirs] = [await contentOf(one, except), await contentOf(other, except)];
  const different = [...new Set([...ours.keys(), ...theirs.keys()])].filter((path) => ours.get(path) !== theirs.get(path)).sort();
  assert.deepEqual(
    different.map((path) => `${path}: ${ours.get(path) ?? 'nothing'} | ${theirs.get(path) ?? 'nothing'}`),
    [],
  );
  if (except.length > 0) return;
  const now = new Date();
  for (const root of [one, other]) utimesSync(root, now, now);
  assert.equal(await rsyncDifferences(one, other), '');
}

/** What rsync would change, one line for each; '' without rsync. */
async function rsyncDifferences(one: string, other: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('rsync', [
      '-anic',
      '--no-owner',
      '--no-group',
      '--delete',
      `--exclude=/${PRIVATE}`,
      join(one, '/'),
      join(other, '/'),
    ]);
    return stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
