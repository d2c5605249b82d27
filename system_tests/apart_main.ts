import { on } from 'node:events';
import { type MessagePort, parentPort } from 'node:worker_threads';
import type { Apart } from './apart.ts';

const port = parentPort as MessagePort;
for await (const [asked] of on(port, 'message') as AsyncIterable<[Apart]>) {
  const exported = (await import(asked.module)) as Record<string, (input: unknown) => Promise<unknown>>;
  port.postMessage(await exported[asked.name]?.(asked.input));
}
