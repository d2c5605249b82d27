/** Sends HELLOs without a good cookie from very many addresses of 127.0.0.0/8 and ports, at a steady pace. Speaks to its parent only. */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { constants, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeClient, LAYOUTS } from '../Models/datagrams.ts';

const [port = '', count = '', perSecond = ''] = process.argv.slice(2);
const ADDRESSES = 200;
const SENT_PER_SOCKET = 2500;
const TICK_MS = 5;

setPriority(constants.priority.PRIORITY_LOW); // the rest of the machine is not what a flood uses up

async function open(n: number): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 64 * 1024 });
  socket.on('error', () => undefined);
  socket.bind(0, `127.0.${1 + Math.floor(n / 250)}.${2 + (n % 250)}`);
  await once(socket, 'listening');
  return socket;
}

const { fields } = LAYOUTS.client.hello;
const hello = encodeClient('hello', new Uint8Array(16), {
  cookie: new Uint8Array(fields.cookie),
  ephemeral: randomBytes(fields.ephemeral),
  sealed: randomBytes(fields.sealed),
});
const sockets = await Promise.all(Array.from({ length: ADDRESSES }, (_, n) => open(n)));
let answered = 0;
const count1 = (): void => {
  answered += 1;
};
for (const socket of sockets) socket.on('message', count1);
const begun = performance.now();
for (let sent = 0; sent < Number(count); ) {
  const due = Math.min(Number(count), Math.floor(((performance.now() - begun) / 1000) * Number(perSecond)));
  for (; sent < due; sent += 1) {
    const at = sent % ADDRESSES;
    if (sent >= ADDRESSES && Math.floor(sent / ADDRESSES) % SENT_PER_SOCKET === 0) {
      sockets[at]?.close(); // another port
      sockets[at] = (await open(at)).on('message', count1);
    }
    hello.set(randomBytes(32), 4); // transaction and cookie
    sockets[at]?.send(Buffer.from(hello), Number(port), '127.0.0.1');
  }
  await sleep(TICK_MS);
}
await sleep(200);
process.send?.({ sent: Number(count), answered, seconds: (performance.now() - begun) / 1000 });
for (const socket of sockets) socket.close();
process.disconnect?.();
