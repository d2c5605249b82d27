import { parentPort, workerData } from 'node:worker_threads';
import { ready } from '@serenity-kit/opaque';
import { createOpaqueServer, type OpaqueReply, type OpaqueRequest } from './opaque_server.ts';

await ready;
const server = createOpaqueServer((workerData as { setup: string }).setup);

async function answer({ id, step, input }: OpaqueRequest): Promise<OpaqueReply> {
  const work = server[step] as (input: unknown) => Promise<unknown>;
  return { id, result: await work(input) };
}

parentPort?.on('message', (request: OpaqueRequest) => void answer(request).then((reply) => parentPort?.postMessage(reply)));
