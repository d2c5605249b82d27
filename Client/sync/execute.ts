import type { Action, Plan } from './core/plan.ts';
import type { NodeId } from './core/tree.ts';
import { type Download, download } from './downloads.ts';
import { type LocalAction, workLocally } from './local_work.ts';
import type { Refusals } from './refusals.ts';
import { isUnchanged } from './scan/scan.ts';
import { type RemoteAction, Uploads } from './uploads.ts';
import { type WorkDeps, WorkScope } from './work_scope.ts';

export type ExecuteReport = {
  readonly achieved: number;
  /** The server knows something newer: its feed must be read before the next plan. */
  readonly stale: boolean;
  /** Folders in which a person was faster: to be looked at before the next plan. */
  readonly dirty: ReadonlySet<string>;
  /** Something was interrupted by a failure and must be recovered. */
  readonly unfinished: boolean;
};

/**
 * Carries a plan out and records what was achieved, never what was planned. Names on this disk come first, in the plan's order, then
 * what goes up and what comes down, side by side.
 * @param refusals what the server refused in this pass; kept here
 * @throws AppError what ends all of it; what was achieved until then is recorded
 */
export async function execute(deps: WorkDeps, plan: Plan, refusals: Refusals): Promise<ExecuteReport> {
  const scope = new WorkScope(deps);
  const uploads = new Uploads(scope, refusals);
  const down: Download[] = [];
  const up: RemoteAction[] = [];
  try {
    for (const step of plan.steps) {
      known(scope, step);
      const here: LocalAction[] = [];
      for (const action of step) {
        if (action.type === 'hash') await readContent(scope, action.id);
        else if (action.type === 'set_aside') here.push(action);
        else if (!('side' in action)) continue;
        else if (action.side === 'remote') up.push(action);
        else if (action.type === 'put') down.push({ ...action, type: 'put' });
        else if (action.type === 'replace') down.push({ ...action, type: 'replace' });
        else if (action.type === 'make' || action.type === 'move') here.push({ ...action, type: action.type });
        else here.push({ ...action, type: action.type });
      }
      if (here.some(({ type }) => type === 'delete')) expect(scope, down);
      await workLocally(scope, here, plan.conflicts);
    }
    const sides = await Promise.allSettled([uploads.run(up), download(scope, down)]);
    for (const side of sides) if (side.status === 'rejected') throw side.reason;
  } finally {
    scope.restoreTimes();
  }
  return { achieved: scope.achieved, stale: uploads.stale || scope.stale, dirty: scope.dirty, unfinished: scope.unfinished };
}

/** What is deleted here may come back as another node, as when it was moved to another space. */
function expect({ deps, trashed }: WorkScope, down: readonly Download[]): void {
  if (trashed.size > 0) return;
  for (const { id } of down) {
    const content = deps.index.remote.get(id)?.content;
    if (content != null) trashed.set(content, null);
  }
}

/** What both sides have already only needs to be known. */
function known(scope: WorkScope, step: readonly Action[]): void {
  const { index } = scope.deps;
  index.observe(() => {
    for (const action of step) {
      if (action.type === 'adopt') index.adopt(action.id, action.local);
      else if (action.type === 'record') index.agree(action.id);
      else if (action.type === 'forget') index.disagree(action.id);
      else continue;
      scope.achieved += 1;
    }
  });
}

async function readContent(scope: WorkScope, id: NodeId): Promise<void> {
  const { index, hash, disk } = scope.deps;
  const node = index.local.get(id);
  const path = scope.path(id);
  if (node === undefined || path === null) return;
  try {
    const read = await hash(() => disk.open(path));
    if (read === null || !isUnchanged(read.stat, node)) scope.changed(path);
    else {
      index.setLocal(id, { ...node, content: read.content, seen: scope.seenAgain(read.stat, node) });
      scope.achieved += 1;
    }
  } catch (error) {
    scope.failed(id, path, error);
  }
}
