import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type NodeId, ROOT } from './core/tree.ts';
import { pullFeed } from './feed.ts';
import { openIgnoreRules } from './ignore_rules.ts';
import { portableNames } from './portable_names.ts';
import type { FeedPage, RemoteNode } from './remote.ts';
import { openSyncIndex } from './sync_index.ts';

const ROOT_NODE = 1;

function entry(nodeId: number, parentId: number, name: string, kind: RemoteNode['kind'] = 'folder'): RemoteNode {
  const digest = kind === 'file' ? Buffer.alloc(32, nodeId) : null;
  const rest = { size: 0, mtimeUs: 0, mode: 0o755, version: nodeId, chunkCount: 0, target: null, unlisted: false };
  return { nodeId, parentId, name, kind, digest, ...rest };
}

/** An index that is told pages, as if a server had sent them. */
class Fixture {
  readonly index = openSyncIndex(':memory:');
  #pages: readonly FeedPage[] = [];

  async pull(...pages: FeedPage[]): Promise<void> {
    this.#pages = pages;
    await pullFeed(
      {
        index: this.index,
        remote: {
          changes: async (_root, _cursor, onPage) => {
            for (const page of this.#pages) onPage(page);
            return { cursor: 'next', rootId: ROOT_NODE };
          },
        },
        rules: openIgnoreRules({ ignoreFile: null, excludes: [] }),
        names: portableNames({ anyName: true }),
      },
      '/root',
    );
  }

  /** Paths on the server, as far as they are known. */
  paths(folder: NodeId = ROOT, path = ''): string[] {
    return this.index.remote
      .children(folder)
      .flatMap(({ id, name }) => [`${path}${name}`, ...this.paths(id, `${path}${name}/`)])
      .sort();
  }
}

async function withFolderInFolder(): Promise<Fixture> {
  const fixture = new Fixture();
  const present = [entry(2, ROOT_NODE, 'old'), entry(3, 2, 'moved'), entry(4, 3, 'inside', 'file')];
  await fixture.pull({ present, gone: [] });
  assert.deepEqual(fixture.paths(), ['old', 'old/moved', 'old/moved/inside']);
  return fixture;
}

suite('the feed of the server', () => {
  test('a folder that was moved out of one that is gone keeps what is in it, of which nothing is told', async () => {
    const fixture = await withFolderInFolder();
    await fixture.pull({ present: [entry(5, ROOT_NODE, 'new'), entry(3, 5, 'moved')], gone: [2] });
    assert.deepEqual(fixture.paths(), ['new', 'new/moved', 'new/moved/inside']);
  });

  test('the same when it is told on a later page, and before the folder that it is in', async () => {
    const fixture = await withFolderInFolder();
    await fixture.pull(
      { present: [], gone: [2] },
      { present: [entry(3, 5, 'moved')], gone: [] },
      { present: [entry(5, ROOT_NODE, 'new')], gone: [] },
    );
    assert.deepEqual(fixture.paths(), ['new', 'new/moved', 'new/moved/inside']);
  });

  test('what is gone takes with it what is in it; the last word about a node counts', async () => {
    const fixture = await withFolderInFolder();
    await fixture.pull({ present: [entry(5, ROOT_NODE, 'new')], gone: [2] }, { present: [], gone: [5] });
    assert.deepEqual(fixture.paths(), []);
  });
});
