import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { PassReport, SyncEvent } from '../Client/sync.ts';
import type { ClientCommand, ClientConfig, ClientLine } from './sync_client.ts';

const STILL_MS = 20; // a file that was written to just now is still by then

export type ClientStatus = {
  readonly state: string;
  readonly waiting: number;
  readonly problems: number;
  readonly conflicts: number;
  readonly held: readonly unknown[];
  readonly left: readonly { readonly path: string; readonly reason: string; readonly detail: string }[];
};

/** A client in a process of its own. */
export type ClientProcess = AsyncDisposable & {
  readonly pid: number;
  once(): Promise<PassReport>;
  /** Passes until nothing is done any more. */
  settle(): Promise<void>;
  reason(path: string): Promise<string | null>;
  status(): Promise<ClientStatus>;
  /** Lets it end by itself. */
  close(): Promise<void>;
  /** SIGKILL, and waits. */
  kill(): Promise<void>;
  /** Resolves when it has ended, however it ended, with what it printed as errors. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly printed: string }>;
};

export type ClientOptions = ClientConfig & {
  readonly uid?: number | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly onEvent?: (event: SyncEvent) => void;
  /** It watches no more: why. */
  readonly onGaveUp?: (why: string) => void;
};

/** @throws Error with what it printed, when it ends before it has opened the folder */
export async function runClient({ uid, env, onEvent, onGaveUp, ...config }: ClientOptions): Promise<ClientProcess> {
  const main = fileURLToPath(new URL('sync_client.ts', import.meta.url));
  const identity = uid === undefined ? {} : { uid, gid: uid };
  const child = spawn(process.execPath, [main, JSON.stringify(config)], {
    env: env ?? process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...identity,
  });
  let printed = '';
  child.stderr.on('data', (bytes: Buffer) => {
    printed += bytes.toString();
  });
  child.stdin.on('error', () => undefined); // it ended: whoever waits for an answer is told
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const ready = Promise.withResolvers<true>();
  const ended = new Promise<Awaited<ClientProcess['ended']>>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, printed }));
  });
  createInterface(child.stdout).on('line', (text) => {
    const line: ClientLine = JSON.parse(text);
    if ('ready' in line) ready.resolve(true);
    else if ('event' in line) onEvent?.(line.event);
    else if ('gaveUp' in line) onGaveUp?.(line.gaveUp);
    else if ('failure' in line) waiting.get(line.id)?.reject(new Error(line.failure));
    else waiting.get(line.id)?.resolve(line.answer);
  });
  const over = ended.then(({ code, signal, printed }) => {
    const error = new Error(`the client ended (${signal ?? code}): ${printed}`);
    for (const one of waiting.values()) one.reject(error);
    return error;
  });
  const first = await Promise.race([ready.promise, over]);
  if (first !== true) throw first;

  let asked = 0;
  async function ask(command: Omit<ClientCommand, 'id'>): Promise<unknown> {
    asked += 1;
    const id = asked;
    const pending = Promise.withResolvers<unknown>();
    waiting.set(id, pending);
    child.stdin.write(`${JSON.stringify({ id, ...command })}\n`);
    try {
      return await pending.promise;
    } finally {
      waiting.delete(id);
    }
  }
  const once = async (): Promise<PassReport> => (await ask({ command: 'once' })) as PassReport;
  const status = async (): Promise<ClientStatus> => (await ask({ command: 'status' })) as ClientStatus;
  const close = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  assert.ok(child.pid !== undefined);
  return {
    pid: child.pid,
    once,
    async settle() {
      for (let round = 0; round < 30; round += 1) {
        const { achieved } = await once();
        const restless = (await status()).left.some(({ reason }) => reason === 'still_changing');
        if (achieved === 0 && !restless) return;
        if (restless) await sleep(STILL_MS);
      }
      throw new Error('there is still something to do');
    },
    reason: async (path) => (await ask({ command: 'reason', path })) as string | null,
    status,
    close,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    ended,
    [Symbol.asyncDispose]: close,
  };
}
