import { parentPort, workerData } from 'node:worker_threads';
import { AppError, type ErrorCode } from '../../Models/errors.ts';
import { type Side, textDiff } from './text_diff.ts';

export type DiffReply = { readonly diff: string } | { readonly code: ErrorCode; readonly message: string };

const { from, to } = workerData as { readonly from: Side; readonly to: Side };

function reply(): DiffReply {
  try {
    return { diff: textDiff(from, to) };
  } catch (error) {
    if (error instanceof AppError) return { code: error.code, message: error.message };
    throw error;
  }
}

parentPort?.postMessage(reply());
