import { parentPort, workerData } from 'node:worker_threads';
import { AppError } from '../../Models/errors.ts';
import { addCounts, noCounts, type TransferFailure } from './jobs.ts';
import { makeShard } from './make_shard.ts';
import type { FromWorker, PlainError, ToWorker, WorkerSetup } from './worker_messages.ts';

/** A shard in a thread of its own: does what the coordinator's messages say, one after the other. */
const PROGRESS_MS = 100;
const port = parentPort;
if (port === null) throw new Error('this file runs as a worker thread');
const setup = workerData as WorkerSetup;

const post = (message: FromWorker): void => port.postMessage(message);

let counts = noCounts();
let failures: TransferFailure[] = [];
let reportedAt = 0;

function report(): void {
  post({ type: 'progress', counts, failures });
  counts = noCounts();
  failures = [];
  reportedAt = performance.now();
}

const tickets = new Map<number, { resolve: (ticket: string) => void; reject: (error: AppError) => void }>();
let requests = 0;

function askTicket(fresh: boolean): Promise<string> {
  requests += 1;
  const request = requests;
  post({ type: 'needTicket', request, fresh });
  return new Promise((resolve, reject) => tickets.set(request, { resolve, reject }));
}

let pins = setup.pins;
const shard = makeShard(
  { ...setup, pins: () => pins, ticket: () => askTicket(false), refresh: () => askTicket(true) },
  {
    count(more) {
      addCounts(counts, more);
      if (performance.now() - reportedAt > PROGRESS_MS) report();
    },
    fail: (failure) => failures.push(failure),
  },
);

port.on('message', (message: ToWorker) => {
  if (message.type === 'ticket') {
    const waiting = tickets.get(message.request);
    tickets.delete(message.request);
    pins = message.pins;
    if (message.ticket !== null) waiting?.resolve(message.ticket);
    else waiting?.reject(new AppError(message.error?.code ?? 'internal', message.error?.message ?? 'no ticket'));
  } else void obey(message);
});

async function obey(message: Exclude<ToWorker, { type: 'ticket' }>): Promise<void> {
  try {
    if (message.type === 'run') {
      const found = await shard.run(message.jobs);
      report();
      post({ type: 'ran', found });
    } else if (message.type === 'finish') {
      await shard.finish();
      report();
      post({ type: 'finished' });
    } else {
      await shard.close();
      post({ type: 'closed' });
      port?.close();
    }
  } catch (error) {
    post({ type: 'failed', error: plain(error) });
  }
}

function plain(error: unknown): PlainError {
  if (error instanceof AppError) return { code: error.code, message: error.message };
  return { code: 'internal', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
