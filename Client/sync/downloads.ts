import type { NodeId } from './core/tree.ts';
import type { DiskFile, DiskStat } from './disk/disk.ts';
import { contentIs } from './disk/hash_local.ts';
import { asidePath, giveUp, type PlaceIntent } from './disk/local_tree.ts';
import { isOfDisk } from './disk/local_tree_states.ts';
import type { LocalNode, ServerNode } from './index/sync_index.ts';
import type { FetchItem, FetchOutcome } from './remote/remote.ts';
import { expectedOf, type WorkScope } from './work_scope.ts';

/** A leaf that comes from the server: new at a place, or in the place of an older version. */
export type Download =
  | { readonly type: 'put'; readonly id: NodeId; readonly parent: NodeId; readonly name: string }
  | { readonly type: 'replace'; readonly id: NodeId };

const GROUP_FILES = 2048;
const GROUP_BYTES = 64 << 20;
const LOOKED_FOR_BYTES_MIN = 64 << 10; // to look in the whole index costs as much as to fetch a shorter file among many

const CHANGED_THERE: ReadonlySet<string> = new Set(['version_stale', 'not_found']);
const DAMAGED: ReadonlySet<string> = new Set(['digest_mismatch', 'chunk_missing', 'corrupt']);

type Wanted = {
  readonly id: NodeId;
  readonly parent: NodeId;
  readonly name: string;
  readonly path: string;
  readonly source: ServerNode;
  readonly before: LocalNode | undefined;
  readonly intent: PlaceIntent;
  readonly fetched: number; // bytes of its content that come from the server, at most
};

/** Fetches in groups of bounded size; what came of a group is placed also when the rest of it did not come. */
export async function download(scope: WorkScope, downloads: readonly Download[]): Promise<void> {
  const { index } = scope.deps;
  let group: Download[] = [];
  let bytes = 0;
  for (const one of downloads) {
    group.push(one);
    bytes += index.remote.get(one.id)?.size ?? 0;
    if (group.length < GROUP_FILES && bytes < GROUP_BYTES) continue;
    await downloadGroup(scope, group);
    if (scope.diskFull) return;
    group = [];
    bytes = 0;
  }
  if (group.length > 0) await downloadGroup(scope, group);
}

async function downloadGroup(scope: WorkScope, group: readonly Download[]): Promise<void> {
  const { index, remote, tree, underWay } = scope.deps;
  const wanted = new Map<number, Wanted>();
  index.observe(() => {
    for (const one of group) {
      const found = want(scope, one);
      if (found !== null) wanted.set(found.intent.id, found);
    }
  });
  const staged: Wanted[] = [];
  const items: FetchItem[] = [];
  const onDone = (key: number, outcome: FetchOutcome): void => {
    const one = wanted.get(key);
    if (one === undefined) return;
    if ('file' in outcome) stage(scope, staged, one, () => finish(scope, one, outcome.file));
    else {
      giveUp(tree, one.intent.id, null);
      fetchFailed(scope, one, outcome.failure);
    }
  };
  try {
    for (const one of wanted.values()) {
      if (one.source.kind === 'symlink')
        stage(scope, staged, one, () => tree.stageSymlink(one.intent.id, one.source.content ?? '', one.source.mtimeUs));
      else {
        const copy = await copyOf(scope, one);
        if (copy === null) items.push(fetchItem(scope, one));
        else stage(scope, staged, { ...one, fetched: 0 }, () => finish(scope, one, copy));
      }
    }
    for (const { id } of wanted.values()) underWay.set(id, 'fetching');
    if (items.length > 0) await remote.fetch(items, onDone);
  } finally {
    for (const { id } of wanted.values()) underWay.delete(id);
    await placeAll(scope, staged);
  }
}

/** What is not there any more has changed since the feed was read; damage is the server's; the rest is this disk's. */
function fetchFailed(scope: WorkScope, { id, path }: Wanted, failure: { readonly code: string; readonly message: string }): void {
  if (CHANGED_THERE.has(failure.code)) scope.stale = true;
  else if (DAMAGED.has(failure.code)) scope.deps.onProblem(id, path, 'remote_error', failure.message);
  else scope.failed(id, path, failure);
}

function stage(scope: WorkScope, staged: Wanted[], one: Wanted, work: () => void): void {
  try {
    work();
    staged.push(one);
  } catch (error) {
    giveUp(scope.deps.tree, one.intent.id, null);
    scope.failed(one.id, one.path, error);
  }
}

