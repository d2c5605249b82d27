import { DatabaseSync } from 'node:sqlite';
import type { DiskFile, DiskStat } from '../../Client/sync/disk/disk.ts';
import type { Upload } from '../../Client/sync/remote/remote.ts';
import { type MemoryDisk, ProcessKilled } from '../../Client/sync/testing/memory_disk.ts';
import type { Metadata } from '../../Storage/metadata.ts';
import { generate } from './generate.ts';
import type { DiskFault, PassFault } from './history.ts';
import { matrixHistory } from './matrix.ts';
import { runHistory } from './run_history.ts';
import { runStory } from './scripted.ts';
import { openSimFolder, type SimFolder } from './sim_server.ts';
import type { Plants, Violation } from './world.ts';

/** A mistake, and where it is looked for first: in stories, at each call of a pass, and then in random histories. */
export type EngineMutant = {
  readonly name: string;
  readonly mistake: string;
  readonly plants: Plants;
  readonly tries: readonly Try[];
};
export type Try = (folder: SimFolder, plants: Plants) => Promise<Violation | null>;

const CALLS_MAX = 45;
const RANDOM_SEEDS = 200;
const WORLDS_PER_SERVER = 25;

const story =
  (name: string): Try =>
  (folder, plants) =>
    runStory(name, folder, plants);

/** One kind of trouble at each call of a pass. */
function atEachCall(scenario: string, name: DiskFault['name'], effects: readonly DiskFault['effect'][]): Try[] {
  const faults = Array.from({ length: CALLS_MAX }, (_, at) =>
    effects.map((effect): PassFault => ({ on: 'disk', nth: at + 1, name, effect })),
  ).flat();
  return faults.map(
    (fault): Try =>
      async (folder, plants) =>
        (await runHistory(matrixHistory(scenario, fault), folder, plants)).violation,
  );
}

const random = Array.from(
  { length: RANDOM_SEEDS },
  (_, seed): Try =>
    async (folder, plants) =>
      (await runHistory(generate(seed), folder, plants)).violation,
);
const powerCuts: DiskFault['effect'][] = Array.from({ length: 6 }, (_, seed) => ({ kind: 'power', seed }));
const edits = (path: string): DiskFault['effect'][] => [
  { kind: 'user', device: 1, action: { kind: 'save', path, content: { id: 91, size: 60 } } },
];

/** Everything of a disk, as it is where nothing else is said. */
function like(disk: MemoryDisk, other: Partial<MemoryDisk>): MemoryDisk {
  return Object.defineProperties({ ...disk }, { isDead: { get: () => disk.isDead }, ...Object.getOwnPropertyDescriptors(other) });
}

function orElse<T>(work: () => T, otherwise: T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ProcessKilled) throw error;
    return otherwise;
  }
}

function withStats(file: DiskFile, stat: () => DiskStat): DiskFile {
  return { ...file, stat };
}

function removeAll(disk: MemoryDisk, path: string): void {
  for (const name of disk.list(path).names) {
    const child = `${path}/${name}`;
    if (disk.stat(child)?.kind === 'folder') removeAll(disk, child);
    else disk.unlink(child);
  }
  disk.rmdir(path);
}

function copyAll(disk: MemoryDisk, from: string, to: string): void {
  disk.mkdir(to, 0o755);
  for (const name of disk.list(from).names) {
    const [source, target] = [`${from}/${name}`, `${to}/${name}`];
    if (disk.stat(source)?.kind === 'folder') copyAll(disk, source, target);
    else {
      const file = disk.open(source);
      const bytes = Buffer.alloc(file.stat().size);
      file.read(bytes, 0);
      file.close();
      const copy = disk.create(target, 0o644);
      copy.write(bytes, 0);
      copy.close();
    }
  }
}

