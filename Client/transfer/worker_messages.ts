import type { ErrorCode } from '../../Models/errors.ts';
import type { Counts, Direction, Job, TransferFailure } from './jobs.ts';

/** What a worker needs to know before it starts. */
export type WorkerSetup = {
  readonly direction: Direction;
  readonly serverUrl: string;
  readonly pins: readonly string[];
  readonly home: string;
  readonly scope: string;
  readonly compileCache: string | null; // folder
};

export type ToWorker =
  | { readonly type: 'run'; readonly jobs: readonly Job[] }
  | { readonly type: 'finish' }
  | { readonly type: 'close' }
  | {
      readonly type: 'ticket';
      readonly request: number;
      readonly ticket: string | null;
      readonly pins: readonly string[]; // that came with it
      readonly error: PlainError | null;
    };

export type FromWorker =
  | { readonly type: 'ran'; readonly found: readonly Job[] }
  | { readonly type: 'finished' }
  | { readonly type: 'closed' }
  | { readonly type: 'failed'; readonly error: PlainError } // the transfer cannot go on
  | { readonly type: 'progress'; readonly counts: Counts; readonly failures: readonly TransferFailure[] }
  | { readonly type: 'needTicket'; readonly request: number; readonly fresh: boolean };

/** An AppError in a form that survives the way between threads. */
export type PlainError = { readonly code: ErrorCode; readonly message: string };
