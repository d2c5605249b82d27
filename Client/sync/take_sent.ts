import { foldName } from '../../Models/names.ts';
import type { LocalNode, ServerNode, SyncIndex } from './index/sync_index.ts';

/**
 * What was sent and never answered, and turns out to be what the server has, is what both sides had: a person's change since then is based
 * on it and is no conflict with it.
 */
export function takeSent(index: SyncIndex): void {
  for (const sent of index.sent()) {
    const there = index.remote.get(sent.id);
    if (there !== undefined) {
      if (index.ancestor.get(sent.id)?.content === there.content) continue; // it has not arrived, or not yet
      if (isSame(sent, there)) index.settleBefore({ ...there, seen: sent.seen });
      index.endSent(sent.id);
    } else takeNew(index, sent);
  }
}

/** Without a local file nothing follows: what is not known to be here is not known to be deleted. */
function takeNew(index: SyncIndex, sent: LocalNode): void {
  if (index.local.get(sent.id) === undefined) {
    index.endSent(sent.id);
    return;
  }
  const found = index.remote
    .named(sent.parent, foldName(sent.name))
    .find(
      (one) =>
        one.name === sent.name && isSame(sent, one) && index.local.get(one.id) === undefined && index.ancestor.get(one.id) === undefined,
    );
  if (found === undefined) return;
  index.endSent(sent.id);
  index.adopt(found.id, sent.id);
  index.settleBefore({ ...found, seen: sent.seen });
}

function isSame(sent: LocalNode, there: ServerNode): boolean {
  return there.kind === 'file' && sent.content === there.content;
}
