import { AppError } from '../../Models/errors.ts';
import type { ControlRequest } from '../sync/control/control_messages.ts';
import type { SyncRoot } from '../sync/control/roots.ts';
import type { Run } from './command.ts';

/** What these commands are made of is loaded when one of them runs: no other command waits for it. */
export const load = {
  roots: () => import('../sync/control/roots.ts'),
  running: () => import('./sync_running.ts'),
  lines: () => import('./sync_lines.ts'),
  control: () => import('../sync/control/control.ts'),
  messages: () => import('../sync/control/control_messages.ts'),
  rows: () => import('../sync/control/root_rows.ts'),
  stopped: () => import('../sync/control/stopped_root.ts'),
  plans: () => import('../sync/control/plan_rows.ts'),
  service: () => import('../sync/control/service.ts'),
} as const;

/** The roots that are meant: the one at `local`, or all. @throws AppError `not_found` */
export async function rootsFor(run: Run, local: string | undefined): Promise<SyncRoot[]> {
  const { openRoots } = await load.roots();
  const roots = openRoots(run.settings.home);
  if (local !== undefined) return [(await rootAt(run, local)).root];
  const { roots: all, damaged } = await roots.list();
  for (const { message, code } of damaged) run.tell(`${message} (${code})`);
  if (all.length === 0) throw new AppError('not_found', 'no folder is synced on this device: begin with "driftless sync LOCAL [REMOTE]"');
  return all;
}

export async function rootAt(run: Run, local: string): Promise<{ root: SyncRoot; path: string }> {
  const { openRoots } = await load.roots();
  const found = await openRoots(run.settings.home).find(local);
  if (found === null) throw new AppError('not_found', `${local} is in no synced folder of this device: see "driftless status"`);
  return found;
}

/** The one row of an answer. @throws AppError `internal` */
export async function only<T>(rows: AsyncIterable<T>): Promise<T> {
  for await (const row of rows) return row;
  throw new AppError('internal', 'the process that syncs this folder had no answer');
}

/** @returns `null`: no process syncs this root */
export async function askDone(root: SyncRoot, request: ControlRequest): Promise<string | null> {
  const { DoneRow } = await load.messages();
  const { askControl } = await load.control();
  const asked = await askControl(root.folder, request, DoneRow);
  return asked === null ? null : (await only(asked)).done;
}
