import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { seededRandom } from '../../Models/testing/seeded_random.ts';

/** How bad a link is, each way. */
export type Faults = {
  readonly loss: number; // chance that a datagram vanishes, 0 to 1
  readonly duplicate: number; // chance that it arrives twice
  readonly reorder: number; // chance that it is held back so that later ones overtake it
  readonly delayMs: number; // that all take
};
export type LinkFaults = Faults & {
  readonly seed: number;
  readonly drop: (bytes: Buffer, way: 'up' | 'down') => boolean; // vanishes for certain
};
export type LossyLink = AsyncDisposable & {
  readonly address: string; // HOST:PORT that clients talk to
  /** Sees every datagram that was sent, before the faults. */
  onDatagram(listener: (bytes: Buffer, way: 'up' | 'down') => void): void;
};

const HELD_BACK_MS = 60;
/** A client's port at the target. */
type Back = { send(bytes: Buffer): void; close(): void };

const UNUSED_MS = 20_000; // a client that was silent for so long is over

/** What becomes of a datagram on such a link. @returns after how many milliseconds it arrives, each time that it does */
export function arrivals({ loss, duplicate, reorder, delayMs }: Faults, random: () => number): number[] {
  const copies = random() < loss ? 0 : random() < duplicate ? 2 : 1;
  return Array.from({ length: copies }, () => delayMs + (random() < reorder ? HELD_BACK_MS * random() : 0));
}

/** A UDP link on loopback to `target` (HOST:PORT) that loses, repeats and reorders datagrams. Each client has a port of its own at the target. */
export async function lossyLink(options: { target: string } & Partial<LinkFaults>): Promise<LossyLink> {
  const { loss = 0, duplicate = 0, reorder = 0, delayMs = 0, drop = () => false } = options;
  const [host = '', port = ''] = options.target.split(':');
  const random = seededRandom(options.seed ?? 1);
  const front = createSocket('udp4');
  const backs = new Map<string, Promise<Back>>();
  const timers = new Set<NodeJS.Timeout>();
  const listeners: ((bytes: Buffer, way: 'up' | 'down') => void)[] = [];
  let closed = false;

  const keyOf = (client: RemoteInfo): string => `${client.address}:${client.port}`;

  function carry(bytes: Buffer, way: 'up' | 'down', deliver: () => void): void {
    for (const listener of listeners) listener(bytes, way);
    for (const afterMs of drop(bytes, way) ? [] : arrivals({ loss, duplicate, reorder, delayMs }, random)) {
      const timer = setTimeout(() => {
        timers.delete(timer);
        if (!closed) deliver();
      }, afterMs);
      timers.add(timer);
    }
  }

  async function openBack(client: RemoteInfo): Promise<Back> {
    const back = createSocket('udp4');
    back.on('error', () => undefined); // the target is away: datagrams vanish
    back.on('message', (bytes) => carry(bytes, 'down', () => front.send(bytes, client.port, client.address)));
    const key = keyOf(client);
    let isOpen = true;
    const close = (): void => {
      if (isOpen) back.close();
      isOpen = false;
      backs.delete(key);
    };
    const unused = setTimeout(close, UNUSED_MS);
    timers.add(unused);
    back.connect(Number(port), host);
    await once(back, 'connect');
    const send = (bytes: Buffer): void => {
      unused.refresh();
      if (isOpen) back.send(bytes, () => undefined);
    };
    return { send, close };
  }

  front.on('message', (bytes, client) => {
    const key = keyOf(client);
    const back = backs.get(key) ?? openBack(client);
    backs.set(key, back);
    void back.then((socket) => carry(bytes, 'up', () => socket.send(bytes)));
  });
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');

  return {
    address: `127.0.0.1:${front.address().port}`,
    onDatagram: (listener) => void listeners.push(listener),
    async [Symbol.asyncDispose]() {
      closed = true;
      for (const timer of timers) clearTimeout(timer);
      front.close();
      for (const back of backs.values()) (await back).close();
    },
  };
}
