import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands between a client and a server, counts what passes, and cuts every connection when so many bytes have passed. */
export type CuttingProxy = AsyncDisposable & {
  readonly url: string;
  /** Bytes since the last `reset`, from the client and to it. */
  readonly up: number;
  readonly down: number;
  readonly cuts: number;
  reset(): void;
  /** Cuts every connection now, as an orderly end or as a reset. */
  cut(how?: 'end' | 'reset'): void;
  /** What is connected now stays connected, and nothing passes any more, nor that one side ends. */
  freeze(): void;
  /** Connections that come from now on go to this port. */
  turnTo(port: number): void;
};

/** @param nextCut bytes, in both directions together, until the next cut; asked again after each */
export async function openProxy(port: number, nextCut: () => number = () => Number.POSITIVE_INFINITY): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  let counts = { up: 0, down: 0, cuts: 0 };
  let left = nextCut();
  const passed = (bytes: number): void => {
    left -= bytes;
    if (left > 0) return;
    left = nextCut();
    cut();
  };
  const cut = (how: 'end' | 'reset' = 'end'): void => {
    counts.cuts += 1;
    for (const socket of sockets) how === 'end' ? socket.destroy() : socket.resetAndDestroy();
  };
  const frozen: Socket[] = [];
  let target = port;
  const server = createServer((incoming) => {
    const outgoing = connect(target, '127.0.0.1');
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        incoming.destroy();
        outgoing.destroy();
      });
    }
    incoming.on('data', ({ length }) => {
      counts.up += length;
      passed(length);
    });
    outgoing.on('data', ({ length }) => {
      counts.down += length;
      passed(length);
    });
    incoming.pipe(outgoing).pipe(incoming);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get up() {
      return counts.up;
    },
    get down() {
      return counts.down;
    },
    get cuts() {
      return counts.cuts;
    },
    cut,
    freeze() {
      for (const socket of sockets) {
        socket.removeAllListeners('close').removeAllListeners('data').unpipe().pause();
        frozen.push(socket);
      }
      sockets.clear();
    },
    turnTo(next) {
      target = next;
    },
    reset() {
      left = nextCut();
      counts = { up: 0, down: 0, cuts: 0 };
    },
    async [Symbol.asyncDispose]() {
      for (const socket of [...sockets, ...frozen]) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