export const ENGINE_MUTANTS: readonly EngineMutant[] = [
  {
    name: 'M1',
    mistake: 'what was done is recorded before the folder is durable',
    plants: { device: { disk: (disk) => like(disk, { syncFolder: () => undefined, syncAll: async () => undefined }) } },
    tries: [...atEachCall('a new file', 'stat', powerCuts), ...atEachCall('a changed file', null, powerCuts), ...random],
  },
  {
    name: 'M2',
    mistake: 'a folder that is not there any more is one in which all was deleted',
    plants: {
      device: { index: (index) => ({ ...index, setting: (name) => (name === 'root_identity' ? undefined : index.setting(name)) }) },
    },
    tries: [story('a folder that is not mounted is not one in which all was deleted')],
  },
  {
    name: 'M3',
    mistake: 'what cannot be read is not there',
    plants: {
      device: {
        disk: (disk) =>
          like(disk, {
            list: (path) => orElse(() => disk.list(path), { names: [], undecodable: [] }),
            stat: (path) => orElse(() => disk.stat(path), null),
          }),
      },
    },
    tries: [story('a folder that cannot be read is not an empty one'), ...random],
  },
  {
    name: 'M4',
    mistake: 'a name in other letters is another file, and the old one was deleted',
    plants: { device: { index: (index) => ({ ...index, byIdentity: () => [] }) } },
    tries: [story('a name in other letters is the same node')],
  },
  {
    name: 'M5',
    mistake: 'look whether the name is free, then rename',
    plants: {
      device: {
        disk: (disk) =>
          like(disk, {
            link(from, to) {
              if (disk.stat(to) !== null) throw Object.assign(new Error('EEXIST'), { code: 'EEXIST', syscall: 'link' });
              disk.rename(from, to);
            },
          }),
      },
    },
    tries: [...atEachCall('a changed file', null, edits('f')), ...random],
  },
  {
    name: 'M6',
    mistake: 'only size and modification time tell that a file changed',
    plants: {
      device: {
        disk: (disk) =>
          like(disk, {
            stat(path) {
              const stat = disk.stat(path);
              return stat === null ? null : { ...stat, ctimeMs: stat.mtimeMs };
            },
          }),
      },
    },
    tries: [story('a change that looks like none is found'), ...random],
  },
  {
    name: 'M7',
    mistake: 'an old copy of the index goes on as if nothing had been',
    plants: { device: { claimState: async () => true } },
    tries: [story('an old copy of the index is noticed')],
  },
  {
    name: 'M9',
    mistake: 'operations that are sent again have no number by which they are known',
    plants: {
      device: {
        http: (http) => ({ ...http, stream: (method, route, options) => http.stream(method, route, { ...options, query: undefined }) }),
      },
    },
    tries: [story('what was done is known to be done although the answer was lost')],
  },
  {
    name: 'M10',
    mistake: 'nobody looks whether a file changed while it was read',
    plants: {
      device: {
        disk: (disk) =>
          like(disk, {
            open(path) {
              const file = disk.open(path);
              const stat = file.stat();
              return withStats(file, () => stat);
            },
          }),
      },
    },
    tries: [
      ...atEachCall('a long file here', null, [
        { kind: 'user', device: 1, action: { kind: 'write', path: 'f', content: { id: 92, size: 20_000 } } },
      ]),
      ...random,
    ],
  },
  {
    name: 'M13',
    mistake: 'a folder is deleted with whatever is in it',
    plants: { device: { disk: (disk) => like(disk, { rmdir: (path) => removeAll(disk, path) }) } },
    tries: [
      ...atEachCall('a deleted folder', null, [
        { kind: 'user', device: 1, action: { kind: 'write', path: 'a/mine', content: { id: 93, size: 60 } } },
      ]),
      ...random,
    ],
  },
  {
    name: 'M14',
    mistake: 'what is ignored was deleted',
    plants: { device: { index: (index) => ({ ...index, exclude: (id) => index.setLocalGone(id) }) } },
    tries: [story('what is ignored from now on stays where it is')],
  },
  {
    name: 'M15',
    mistake: 'names that are not UTF-8 are passed over',
    plants: { device: { disk: (disk) => like(disk, { list: (path) => ({ ...disk.list(path), undecodable: [] }) }) } },
    tries: [story('a name that is not UTF-8 is told of')],
  },
  {
    name: 'M16',
    mistake: 'only what the watcher told of is looked at',
    plants: {
      device: { engine: (engine) => ({ ...engine, pass: (options) => engine.pass({ ...options, folders: options?.folders ?? [] }) }) },
    },
    tries: [story('what nobody was told of is found by looking at everything')],
  },
  {
    name: 'never looks',
    mistake: 'what a watcher has lost is never looked for',
    plants: {
      device: {
        live: (deps) => ({ ...deps, engine: { pass: (options) => deps.engine.pass({ ...options, folders: options?.folders ?? [] }) } }),
      },
    },
    tries: [story('a watcher that loses everything, and a server that tells nothing'), ...random],
  },
  {
    name: 'unnoted',
    mistake: 'what is being sent is not noted before it goes out',
    plants: { device: { index: (index) => ({ ...index, noteSent: () => undefined }) } },
    tries: [story('what was sent without an answer is no conflict with what a person wrote since'), ...random],
  },
  {
    name: 'unfinished',
    mistake: 'what was begun when the process died is not finished',
    plants: { device: { index: (index) => ({ ...index, intents: () => [] }) } },
    tries: [story('what was fetched just before the process died is not taken for what a person did'), ...random],
  },
  {
    name: 'undurable',
    mistake: 'what is about to be done is not durable before it is done',
    plants: { device: { index: (index) => ({ ...index, transaction: (work) => index.observe(work) }) } },
    tries: [...atEachCall('a file changed on both', null, powerCuts)],
  },
  {
    name: 'gap',
    mistake: 'the server leaves out numbers of its journal',
    plants: {
      server: (metadata, file) => ({ ...boundTo(metadata), commit: afterCommit(metadata, file, 'UPDATE spaces SET head = head + 1') }),
    },
    tries: [story('a name in other letters is the same node')],
  },
  {
    name: 'lost chunk',
    mistake: 'the server forgets a chunk that a file still has',
    plants: {
      server: (metadata, file) => ({
        ...boundTo(metadata),
        commit: afterCommit(metadata, file, 'DELETE FROM chunks WHERE digest = (SELECT min(digest) FROM chunks)'),
      }),
    },
    tries: [story('a name in other letters is the same node')],
  },
  {
    name: 'lost rows',
    mistake: 'the server answers before what it did is durable, and loses it',
    plants: {
      server: (metadata, file) => ({
        ...boundTo(metadata),
        commit: afterCommit(metadata, file, 'DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)'),
      }),
    },
    tries: [story('a name in other letters is the same node')],
  },
  {
    name: 'stale base',
    mistake: 'the server takes a change that is based on an older version',
    plants: { server: (metadata) => ({ ...boundTo(metadata), commit: commitOnAnything(metadata) }) },
    tries: [story('two people change a file in the same moment'), ...random],
  },
  {
    name: 'M17',
    mistake: 'a folder is moved by copying it and deleting the old one',
    plants: {
      device: {
        disk: (disk) =>
          like(disk, {
            rename(from, to) {
              if (disk.stat(from)?.kind !== 'folder') return disk.rename(from, to);
              copyAll(disk, from, to);
              return removeAll(disk, from);
            },
          }),
      },
    },
    tries: [story('a folder that is moved while the process dies is in one place')],
  },
  {
    name: 'M18',
    mistake: 'the server takes what has no folder to be in',
    plants: { server: (metadata) => ({ ...boundTo(metadata), commit: commitWithoutParents(metadata) }) },
    tries: [story('what is put into a folder that is deleted at this moment comes to everybody'), ...random],
  },
  {
    name: 'M20',
    mistake: 'the server believes to have whatever it is asked for',
    plants: { server: (metadata) => ({ ...boundTo(metadata), have: async (_, digests) => digests.map(() => true) }) },
    tries: [story('content of which the server only believes to have it is sent')],
  },
  {
    name: 'M24',
    mistake: 'what was sent is recorded with the state that the file has by then',
    plants: {
      device: {
        remote: (remote) => ({
          ...remote,
          push(items, onDone, cursor) {
            const uploads = new Map<number, Upload>();
            const noted = [...items].map((item) => {
              if ('upload' in item) uploads.set(item.key, item.upload);
              return item;
            });
            const told: typeof onDone = (key, outcome) => {
              const upload = uploads.get(key);
              onDone(
                key,
                upload === undefined || outcome.snapshot === null
                  ? outcome
                  : { ...outcome, snapshot: { ...outcome.snapshot, stat: statNow(upload) } },
              );
            };
            return remote.push(noted, told, cursor);
          },
        }),
      },
    },
    tries: [
      ...[1, 2, 3, 4, 5].map(
        (nth): Try =>
          async (folder, plants) => {
            const effect = { kind: 'user', device: 1, action: { kind: 'write', path: 'f', content: { id: 94, size: 60 } } } as const;
            const history = matrixHistory('changes here', { on: 'net', nth, when: 'after', effect });
            // so slowly that the state is not recorded as one that proves nothing
            return (await runHistory({ ...history, tickMs: 20 }, folder, plants)).violation;
          },
      ),
      ...random,
    ],
  },
];

