import { chmod, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ZodType } from 'zod';
import { AppError } from '../../../Models/errors.ts';
import type { ControlRequest } from './control_messages.ts';
import { shortSocketPath } from './socket_path.ts';

/** What a request is answered with, row by row. @throws AppError, which the other side then throws */
export type ControlHandler = (request: ControlRequest) => AsyncIterable<unknown>;

const REQUEST_CHARACTERS_MAX = 64 * 1024;
const ROW_CHARACTERS_MAX = 4 * 1024 * 1024;
const IDLE_MS_MAX = 10_000; // without a request
const CONNECTIONS_MAX = 16;
const NAME = 'control.sock';

const loadMessages = () => import('./control_messages.ts');

/**
 * Answers requests of the same user's other processes until it is closed. Only for the holder of the root's lock: what a killed process left is removed.
 * @param folder of the root (HOME/sync/ID), which is for its owner only
 * @throws AppError `local_io`
 */
export async function serveControl(folder: string, handle: ControlHandler): Promise<AsyncDisposable> {
  const { path, release } = shortSocketPath(join(folder, NAME));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(IDLE_MS_MAX, () => socket.destroy());
    receive(socket, handle);
  });
  server.maxConnections = CONNECTIONS_MAX;
  try {
    if (process.platform !== 'win32') await rm(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(path, resolve);
    });
    if (process.platform !== 'win32') await chmod(path, 0o600);
  } catch (cause) {
    release();
    throw new AppError('local_io', `cannot answer the command line in ${folder}`, { cause });
  }
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      release();
    },
  };
}

function receive(socket: Socket, handle: ControlHandler): void {
  let text = '';
  const take = (bytes: string): void => {
    text += bytes;
    const end = text.indexOf('\n');
    if (end === -1 && text.length <= REQUEST_CHARACTERS_MAX) return;
    socket.off('data', take);
    socket.setTimeout(0);
    const line = end === -1 ? '' : text.slice(0, end);
    answer(socket, line, handle).catch(() => socket.destroy());
  };
  socket.setEncoding('utf8').on('data', take);
}

async function answer(socket: Socket, line: string, handle: ControlHandler): Promise<void> {
  try {
    for await (const row of handle(await parseRequest(line))) {
      if (socket.destroyed) return;
      if (!socket.write(`${JSON.stringify({ row })}\n`)) await drained(socket);
    }
    socket.end('{"end":true}\n');
  } catch (error) {
    const { code, message } = error instanceof AppError ? error : new AppError('internal', 'it failed; see the log');
    socket.end(`${JSON.stringify({ error: { code, message } })}\n`);
  }
}

async function parseRequest(line: string): Promise<ControlRequest> {
  const { ControlRequest: schema } = await loadMessages();
  const parsed = schema.safeParse(parseJson(line));
  if (!parsed.success) throw new AppError('request_invalid', 'the process that syncs this folder does not know this request; restart it');
  return parsed.data;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      socket.off('drain', go).off('close', go);
      resolve();
    };
    socket.on('drain', go).on('close', go);
  });
}

/**
 * Asks the process that syncs a root.
 * @returns its rows as they come, or `null`: no process is there
 * @throws AppError what the other process answered; `local_io`: it ended, or said something that is not understood
 */
export async function askControl<T>(folder: string, request: ControlRequest, row: ZodType<T>): Promise<AsyncIterable<T> | null> {
  const { path, release } = shortSocketPath(join(folder, NAME));
  const socket = await connect(path).finally(release);
  if (socket === null) return null;
  socket.write(`${JSON.stringify(request)}\n`);
  return rowsOf(socket, row);
}

function connect(path: string): Promise<Socket | null> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') return resolve(null);
      reject(new AppError('local_io', `cannot speak with the process that syncs this folder (${error.code})`, { cause: error }));
    });
  });
}

async function* rowsOf<T>(socket: Socket, schema: ZodType<T>): AsyncGenerator<T> {
  const { ControlLine } = await loadMessages();
  try {
    for await (const line of linesOf(socket)) {
      const parsed = ControlLine.safeParse(parseJson(line));
      if (!parsed.success) break;
      if ('end' in parsed.data) return;
      if ('error' in parsed.data) throw new AppError(parsed.data.error.code, parsed.data.error.message);
      const row = schema.safeParse(parsed.data.row);
      if (!row.success) break;
      yield row.data;
    }
  } finally {
    socket.destroy();
  }
  throw new AppError('local_io', 'the process that syncs this folder ended, or is of another version: restart it');
}

/** Not node:readline, which ends lines at U+2028 too; names hold such characters. Ends where the connection ends, however it ends, or a line is too long. */
async function* linesOf(socket: Socket): AsyncGenerator<string> {
  socket.setEncoding('utf8');
  let pending = '';
  try {
    for await (const text of socket as AsyncIterable<string>) {
      const lines = `${pending}${text}`.split('\n');
      pending = lines.pop() ?? '';
      yield* lines;
      if (pending.length > ROW_CHARACTERS_MAX) return;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  }
}
