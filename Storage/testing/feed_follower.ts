import assert from 'node:assert/strict';
import { AppError } from '../../Models/errors.ts';
import type { FeedNode } from '../../Models/tree_frames.ts';
import type { Metadata, Principal } from '../metadata.ts';

/** What a client knows of a folder that it follows by the feed alone. */
export type Follower = {
  /** Asks for what is new. @returns the nodes that were told of, unlisted folders not counted in; null if the folder is not there */
  pull(): Promise<{ present: FeedNode[]; gone: number[] } | null>;
  /** Everything below the folder, by path. */
  lines(): string[];
  /** Pulls; then what is known must be what somebody sees who lists it all now. */
  check(): Promise<void>;
};

type Answer = { parts: number; present: FeedNode[]; gone: number[]; cursor: string; rootId: number };

async function ask(store: Metadata, who: Principal, root: string, cursor: string | null): Promise<Answer> {
  const present: FeedNode[] = [];
  const gone: number[] = [];
  let parts = 0;
  let end: { cursor: string; rootId: number } | null = null;
  for await (const part of store.feed(who, { root, cursor })) {
    assert.equal(end, null, 'something came behind the end');
    if ('cursor' in part) end = part;
    else {
      parts += 1;
      present.push(...part.present);
      gone.push(...part.gone.filter((id) => !part.present.some((node) => node.nodeId === id)));
      assert.equal(new Set([...part.present.map((node) => node.nodeId), ...part.gone]).size, part.present.length + part.gone.length);
      for (const id of part.gone) {
        const at = present.findIndex((node) => node.nodeId === id);
        if (at !== -1) present.splice(at, 1); // the last time counts
      }
    }
  }
  assert.ok(end);
  return { parts, present, gone, ...end };
}

export function openFollower(store: Metadata, who: Principal, root: string): Follower {
  const nodes = new Map<number, FeedNode>();
  let cursor: string | null = null;
  let rootId = 0;

  function below(id: number): Set<number> {
    const found = new Set([id]);
    for (let grown = true; grown; ) {
      grown = false;
      for (const node of nodes.values()) {
        if (found.has(node.nodeId) || node.nodeId === rootId || !found.has(node.parentId)) continue;
        found.add(node.nodeId);
        grown = true;
      }
    }
    return found;
  }

  async function list(folder: string): Promise<Answer> {
    const answer = await ask(store, who, folder, null);
    assert.deepEqual(answer.gone, []);
    const told = new Set<number>();
    for (const node of answer.present) {
      assert.ok(told.size === 0 ? node.nodeId === answer.rootId : told.has(node.parentId), `${node.name} came before its folder`);
      assert.equal(node.unlisted, false);
      told.add(node.nodeId);
      nodes.set(node.nodeId, node);
    }
    return answer;
  }

  function forgetLost(kept: ReadonlySet<number>): void {
    for (const id of nodes.keys()) if (!kept.has(id)) nodes.delete(id);
  }

  async function pull(): ReturnType<Follower['pull']> {
    if (cursor === null) {
      const first = await list(root);
      ({ cursor, rootId } = first);
      return first;
    }
    const news: Answer = await ask(store, who, `@${rootId}`, cursor);
    assert.equal(news.rootId, rootId);
    for (const node of news.present) nodes.set(node.nodeId, node);
    for (const id of news.gone) nodes.delete(id);
    const reached = below(rootId);
    const complete = news.parts === 1 && !news.present.some((node) => node.unlisted);
    if (complete) for (const { nodeId, name } of news.present) assert.ok(reached.has(nodeId), `${name} hangs in the air`);
    forgetLost(reached); // before anything is listed: what was in what is gone may be there again, otherwise
    const unlisted = news.present.filter((node) => node.unlisted);
    for (const { nodeId } of unlisted) for (const id of below(nodeId)) if (nodes.get(id)?.unlisted !== true) nodes.delete(id);
    for (const { nodeId } of unlisted) {
      if (nodes.get(nodeId)?.unlisted !== true) continue; // listed with one above it
      try {
        await list(`@${nodeId}`);
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'not_found') throw error; // it went again meanwhile
      }
    }
    forgetLost(below(rootId));
    cursor = news.cursor;
    return news;
  }

  function pathOf({ nodeId, parentId, name }: FeedNode): string {
    if (nodeId === rootId) return '';
    const parent = nodes.get(parentId);
    assert.ok(parent, `${name} is in a folder that was never told`);
    return `${pathOf(parent)}/${name}`;
  }

  function lines(): string[] {
    return Array.from(nodes.values(), (node) => {
      const { kind, mode, size, mtimeUs, version, digest, chunkCount, target } = node;
      const own = node.nodeId === rootId ? [] : [node.parentId];
      const content = digest === null ? null : Buffer.from(digest).toString('hex').slice(0, 8);
      return [pathOf(node) || '/', node.nodeId, ...own, kind, mode, size, mtimeUs, version, content, chunkCount, target].join(' ');
    }).sort();
  }

  async function follow(): ReturnType<Follower['pull']> {
    try {
      return await pull();
    } catch (error) {
      if (!(error instanceof AppError) || (error.code !== 'not_found' && error.code !== 'not_a_folder')) throw error;
      nodes.clear();
      cursor = null;
      return null;
    }
  }

  return {
    pull: follow,
    lines,
    async check() {
      if ((await follow()) === null) await follow(); // another one may have its path by now
      const fresh = openFollower(store, who, cursor === null ? root : `@${rootId}`);
      await fresh.pull();
      assert.deepEqual(lines(), fresh.lines());
    },
  };
}
