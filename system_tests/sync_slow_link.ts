import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type SlowLink = AsyncDisposable & { readonly url: string };
export type Slowness = { readonly bytesPerSecond: number; readonly delayMs: number };

/** Stands between a client and a server like a bad line: what passes in one direction of a connection is late, and never more than so much. */
export async function openSlowLink(port: number, slowness: Slowness): Promise<SlowLink> {
  const sockets = new Set<Socket>();
  const server = createServer((incoming) => {
    const outgoing = connect(port, '127.0.0.1');
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        incoming.destroy();
        outgoing.destroy();
      });
    }
    const broken = (): void => void incoming.destroy();
    carry(incoming, outgoing, slowness).catch(broken);
    carry(outgoing, incoming, slowness).catch(broken);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function carry(from: Socket, to: Socket, { bytesPerSecond, delayMs }: Slowness): Promise<void> {
  for await (const bytes of from as AsyncIterable<Buffer>) {
    await sleep(delayMs + (bytes.length / bytesPerSecond) * 1000);
    if (!to.write(bytes)) await once(to, 'drain');
  }
  to.end();
}
