import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isLoopbackAddress } from '../../Models/addresses.ts';
import { AppError } from '../../Models/errors.ts';
import type { AuthAddress } from './auth_address.ts';
import type { Way } from './way.ts';

export type UdpWay = Way & { readonly loopback: boolean };

/** A socket of its own. @throws AppError `auth_unreachable` */
export async function openUdpWay(address: AuthAddress): Promise<UdpWay> {
  const socket = await connect(address);
  let hint: string | null = null;
  socket.on('error', (error: NodeJS.ErrnoException) => {
    // An ICMP message can be forged, or be about a daemon that is just starting.
    hint = error.code ?? null;
  });
  socket.on('message', () => {
    hint = null;
  });
  return {
    loopback: isLoopbackAddress(socket.remoteAddress().address),
    send(datagram) {
      socket.send(datagram, (error) => {
        if (error !== null) hint = (error as NodeJS.ErrnoException).code ?? null;
      });
    },
    listen(onReply) {
      socket.on('message', onReply);
      return () => socket.off('message', onReply);
    },
    hint: () => (hint === 'ECONNREFUSED' ? 'nothing listens there' : hint),
    close: () => void socket.close(),
  };
}

async function connect(address: AuthAddress): Promise<Socket> {
  let socket: Socket | undefined;
  try {
    // "localhost" is often ::1 first, where a daemon that listens on 127.0.0.1 is not
    const found = await lookup(address.host, { order: 'ipv4first' });
    socket = createSocket(found.family === 6 ? 'udp6' : 'udp4');
    socket.connect(address.port, found.address);
    await once(socket, 'connect');
    return socket;
  } catch (cause) {
    socket?.close();
    throw new AppError('auth_unreachable', `cannot find the authentication daemon at ${address.text}`, { cause });
  }
}
