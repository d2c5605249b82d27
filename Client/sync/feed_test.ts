import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { AppError, type ErrorCode } from '../../Models/errors.ts';
import { type NodeId, ROOT } from './core/tree.ts';
import { portableNames } from './disk/portable_names.ts';
import { pullFeed } from './feed.ts';
import { openSyncIndex } from './index/sync_index.ts';
import type { FeedPage, RemoteNode } from './remote/remote.ts';
import { openIgnoreRules } from './scan/ignore_rules.ts';

const ROOT_NODE = 1;

function entry(nodeId: number, parentId: number, name: string, kind: RemoteNode['kind'] = 'folder'): RemoteNode {
  const digest = kind === 'file' ? Buffer.alloc(32, nodeId) : null;
  const rest = { size: 0, mtimeUs: 0, mode: 0o755, version: nodeId, chunkCount: 0, target: null, unlisted: false };
  return { nodeId, parentId, name, kind, digest, ...rest };
}

/** An index that is told pages, as if a server had sent them. */
class Fixture {
  readonly index = openSyncIndex(':memory:');
  /** What is listed by itself, by anchor. */
  readonly below = new Map<string, readonly FeedPage[]>();
  readonly asked: string[] = [];
  /** What is told of the whole when it is asked once more within one pull: each time one of these. */
  readonly meanwhile: FeedPage[] = [];
  /** What the next questions fail with; `null`: they do not. */
  failures: (ErrorCode | null)[] = [];
  root = ROOT_NODE;
  ignore: string | null;

  constructor(ignore: string | null = null) {
    this.ignore = ignore;
  }

  /** What the server has is here too. */
  agree(): void {
    const { index } = this;
    const seen = { ino: 1, birthMs: 1, size: 0, mtimeMs: 0, ctimeMs: 0, mode: 0o755, racy: false };
    for (const id of index.changed()) index.settle({ ...(index.remote.get(id) ?? assert.fail()), seen });
  }