function statNow(upload: Upload): DiskStat {
  const file = upload.open();
  try {
    return file.stat();
  } finally {
    file.close();
  }
}

/** Its methods may need it as their `this`. */
export function boundTo(metadata: Metadata): Metadata {
  return new Proxy(metadata, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function commitWithoutParents(metadata: Metadata): Metadata['commit'] {
  return async (...request) => {
    const results = await metadata.commit(...request);
    return results.map((result) =>
      result.status === 'refused' && result.code === 'not_found' ? { status: 'done', nodeId: 1_000_000_000, version: 1 } : result,
    );
  };
}

/** Something happens to the rows behind the server's back. */
function afterCommit(metadata: Metadata, file: string, sql: string): Metadata['commit'] {
  return async (...request) => {
    const results = await metadata.commit(...request);
    const database = new DatabaseSync(file);
    if (results.some(({ status }) => status === 'done')) database.exec(sql);
    database.close();
    return results;
  };
}

function commitOnAnything(metadata: Metadata): Metadata['commit'] {
  return async (principal, stream, chunks, operations) =>
    metadata.commit(
      principal,
      stream,
      chunks,
      operations.map((operation) =>
        'base' in operation && typeof operation.base === 'number' ? { ...operation, base: 'any' } : operation,
      ),
    );
}

/** @returns what one try of a mutant found, `null`: nothing */
export function mutantRun({ plants, tries }: EngineMutant): (seed: number) => Promise<{ labels: string[]; failure: string | null }> {
  let folder: Promise<SimFolder> | null = null;
  return async (seed) => {
    folder ??= openSimFolder(WORLDS_PER_SERVER);
    const violation = (await tries[seed]?.(await folder, plants)) ?? null;
    if (violation !== null || seed === tries.length - 1) {
      await (await folder).close();
      folder = null;
    }
    return { labels: [], failure: violation?.message ?? null };
  };
}