function finish(scope: WorkScope, { intent, source }: Wanted, file: DiskFile): void {
  scope.deps.tree.finish(intent.id, file, { mode: source.mode, mtimeUs: source.mtimeUs });
}

function want(scope: WorkScope, one: Download): Wanted | null {
  const { index, now } = scope.deps;
  const source = index.remote.get(one.id);
  const before = one.type === 'replace' ? index.local.get(one.id) : undefined;
  const place = one.type === 'put' ? one : before;
  if (source === undefined || place === undefined) return null;
  const { parent, name } = place;
  const path = scope.childPath(one.id, parent, name);
  if (path === null) return null;
  const id = index.newId();
  const expected = before === undefined ? null : expectedOf(before);
  const intent: PlaceIntent = { kind: 'place', id, path, expected, aside: asidePath(id, path, now()), of: { node: one.id, parent, name } };
  return { id: one.id, parent, name, path, source, before, intent, fetched: source.size };
}

/** Its content, from where this disk has it already, under another name or in the trash of just now. @returns `null`: nowhere that can be read */
async function copyOf(scope: WorkScope, { intent, source }: Wanted): Promise<DiskFile | null> {
  const { disk, tree, index, hash } = scope.deps;
  if (source.content === null || source.size === 0) return null;
  const known = source.size < LOOKED_FOR_BYTES_MIN ? [] : index.withContent(source.content);
  const alike = known.filter((id) => index.local.get(id)?.content === source.content);
  for (const path of [...alike.map((id) => scope.path(id)), scope.trashed.get(source.content) ?? null]) {
    if (path === null) continue;
    let file: DiskFile | null = null;
    try {
      file = tree.stage(intent.id, source.mode);
      if ((await hash(() => disk.open(path), file))?.content === source.content) return file;
    } catch (error) {
      if (!isOfDisk(error)) throw error; // the disk's: where that is no accident, the fetch says so
    }
    giveUp(tree, intent.id, file);
  }
  return null;
}

function fetchItem(scope: WorkScope, { intent, source, before, path }: Wanted): FetchItem {
  const { disk, tree, index } = scope.deps;
  const agreed = before === undefined ? undefined : index.ancestor.get(before.id);
  const isOlderVersion = before !== undefined && agreed !== undefined && agreed.kind === 'file' && before.content === agreed.content;
  return {
    key: intent.id,
    node: {
      nodeId: source.node,
      version: source.version,
      size: source.size,
      chunkCount: source.chunkCount,
      digest: Buffer.from(source.content ?? '', 'hex'),
    },
    create: () => tree.stage(intent.id, source.mode),
    early: (chunks) => scope.deps.early.take(chunks, intent.id),
    previous: isOlderVersion ? { version: agreed.version, open: () => disk.open(path) } : null,
  };
}

/** Content durable, then intents, then the names, then what was reached. */
async function placeAll(scope: WorkScope, staged: readonly Wanted[]): Promise<void> {
  if (staged.length === 0) return;
  const { index, tree } = scope.deps;
  await tree.seal();
  index.transaction(() => index.addIntents(staged.map(({ intent }) => intent)));
  const reached: { one: Wanted; stat: () => DiskStat | null }[] = [];
  const ended: number[] = [];
  for (const one of staged) {
    const { before, parent, intent } = one;
    try {
      scope.keepTime(parent);
      const achieved = tree.place(intent, (file) => contentIs(file, before?.content ?? null));
      if (achieved.status === 'done') reached.push({ one, stat: () => achieved.stat });
      else scope.changed(one.path);
      ended.push(intent.id);
    } catch (error) {
      scope.unfinished = true;
      scope.failed(one.id, one.path, error);
    }
  }
  await tree.settle();
  index.transaction(() => {
    for (const { one, stat } of reached) record(scope, one, stat());
    index.endIntents(ended);
  });
}

function record(scope: WorkScope, { id, parent, name, source, before, path, fetched }: Wanted, stat: DiskStat | null): void {
  const { index } = scope.deps;
  if (stat === null) {
    scope.changed(path);
    return;
  }
  const seen = scope.seen(stat);
  if (source.parent === parent && source.name === name) index.settle({ ...source, seen });
  else index.setLocal(id, { ...source, id, parent, name, seen });
  scope.tell('down', before === undefined ? 'put' : 'replace', path, fetched);
}
