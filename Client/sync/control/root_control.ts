import { assertNever } from '../../../Models/errors.ts';
import type { Plan } from '../core/plan.ts';
import type { ConflictRow, SyncIndex } from '../index/sync_index.ts';
import type { Keep } from '../resolve_conflict.ts';
import type { ControlHandler } from './control.ts';
import type { ConflictEntry, DoneRow, ExplainRow, PlanRow, StatusRow } from './control_messages.ts';
import type { EntryReason } from './entry_state.ts';
import { planRows } from './plan_rows.ts';
import { conflictEntry, explainRow, type RootFacts, statusRow } from './root_rows.ts';

/** What a process that syncs a folder can be asked for: as the library's `Sync` has it. */
export type Controlled = {
  readonly index: Pick<SyncIndex, 'problems' | 'local' | 'remote'>;
  status(): Omit<RootFacts, 'limitUp' | 'limitDown' | 'rateUp' | 'rateDown'> & {
    readonly rates: { readonly upBytesPerSecond: number; readonly downBytesPerSecond: number };
    readonly limits: { readonly upBytesPerSecond: number | undefined; readonly downBytesPerSecond: number | undefined };
  };
  explain(path: string): EntryReason | null;
  conflicts(): readonly ConflictRow[];
  preview(): Promise<Plan>;
  resolve(path: string, keep: Keep): Promise<void>;
  approve(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  limit(limits: { up?: number | null; down?: number | null }): Promise<void>;
};

function statusOf(sync: Pick<Controlled, 'status' | 'index'>): StatusRow {
  const { local, remote, state, error, held, files, waiting, conflicts, watching, limits, rates } = sync.status();
  const { upBytesPerSecond = null, downBytesPerSecond = null } = limits;
  const facts = { local, remote, state, error, held, files, waiting, conflicts, watching };
  return statusRow(
    {
      ...facts,
      limitUp: upBytesPerSecond,
      limitDown: downBytesPerSecond,
      rateUp: rates.upBytesPerSecond,
      rateDown: rates.downBytesPerSecond,
    },
    sync.index.problems(),
  );
}

async function approved(sync: Pick<Controlled, 'status' | 'index' | 'approve'>): Promise<string> {
  const isHeld = sync.status().held.length > 0 || sync.index.problems().some(({ reason }) => reason === 'held_server');
  await sync.approve();
  return isHeld ? 'approved' : 'nothing was held here';
}

type Row = StatusRow | ExplainRow | ConflictEntry | PlanRow | DoneRow;

/** Answers what other processes of this user ask about a folder that this one syncs. */
export function controlOf(sync: Controlled): ControlHandler {
  return async function* (request): AsyncGenerator<Row> {
    switch (request.type) {
      case 'status':
        return yield statusOf(sync);
      case 'explain':
        return yield explainRow(request.path, sync.explain(request.path), true);
      case 'conflicts':
        return yield* sync.conflicts().map(conflictEntry);
      case 'dry-run':
        return yield* planRows(await sync.preview(), sync);
      case 'resolve':
        await sync.resolve(request.path, request.keep);
        return yield { done: `kept ${request.keep}` };
      case 'approve':
        return yield { done: await approved(sync) };
      case 'pause':
        await sync.pause();
        return yield { done: 'paused' };
      case 'resume':
        await sync.resume();
        return yield { done: 'resumed' };
      case 'limits':
        await sync.limit({ up: request.up, down: request.down });
        return yield { done: 'limited' };
      default:
        return assertNever(request);
    }
  };
}
