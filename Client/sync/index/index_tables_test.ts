import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROOT } from '../core/tree.ts';
import type { LocalNode } from './index_nodes.ts';
import { openSyncIndex } from './sync_index.ts';

const SEEN = { ino: 7, birthMs: 1.5, size: 3, mtimeMs: 2.5, ctimeMs: 2.5, mode: 0o644, racy: false };
const file = (id: number, name: string): LocalNode => ({
  id,
  parent: ROOT,
  name,
  kind: 'file',
  content: 'ab',
  mode: 0o644,
  mtimeUs: 5,
  seen: SEEN,
});
const SERVER = { node: 9, version: 4, size: 3, chunkCount: 1 };

test('what a failed transaction did is not remembered either', () => {
  const index = openSyncIndex(':memory:');
  index.setRoot(1);
  const id = index.newId();
  index.setLocal(id, file(id, 'before'));
  const failing = (): void =>
    index.transaction(() => {
      index.settle({ ...file(id, 'after'), ...SERVER });
      throw new Error('taken back');
    });
  assert.throws(failing, /taken back/);
  assert.equal(index.local.get(id)?.name, 'before');
  assert.equal(index.ancestor.get(id), undefined);
  index.close();
});

test('a node is remembered as it is read again', () => {
  const index = openSyncIndex(':memory:');
  index.setRoot(1);
  const [here, both, gone] = [index.newId(), index.newId(), index.newId()];
  index.setLocal(here, { ...file(here, 'here'), ...SERVER });
  index.settle({ ...file(both, 'both'), ...SERVER });
  index.settle({ ...file(gone, 'gone'), ...SERVER, node: 10 });
  index.setLocal(gone, null);
  index.setLocal(both, { ...file(both, 'both'), seen: { ...SEEN, ctimeMs: 8, racy: true } });
  index.setRemote(both, { ...file(both, 'both'), ...SERVER, version: 5 });
  const all = (): unknown =>
    [ROOT, here, both, gone].map((id) => ({ local: index.local.get(id), remote: index.remote.get(id), agreed: index.ancestor.get(id) }));
  const remembered = all();
  index.rest();
  assert.deepEqual(all(), remembered);
  index.close();
});
