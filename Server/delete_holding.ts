import type { FastifyBaseLogger } from 'fastify';
import type { Operation, OperationResult } from '../Models/operations.ts';
import type { DeleteScope } from '../Storage/delete_scope.ts';
import type { Metadata, Principal } from '../Storage/metadata.ts';
import type { Notices } from '../Storage/notices.ts';
import { type Admitted, type DeleteFuse, type Held, isHeld } from './delete_fuse.ts';

type Deps = {
  readonly metadata: Pick<Metadata, 'commit' | 'recordChunks'>;
  readonly deleteScope: Pick<DeleteScope, 'taken'>;
  readonly fuse: Pick<DeleteFuse, 'admit'>;
  readonly notices: Pick<Notices, 'tell'>;
  readonly log: FastifyBaseLogger;
};
/** Null for what takes nothing away. */
type Decision = Admitted | Held | null;

/**
 * `Metadata.commit` behind the fuse: deletes, and moves out of a space, that it holds are refused as `deletes_held`, and the other
 * operations are done without them, in more than one transaction if need be. A batch that takes nothing away goes through as it is.
 */
export function holdingDeletes(deps: Deps): Metadata['commit'] {
  const { metadata } = deps;
  return async (principal, stream, chunks, operations) => {
    if (!operations.some(mayTakeAway)) return metadata.commit(principal, stream, chunks, operations);
    const results: OperationResult[] = [];
    let arrived = chunks; // they go with the first transaction
    for (const part of partsOf(operations)) {
      const decisions = await decide(deps, principal, part);
      for (let from = 0; from < part.length; ) {
        const held = heldAt(decisions, from);
        if (held !== null) {
          results.push(refusal(held));
          from += 1;
          continue;
        }
        const to = nextHeld(decisions, from);
        const position = { ...stream, firstOperation: stream.firstOperation + results.length };
        const run = metadata.commit(principal, position, arrived, part.slice(from, to));
        results.push(...(await settled(run, decisions.slice(from, to))));
        arrived = [];
        from = to;
      }
    }
    if (arrived.length > 0) await metadata.recordChunks(principal, arrived);
    return results;
  };
}

function mayTakeAway({ kind }: Operation): boolean {
  return kind === 'delete' || kind === 'move';
}

/** A delete behind a move or copy is looked at when those are done: they decide what its path means. */
function partsOf(operations: readonly Operation[]): Operation[][] {
  const parts: Operation[][] = [[]];
  let moved = false;
  for (const operation of operations) {
    if (operation.kind === 'delete' && moved) {
      parts.push([]);
      moved = false;
    }
    if (operation.kind === 'move' || operation.kind === 'copy') moved = true;
    parts.at(-1)?.push(operation);
  }
  return parts;
}

async function decide(deps: Deps, principal: Principal, part: readonly Operation[]): Promise<Decision[]> {
  const { deleteScope, fuse, log } = deps;
  if (!part.some(mayTakeAway)) return part.map(() => null);
  const decisions: Decision[] = [];
  for (const taken of await deleteScope.taken(principal, part)) decisions.push(taken === null ? null : await fuse.admit(principal, taken));
  const held = decisions.filter((decision) => decision !== null && isHeld(decision));
  if (held.length > 0)
    log.warn({ user: principal.userId, device: principal.deviceId, operations: held.length, ...held[0] }, 'deletes are held');
  const blew = held.find((decision) => decision.blew);
  if (blew !== undefined) await tellHeld(deps, principal, blew);
  return decisions;
}

/** Whatever becomes of the notice, the deletes are held. */
async function tellHeld({ notices, log }: Deps, principal: Principal, { deleted, living }: Held): Promise<void> {
  try {
    await notices.tell(principal, { kind: 'held', details: { device: principal.deviceId, deleted, living } });
  } catch (err) {
    log.warn({ err, user: principal.userId }, 'that deletes are held could not be told');
  }
}

function heldAt(decisions: readonly Decision[], index: number): Held | null {
  const decision = decisions[index] ?? null;
  return decision !== null && isHeld(decision) ? decision : null;
}

function nextHeld(decisions: readonly Decision[], from: number): number {
  let at = from;
  while (at < decisions.length && heldAt(decisions, at) === null) at += 1;
  return at;
}

/** Tells the fuse what became of each delete; of a transaction that failed nothing did. */
async function settled(run: Promise<OperationResult[]>, decisions: readonly Decision[]): Promise<OperationResult[]> {
  let results: readonly OperationResult[] = [];
  try {
    results = await run;
    return [...results];
  } finally {
    for (const [i, decision] of decisions.entries()) {
      if (decision !== null && !isHeld(decision)) decision.settle(results[i]?.status === 'done' ? 'done' : 'refused');
    }
  }
}

function refusal({ deleted, living }: Held): OperationResult {
  const message = `held: ${deleted} of the ${living} files here would be deleted within ten minutes; approve that first`;
  return { status: 'refused', code: 'deletes_held', message };
}
