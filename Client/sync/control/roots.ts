import { randomBytes } from 'node:crypto';
import { mkdir, readdir, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { Low } from 'lowdb';
import { AppError } from '../../../Models/errors.ts';
import { joinPath, splitPath } from '../../../Models/names.ts';
import { privateFile, tryLock, waitForLock } from '../../session/private_file.ts';
import { PRIVATE_FOLDER } from '../disk/local_tree.ts';

/** One folder that is synced on this device, as HOME/sync/ID/settings.json has it. */
export type RootSettings = {
  version: 1;
  readonly id: string; // 16 hex digits, made once
  readonly local: string; // absolute, without symlinks on the way
  readonly remote: string; // a remote path
  readonly auth: string; // HOST:PORT of the daemon
  readonly user: string;
  excludes: string[]; // gitignore patterns of this device
  limitUp: number | null; // bytes per second
  limitDown: number | null;
  paused: boolean;
};

export type SyncRoot = {
  /** HOME/sync/ID: the settings, the engine's index, the control channel. */
  readonly folder: string;
  /** As they were read when the root was looked up. */
  readonly settings: RootSettings;
  /** Changes what is on disk now; durable when it resolves. @throws AppError `local_io` */
  update(change: (settings: RootSettings) => void): Promise<RootSettings>;
  /** One process syncs a root at a time; the operating system lets go however that process ends. @throws AppError `data_folder_locked`, `local_io` */
  claim(): Promise<Disposable>;
};

export type NewRoot = Pick<RootSettings, 'local' | 'remote' | 'auth' | 'user'>;

export type Roots = {
  /** All there are, in the order of their local paths. `damaged`: what is wrong with those that cannot be read. */
  list(): Promise<{ roots: SyncRoot[]; damaged: AppError[] }>;
  /** The root that is at this local path, or that holds it. `path`: within it, '' for itself. @throws AppError `local_io` */
  find(local: string): Promise<{ root: SyncRoot; path: string } | null>;
  /**
   * Makes the local folder if it is not there.
   * @throws AppError `request_invalid`: it overlaps with another root, or would sync the profile; `path_invalid`, `name_invalid`: the remote path; `local_io`
   */
  add(root: NewRoot): Promise<SyncRoot>;
  /** Forgets it; nothing in the synced folder itself is touched. @throws AppError `data_folder_locked`: it is being synced; `local_io` */
  remove(root: SyncRoot): Promise<void>;
};

const SETTINGS = 'settings.json';
const ROOT_ID = /^[0-9a-f]{16}$/;

const isText = (value: unknown): value is string => typeof value === 'string';
const isRate = (value: unknown): value is number | null => value === null || (Number.isSafeInteger(value) && Number(value) > 0);

/** Checked by hand, as the profile is. */
function isSettings(value: unknown): value is RootSettings {
  if (typeof value !== 'object' || value === null) return false;
  const { version, id, local, remote, auth, user, excludes, limitUp, limitDown, paused } = value as Record<string, unknown>;
  return (
    version === 1 &&
    isText(id) &&
    ROOT_ID.test(id) &&
    isText(local) &&
    isAbsolute(local) &&
    [remote, auth, user].every(isText) &&
    Array.isArray(excludes) &&
    excludes.every(isText) &&
    isRate(limitUp) &&
    isRate(limitDown) &&
    typeof paused === 'boolean'
  );
}

function parseSettings(text: string, path: string): RootSettings {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // said below
  }
  if (!isSettings(value)) throw new AppError('local_io', `${path} is damaged; move its folder away and sync that folder anew`);
  return value;
}

function asLocal(what: string): (error: unknown) => never {
  return (cause) => {
    if (cause instanceof AppError) throw cause;
    throw new AppError('local_io', `${what} (${cause instanceof Error && 'code' in cause ? cause.code : 'failed'})`, { cause });
  };
}

