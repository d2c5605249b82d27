import { AppError } from '../../Models/errors.ts';
import { type NodeId, ROOT } from './core/tree.ts';
import { inFolder } from './disk/disk_paths.ts';
import type { ServerNode, SyncIndex } from './index/sync_index.ts';
import type { FeedPage, Remote, RemoteNode } from './remote/remote.ts';
import type { IgnoreRules } from './scan/ignore_rules.ts';
import { leftOutAt } from './scan/left_out_places.ts';
import type { NameForms } from './scan/scan.ts';

/** A server that says more often than this that folders moved meanwhile cannot be followed now. */
const ROUNDS_MAX = 10;

export type FeedDeps = {
  readonly index: SyncIndex;
  readonly remote: Pick<Remote, 'changes'>;
  readonly rules: Pick<IgnoreRules, 'match' | 'arePlaces' | 'standing'>;
  readonly names: NameForms;
};

/** `healed`: the server is not the one it was (restored, or set back): from now on nothing counts as agreed, and nothing is deleted on either side. */
export type FeedResult = 'pulled' | 'healed';

/**
 * Brings the remote tree of the index up to date.
 * @param path of the synced remote folder; once it is known it is followed wherever it goes
 * @throws AppError `not_found` (there is no such folder) and what the connection throws; the index is then as complete as before, or more
 */
export async function pullFeed(deps: FeedDeps, path: string): Promise<FeedResult> {
  const { index } = deps;
  const node = knownRoot(index);
  const root = node === null ? path : `@${node}`;
  const cursor = index.setting('cursor') ?? null;
  try {
    await bringUp(deps, root, cursor);
    return 'pulled';
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'cursor_invalid') throw error;
    index.transaction(() => {
      index.forgetAgreement();
      index.setSetting('cursor', null);
      index.setSetting('root_doubted', '1');
    });
    await bringUp(deps, path, null);
    return 'healed';
  }
}

/** `null`: not known, or only from before the server was restored. It may have given its number to another folder since. */
function knownRoot(index: SyncIndex): number | null {
  if (index.setting('root_doubted') !== undefined) return null;
  return index.ancestor.get(ROOT)?.node || null; // 0: it is only looked at what would be done
}

/**
 * A listing replaces what was known below its folder. What it does not tell may have moved while it was made, so nothing is gone before the changes
 * from then on were followed; that may name folders to be listed too. The cursor is recorded last: until then all of it is begun anew the next time.
 */
async function bringUp(deps: FeedDeps, asked: string, since: string | null): Promise<void> {
  const { index } = deps;
  const replaced = new Set<number>(); // nodes of folders that were listed
  let cursor = since ?? (await listWhole(deps, asked));
  const root = since === null ? `@${knownRoot(index)}` : asked;
  if (since === null) replaced.add(knownRoot(index) ?? 0);
  const untold = (): NodeId[] => [...replaced].flatMap((node) => index.untold(index.byServerNode(node)));

  for (let round = 0, isOpen = since !== null || untold().length > 0; isOpen; round += 1) {
    if (round === ROUNDS_MAX) throw new AppError('busy', 'folders on the server are moved faster than they can be listed');
    const view = openView(deps, { isWhole: false, isListing: replaced.size > 0 });
    const end = await deps.remote.changes(root, cursor, (page) => index.observe(() => view.apply(page)));
    index.observe(() => view.finish());
    cursor = end.cursor;
    const unlisted = view.unlisted();
    if (replaced.size === 0 && unlisted.length > 0) index.observe(() => index.beginListing());
    for (const node of unlisted) if (await listSubtree(deps, node)) replaced.add(node);
    isOpen = unlisted.length > 0 && untold().length > 0;
  }
  index.observe(() => {
    for (const id of untold()) index.setRemoteGone(id);
    if (replaced.size > 0) index.endListing();
    if (since === null) index.setSetting('left_out_known', '1');
    index.setSetting('cursor', cursor);
  });
}

/** @returns the cursor from which on it is known */
async function listWhole(deps: FeedDeps, root: string): Promise<string> {
  const { index } = deps;
  const pages: FeedPage[] = [];
  let view = openView(deps, { isWhole: true, isListing: true });
  index.observe(() => {
    index.beginListing();
    index.takeAllIn();
  });
  const end = await deps.remote.changes(root, null, (page) => {
    // until the root is known no parent is
    if (knownRoot(index) === null) pages.push(page);
    else index.observe(() => view.apply(page));
  });
  const setRoot = (): void => {
    index.setRoot(end.rootId);
    index.setSetting('root_doubted', null);
  };
  if (pages.length > 0) {
    index.observe(setRoot);
    view = openView(deps, { isWhole: true, isListing: true });
    for (const page of pages) index.observe(() => view.apply(page));
  }
  index.observe(() => {
    setRoot();
    view.finish();
  });
  return end.cursor;
}

/** What is in a folder that came from elsewhere. @returns false: it is gone again, a later feed says so */
async function listSubtree(deps: FeedDeps, node: number): Promise<boolean> {
  const { index, remote } = deps;
  const view = openView(deps, { isWhole: false, isListing: true });
  let isThere = true;
  try {
    await remote.changes(`@${node}`, null, (page) => index.observe(() => view.apply(page)));
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
    isThere = false;
  }
  index.observe(() => view.finish());
  return isThere;
}

