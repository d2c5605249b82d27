import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { AppError, type ErrorCode } from '../../Models/errors.ts';
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
  /** What is listed by itself, by anchor. */
  readonly below = new Map<string, FeedPage>();
  readonly asked: string[] = [];
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
    await pullFeed(
      {
        index: this.index,
        remote: {
          changes: async (root, _cursor, onPage) => {
            this.asked.push(root);
            const failure = this.failures.shift();
            if (failure !== undefined && failure !== null) throw new AppError(failure, failure);
            const below = this.below.get(root);
            for (const page of below === undefined ? pages : [below]) onPage(page);
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
    fixture.below.set('@3', { present: [entry(3, 5, 'kept'), entry(4, 3, 'inside', 'file')], gone: [] });
    await fixture.pull({ present: [entry(3, 5, 'kept'), entry(6, ROOT_NODE, 'new')], gone: [] });
    assert.deepEqual(fixture.paths(), ['new', 'src', 'src/kept', 'src/kept/inside']);
    assert.deepEqual(fixture.asked, ['/root', '@1', '@3']);
  });

  test('it is listed the next time when that fails', async () => {
    const fixture = new Fixture('build/');
    await fixture.pull({ present: [entry(2, ROOT_NODE, 'build'), entry(3, 2, 'kept'), entry(4, 3, 'inside', 'file')], gone: [] });
    fixture.below.set('@3', { present: [entry(3, ROOT_NODE, 'kept'), entry(4, 3, 'inside', 'file')], gone: [] });
    const moved = { present: [entry(3, ROOT_NODE, 'kept')], gone: [] };
    fixture.failures = [null, 'server_unreachable'];
    await assert.rejects(fixture.pull(moved), { code: 'server_unreachable' });
    await fixture.pull(moved);
    assert.deepEqual(fixture.paths(), ['kept', 'kept/inside']);
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