  async pull(...pages: FeedPage[]): Promise<void> {
    let news: readonly FeedPage[] | null = pages;
    await pullFeed(
      {
        index: this.index,
        remote: {
          changes: async (root, _cursor, onPage) => {
            this.asked.push(root);
            const failure = this.failures.shift();
            if (failure !== undefined && failure !== null) throw new AppError(failure, failure);
            const below = this.below.get(root);
            for (const page of below ?? news ?? this.meanwhile.splice(0, 1)) onPage(page);
            if (below === undefined) news = null;
            return { cursor: 'next', rootId: this.root };
          },
        },
        rules: openIgnoreRules({ ignoreFile: this.ignore, excludes: [] }),
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
  fixture.agree();
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
  test('a folder that comes out of one that is left out here is listed: of what is in it nothing is told', async () => {
    const fixture = new Fixture('build/');
    const present = [entry(2, ROOT_NODE, 'build'), entry(3, 2, 'kept'), entry(4, 3, 'inside', 'file'), entry(5, ROOT_NODE, 'src')];
    await fixture.pull({ present, gone: [] });
    assert.deepEqual(fixture.paths(), ['src']);
    fixture.below.set('@3', [{ present: [entry(3, 5, 'kept'), entry(4, 3, 'inside', 'file')], gone: [] }]);
    await fixture.pull({ present: [entry(3, 5, 'kept'), entry(6, ROOT_NODE, 'new')], gone: [] });
    assert.deepEqual(fixture.paths(), ['new', 'src', 'src/kept', 'src/kept/inside']);
    assert.deepEqual(fixture.asked, ['/root', '@1', '@3']);
  });

  test('it is listed the next time when that fails', async () => {
    const fixture = new Fixture('build/');
    await fixture.pull({ present: [entry(2, ROOT_NODE, 'build'), entry(3, 2, 'kept'), entry(4, 3, 'inside', 'file')], gone: [] });
    fixture.below.set('@3', [{ present: [entry(3, ROOT_NODE, 'kept'), entry(4, 3, 'inside', 'file')], gone: [] }]);
    const moved = { present: [entry(3, ROOT_NODE, 'kept')], gone: [] };
    fixture.failures = [null, 'server_unreachable'];
    await assert.rejects(fixture.pull(moved), { code: 'server_unreachable' });
    await fixture.pull(moved);
    assert.deepEqual(fixture.paths(), ['kept', 'kept/inside']);
  });

  suite('a folder that is to be listed by itself', () => {
    const listed = { ...entry(3, ROOT_NODE, 'team'), unlisted: true };
    const news = { present: [listed], gone: [] };

    /** In sync, and then the shared folder is another one. @returns its id and that of a file in it */
    async function withShared(): Promise<{ fixture: Fixture; file: NodeId }> {
      const fixture = new Fixture();
      const inside = [entry(4, 3, 'kept', 'file'), entry(5, 3, 'f', 'file'), entry(6, 3, 'deep'), entry(7, 6, 'g', 'file')];
      await fixture.pull({ present: [entry(2, ROOT_NODE, 'other'), entry(3, ROOT_NODE, 'team'), ...inside], gone: [] });
      fixture.agree();
      return { fixture, file: fixture.index.byServerNode(5) ?? assert.fail() };
    }

    test('is what the listing says, on however many pages: what it does not tell is gone', async () => {
      const { fixture } = await withShared();
      fixture.below.set('@3', [
        { present: [entry(3, ROOT_NODE, 'team'), entry(4, 3, 'kept', 'file')], gone: [] },
        { present: [entry(8, 3, 'new', 'file')], gone: [] },
      ]);
      await fixture.pull(news);
      assert.deepEqual(fixture.paths(), ['other', 'team', 'team/kept', 'team/new']);
      assert.deepEqual(fixture.index.local.children(ROOT).length, 2);
    });

    test('what left it while it was listed is where it is, and not gone', async () => {
      const { fixture, file } = await withShared();
      fixture.below.set('@3', [{ present: [entry(3, ROOT_NODE, 'team'), entry(4, 3, 'kept', 'file')], gone: [] }]);
      fixture.below.set('@6', [{ present: [entry(6, 2, 'deep'), entry(7, 6, 'g', 'file')], gone: [] }]);
      fixture.meanwhile.push({ present: [entry(5, 2, 'f', 'file'), { ...entry(6, 2, 'deep'), unlisted: true }], gone: [] });
      await fixture.pull(news);
      assert.deepEqual(fixture.paths(), ['other', 'other/deep', 'other/deep/g', 'other/f', 'team', 'team/kept']);
      assert.equal(fixture.index.byServerNode(5), file);
      assert.ok(fixture.index.ancestor.get(file));
    });

    test('what went from one of two to the other is there, whichever is listed first', async () => {
      for (const [one, two] of [
        [3, 9],
        [9, 3],
      ] as const) {
        const { fixture, file } = await withShared();
        const team = [entry(3, ROOT_NODE, 'team'), entry(4, 3, 'kept', 'file')];
        const second = entry(9, ROOT_NODE, 'second');
        fixture.below.set('@3', [{ present: team, gone: [] }]);
        fixture.below.set('@9', [{ present: [second, entry(5, 9, 'f', 'file')], gone: [] }]);
        const told = new Map([listed, { ...second, unlisted: true }].map((node) => [node.nodeId, node]));
        await fixture.pull({ present: [one, two].flatMap((id) => told.get(id) ?? []), gone: [] });
        assert.deepEqual(fixture.paths(), ['other', 'second', 'second/f', 'team', 'team/kept']);
        assert.equal(fixture.index.byServerNode(5), file);
      }
    });

    test('nothing is gone before it is known what happened during the listing; it begins anew the next time', async () => {
      const { fixture } = await withShared();
      fixture.below.set('@3', [{ present: [entry(3, ROOT_NODE, 'team'), entry(4, 3, 'kept', 'file')], gone: [] }]);
      const before = fixture.paths();
      fixture.failures = [null, null, 'server_unreachable'];
      await assert.rejects(fixture.pull(news), { code: 'server_unreachable' });
      assert.deepEqual(fixture.paths(), before);
      await fixture.pull(news);
      assert.deepEqual(fixture.paths(), ['other', 'team', 'team/kept']);
    });

    test('is left as it is known when it went meanwhile; a server that never stops moving folders is not followed for ever', async () => {
      const { fixture } = await withShared();
      const before = fixture.paths();
      fixture.failures = [null, 'not_found'];
      await fixture.pull(news);
      assert.deepEqual(fixture.paths(), before);
      fixture.below.set('@3', [{ present: [entry(3, ROOT_NODE, 'team')], gone: [] }]);
      fixture.meanwhile.push(...Array.from({ length: 1000 }, () => news));
      await assert.rejects(fixture.pull(news), { code: 'busy' });
      assert.deepEqual(fixture.paths(), before);
    });
  });

  test('what moves while the whole is listed is where it is, and not gone', async () => {
    const fixture = new Fixture();
    const folders = [entry(2, ROOT_NODE, 'a'), entry(3, ROOT_NODE, 'b')];
    await fixture.pull({ present: [...folders, entry(4, 3, 'f', 'file'), entry(5, 3, 'g', 'file')], gone: [] });
    fixture.agree();
    const file = fixture.index.byServerNode(4);
    fixture.index.setSetting('cursor', null);
    fixture.meanwhile.push({ present: [entry(4, 2, 'f', 'file')], gone: [] });
    await fixture.pull({ present: folders, gone: [] });
    assert.deepEqual(fixture.paths(), ['a', 'a/f', 'b']);
    assert.equal(fixture.index.byServerNode(4), file);
  });

  test('of a server that was restored the folder is found by its path: its number may be that of another one', async () => {
    const fixture = await withFolderInFolder();
    fixture.failures = ['cursor_invalid', 'not_found', 'not_found'];
    await assert.rejects(fixture.pull(), { code: 'not_found' });
    assert.deepEqual(fixture.asked.splice(0), ['/root', '@1', '/root']);
    await assert.rejects(fixture.pull(), { code: 'not_found' }); // still
    fixture.failures = [];
    fixture.root = 7;
    await fixture.pull({ present: [entry(ROOT_NODE, 7, 'another')], gone: [] });
    await fixture.pull({ present: [entry(9, 7, 'new')], gone: [] });
    assert.deepEqual(fixture.asked, ['/root', '/root', '@7']);
    assert.deepEqual(fixture.paths(), ['another', 'new']);
  });

  test('a folder that was only looked at, without one on the server, is found by its path', async () => {
    const fixture = new Fixture();
    fixture.index.setRoot(0); // and then the process was killed
    await fixture.pull({ present: [entry(2, ROOT_NODE, 'a')], gone: [] });
    assert.deepEqual([fixture.asked, fixture.paths()], [['/root'], ['a']]);
  });

  test('what was renamed to a name that is left out here is gone from here, and not new under its old name', async () => {
    const fixture = new Fixture('build/');
    await fixture.pull({ present: [entry(2, ROOT_NODE, 'src'), entry(3, 2, 'f', 'file'), entry(4, 2, 'moved', 'file')], gone: [] });
    fixture.agree();
    await fixture.pull({ present: [entry(2, ROOT_NODE, 'build'), entry(4, ROOT_NODE, 'moved', 'file')], gone: [] });
    assert.deepEqual(fixture.paths(), ['moved']);
    assert.deepEqual(
      fixture.index.local.children(ROOT).map(({ name }) => name),
      ['src'],
    );
    assert.equal(fixture.index.changed().length, 3);
  });

  test('what is left out by rules that are new stays where it is, and is known no more', async () => {
    const fixture = new Fixture('build/');
    await fixture.pull({ present: [entry(2, ROOT_NODE, 'src'), entry(3, 2, 'f', 'file')], gone: [] });
    fixture.agree();
    fixture.ignore = 'src/';
    fixture.index.setSetting('cursor', null);
    await fixture.pull({ present: [entry(2, ROOT_NODE, 'src'), entry(3, 2, 'f', 'file')], gone: [] });
    assert.deepEqual([fixture.paths(), fixture.index.local.children(ROOT), fixture.index.changed()], [[], [], []]);
  });
});