/** @param home the profile's folder */
export function openRoots(home: string): Roots {
  const parent = join(home, 'sync');
  const roots: Roots = {
    async list() {
      const names = await readdir(parent).catch((error: NodeJS.ErrnoException) =>
        error.code === 'ENOENT' ? [] : asLocal(`cannot read ${parent}`)(error),
      );
      const found: SyncRoot[] = [];
      const damaged: AppError[] = [];
      for (const name of names.filter((one) => ROOT_ID.test(one))) {
        try {
          const root = await openRoot(join(parent, name));
          if (root !== null) found.push(root);
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          damaged.push(error);
        }
      }
      found.sort((one, other) => (one.settings.local < other.settings.local ? -1 : 1));
      return { roots: found, damaged };
    },
    async find(local) {
      const { roots: all } = await roots.list();
      for (const path of [resolve(local), await trueLocation(local)]) {
        for (const root of all) {
          const within = pathWithin(root.settings.local, path);
          if (within !== null) return { root, path: within };
        }
      }
      return null;
    },
    async add(wanted) {
      const remote = joinPath(splitPath(wanted.remote));
      const local = await mkdir(wanted.local, { recursive: true })
        .then(() => realpath(wanted.local))
        .catch(asLocal(`cannot use ${wanted.local}`));
      await mkdir(parent, { recursive: true, mode: 0o700 }).catch(asLocal(`cannot use ${parent}`));
      using _alone = await waitForLock(join(parent, 'roots.lock')).catch(asLocal(`cannot use ${parent}`));
      checkOverlap(local, (await roots.list()).roots);
      await checkProfile(local, home);
      const id = randomBytes(8).toString('hex');
      const settings: RootSettings = {
        ...{ version: 1, id, local, remote, auth: wanted.auth, user: wanted.user },
        ...{ excludes: [], limitUp: null, limitDown: null, paused: false },
      };
      return makeRoot(join(parent, id), settings).catch(asLocal(`cannot use ${parent}`));
    },
    async remove(root) {
      using _held = await root.claim();
      // first out of the list, so that an interruption leaves no root without its index
      const gone = `${root.folder}.removed`;
      await rename(root.folder, gone)
        .then(() => rm(gone, { recursive: true, force: true }))
        .catch(asLocal(`cannot remove ${root.folder}`));
    },
  };
  return roots;
}

function fileOf(folder: string): Low<RootSettings | null> {
  const path = join(folder, SETTINGS);
  return new Low<RootSettings | null>(
    privateFile<RootSettings | null>(path, (text) => parseSettings(text, path)),
    null,
  );
}

/** @returns `null` for one that was never finished */
async function openRoot(folder: string): Promise<SyncRoot | null> {
  const file = fileOf(folder);
  await file.read().catch(asLocal(`cannot read ${join(folder, SETTINGS)}`));
  return file.data === null ? null : rootOf(folder, file.data);
}

async function makeRoot(folder: string, settings: RootSettings): Promise<SyncRoot> {
  await mkdir(folder, { mode: 0o700 });
  const file = fileOf(folder);
  file.data = settings;
  await file.write();
  return rootOf(folder, settings);
}

function rootOf(folder: string, settings: RootSettings): SyncRoot {
  async function update(change: (settings: RootSettings) => void): Promise<RootSettings> {
    using _held = await waitForLock(join(folder, 'settings.lock'));
    const file = fileOf(folder);
    await file.read();
    const { data } = file;
    if (data === null) throw new AppError('local_io', `${settings.local} is not synced any more`);
    change(data);
    await file.write();
    return data;
  }
  return {
    folder,
    settings,
    update: (change) => update(change).catch(asLocal(`cannot change ${join(folder, SETTINGS)}`)),
    async claim() {
      const held = await tryLock(join(folder, 'running.lock')).catch(asLocal(`cannot use ${folder}`));
      if (held === null) throw new AppError('data_folder_locked', `another process syncs ${settings.local}`);
      return held;
    },
  };
}

/** @returns `path` as seen from `folder`, '' for itself, with '/' between components; `null`: not below it */
function pathWithin(folder: string, path: string): string | null {
  const within = relative(folder, path);
  const isOutside = within === '..' || within.startsWith(`..${sep}`) || isAbsolute(within);
  return isOutside ? null : within.replaceAll(sep, '/');
}

/** Symlinks on the way followed, as far as it exists; not the last component, which may be a synced symlink. */
async function trueLocation(path: string): Promise<string> {
  const absolute = resolve(path);
  const parent = dirname(absolute);
  if (parent === absolute) return absolute;
  const real = await realpath(parent).catch(() => trueLocation(parent)); // what cannot be followed counts as it is written
  return join(real, basename(absolute));
}

function checkOverlap(local: string, others: readonly SyncRoot[]): void {
  for (const { settings } of others) {
    if (settings.local === local) throw new AppError('request_invalid', `${local} is synced with ${settings.remote} already`);
    const inside = pathWithin(settings.local, local) !== null;
    if (!inside && pathWithin(local, settings.local) === null) continue;
    throw new AppError('request_invalid', `${local} ${inside ? 'is inside of' : 'holds'} ${settings.local}, which is synced already`);
  }
}

/** The profile holds secrets. Under its usual name it is never synced; under another one it must be elsewhere. */
async function checkProfile(local: string, home: string): Promise<void> {
  const profile = await realpath(home).catch(asLocal(`cannot use ${home}`));
  if (pathWithin(profile, local) !== null) throw new AppError('request_invalid', `${local} is inside of your profile, ${home}`);
  const within = pathWithin(local, profile);
  if (within === null || within.split('/').includes(PRIVATE_FOLDER)) return;
  throw new AppError('request_invalid', `${local} holds ${home}, your profile with its secrets, which must not be synced`);
}
