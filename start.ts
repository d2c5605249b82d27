import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Running, startProcess } from './processes.ts';

/** `npm start`: runs the daemon and the server, starts again one that dies, and ends both together. */

const DEFAULT_AUTH = '127.0.0.1:4810';
const BACKOFF_MS = { first: 100, max: 5_000, forgottenAfter: 30_000 } as const;

const PARENT_LOOK_MS = 250;

const stopping = new AbortController();
const stopped = once(stopping.signal, 'abort');
const options = { env: process.env, folder: process.cwd(), showErrors: true };

/** Keeps one process running until we stop. It was ready once, so a later failure is taken for passing. */
async function keepRunning(first: Running): Promise<void> {
  let running: Running | null = first;
  let delayMs: number = BACKOFF_MS.first;
  while (true) {
    if (running !== null) {
      const since = Date.now();
      await Promise.race([running.ended, stopped]);
      if (stopping.signal.aborted) return running.stop();
      if (Date.now() - since > BACKOFF_MS.forgottenAfter) delayMs = BACKOFF_MS.first;
    }
    console.error(`driftless ${first.name} ended, starting it again in ${delayMs} ms`);
    await sleep(delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    if (stopping.signal.aborted) return;
    delayMs = Math.min(delayMs * 2, BACKOFF_MS.max);
    running = await startProcess(first.name, options).catch((error: Error) => {
      console.error(error.message);
      return null;
    });
    if (running !== null) console.log(`driftless ${first.name} is back, process ${running.pid}`);
  }
}

/** Nobody can talk to every address at once: on this machine it is loopback. */
const HERE: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '[::]': '[::1]' };

function announce(auth: Running, server: Running): void {
  const { hostname, port } = new URL(auth.url);
  const here = `${HERE[hostname] ?? hostname}:${port}`;
  const address = here === DEFAULT_AUTH ? '' : `DRIFTLESS_AUTH=${here} `;
  const elsewhere = hostname in HERE ? `\nOn another machine DRIFTLESS_AUTH is the name of this one, and :${port}.` : '';
  console.log(`Driftless is running.

  authentication  ${auth.url}  process ${auth.pid}
  files           ${server.url}  process ${server.pid}
  API reference   ${server.url}/docs

Next, in another terminal:

  ${address}npx driftless register alice
${elsewhere}
Ctrl-C stops it.`);
}

/** npm passes a signal on to its shell only, and the shell ends without telling us: seen by another parent than before. */
function stopWhenNpmIsGone(): void {
  if (process.env.npm_lifecycle_event === undefined) return;
  const shell = process.ppid;
  setInterval(() => {
    if (process.ppid !== shell) stopping.abort();
  }, PARENT_LOOK_MS).unref();
}

async function main(): Promise<number> {
  stopWhenNpmIsGone();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort());
  const kept: Promise<void>[] = [];
  try {
    const auth = await startProcess('auth', options);
    kept.push(keepRunning(auth));
    const server = await startProcess('server', options);
    kept.push(keepRunning(server));
    if (!stopping.signal.aborted) announce(auth, server);
    return 0;
  } catch (error) {
    stopping.abort();
    console.error(error instanceof Error ? error.message : error);
    return 1;
  } finally {
    await Promise.all(kept);
  }
}

process.exitCode = await main();