type View = {
  apply(page: FeedPage): void;
  finish(): void;
  /** Folders of which this feed does not tell what is in them. */
  unlisted(): number[];
};

/**
 * Takes pages into the index; a node may come before its parent does.
 * @param isListing all that is told is noted: what was known below a folder that is listed, and is not told, will be gone
 */
function openView({ index, rules, names }: FeedDeps, { isWhole, isListing }: { isWhole: boolean; isListing: boolean }): View {
  const waiting = new Map<number, RemoteNode>(); // their parent is not known yet
  const removed = new Set<number>(); // taken away last, with what is still in them: what was moved out of them is told as well
  const unlisted = new Set<number>();
  const leftOut = new Set<number>(); // by this answer
  const rootNode = index.ancestor.get(ROOT)?.node;
  // the highest number of a node told so far: a folder with a lower one that is not known was left out here until now
  const before = Number(index.setting('newest_node') ?? Number.POSITIVE_INFINITY);
  let newest = isWhole || before === Number.POSITIVE_INFINITY ? 0 : before;

  const paths = new Map<NodeId, string | null>(); // of folders, until one changes

  /** From the root, with the names of this disk; `null`: not below the root. */
  function pathOf(id: NodeId): string | null {
    if (id === ROOT) return '';
    const known = paths.get(id);
    if (known !== undefined) return known;
    paths.set(id, null); // a circle leads nowhere
    const node = index.remote.get(id);
    const folder = node === undefined ? null : pathOf(node.parent);
    const path = node === undefined || folder === null ? null : inFolder(folder, names.toLocal(node.name) ?? node.name);
    paths.set(id, path);
    return path;
  }

  let above: { readonly node: number; readonly id: NodeId } | null = null; // the folder of the last one: most come side by side

  function parentOf(node: number): NodeId | undefined {
    if (above?.node === node) return above.id;
    const id = index.byServerNode(node);
    above = id === undefined ? null : { node, id };
    return id;
  }

  /** By rules that are new it stays here, and is known no more; moved to where the rules have been leaving out, it is gone from here. */
  function leaveOut(node: RemoteNode, id: NodeId | undefined): void {
    index.leaveOut(node.nodeId);
    leftOut.add(node.nodeId);
    if (id === undefined) return;
    above = null;
    const before = pathOf(id);
    if (before !== null && rules.match(before, node.kind) === null) removed.add(node.nodeId);
    else index.exclude(id);
  }

  /** @returns false if the parent is not known */
  function take(node: RemoteNode): boolean {
    if (node.nodeId === rootNode) {
      if (node.unlisted) unlisted.add(node.nodeId);
      return true;
    }
    const parent = parentOf(node.parentId);
    const folder = parent === undefined ? null : pathOf(parent);
    if (parent === undefined || folder === null) return false;
    const known = index.byServerNode(node.nodeId);
    const path = inFolder(folder, names.toLocal(node.name) ?? node.name);
    if (leftOutAt({ index, rules, names }, { folder: parent, name: node.name, path, kind: node.kind }) !== null) {
      leaveOut(node, known);
      return true;
    }
    if (leftOut.delete(node.nodeId) || !isWhole) index.takeIn(node.nodeId);
    const id = known ?? index.newId();
    if (node.kind === 'folder') paths.clear();
    index.setRemote(id, serverNode(id, parent, node));
    if (node.unlisted || (node.kind === 'folder' && node.nodeId <= before && !isAgreed(known))) unlisted.add(node.nodeId);
    return true;
  }

  function isAgreed(id: NodeId | undefined): boolean {
    return id !== undefined && index.ancestor.get(id) !== undefined;
  }

  function takeAway(node: number): void {
    const id = index.byServerNode(node);
    if (id === undefined || id === ROOT) return;
    paths.clear();
    above = null;
    index.setRemoteGone(id);
  }

  return {
    apply({ present, gone }) {
      for (const node of gone) {
        waiting.delete(node);
        removed.add(node);
      }
      for (const node of present) {
        waiting.delete(node.nodeId);
        removed.delete(node.nodeId);
        newest = Math.max(newest, node.nodeId);
        if (isListing) index.listed(node.nodeId);
        if (!take(node)) waiting.set(node.nodeId, node);
      }
    },
    finish() {
      for (let taken = true; taken; ) {
        taken = false;
        for (const [id, node] of waiting) {
          if (!take(node)) continue;
          waiting.delete(id);
          taken = true;
        }
      }
      for (const node of [...removed, ...waiting.keys()]) takeAway(node); // what still waits is outside the synced folder
      if (isWhole || before !== Number.POSITIVE_INFINITY) index.setSetting('newest_node', String(newest));
    },
    unlisted: () => [...unlisted],
  };
}

function serverNode(id: NodeId, parent: NodeId, node: RemoteNode): ServerNode {
  return {
    id,
    parent,
    name: node.name,
    kind: node.kind,
    content: node.kind === 'file' ? (node.digest?.toString('hex') ?? '') : (node.target ?? ''),
    mode: node.mode,
    mtimeUs: node.mtimeUs,
    node: node.nodeId,
    version: node.version,
    size: node.size,
    chunkCount: node.chunkCount,
  };
}
