import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { AppError } from '../Models/errors.ts';
import type { AuthDaemon } from './auth_daemon.ts';
import type { AuthLog } from './auth_log.ts';
import type { OpenCarried } from './carried_datagrams.ts';
import { kernelDrops } from './kernel_drops.ts';
import type { Source } from './source.ts';

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024; // a burst must not drop real clients while a login is worked on
const SWEEP_MS = 2000;

export type Listening = { readonly host: string; readonly port: number; close(): Promise<void> };

/**
 * Gives the daemon its socket and its clock tick.
 * @param place port 0 takes any free one
 * @param openCarried takes what the HTTP server brings
 * @throws AppError `port_in_use`, `config_invalid` (the host is not an address of this machine)
 */
export async function listen(
  daemon: AuthDaemon,
  place: { host: string; port: number },
  log: AuthLog,
  openCarried: OpenCarried = () => null,
): Promise<Listening> {
  const socket = createSocket({ type: isIPv6(place.host) ? 'udp6' : 'udp4', recvBufferSize: RECEIVE_BUFFER_BYTES });
  const working = new Set<Promise<void>>();
  async function replyTo(bytes: Uint8Array, source: Source): Promise<Uint8Array | null> {
    const carried = openCarried(bytes);
    if (carried === null) return daemon.receive(bytes, source);
    return carried.answer(await daemon.receive(carried.datagram, carried.source));
  }

  socket.on('message', (bytes, source) => {
    if (source.port === 0) return; // forged: there is no such port to answer to
    const work = replyTo(bytes, source)
      .then((reply) => {
        if (reply === null) return;
        socket.send(reply, source.port, source.address, (error) => {
          if (error !== null) log.debug({ err: error }, 'a reply was not sent'); // the source may be forged
        });
      })
      .catch((error: unknown) => log.error({ err: error }, 'a datagram was not answered'))
      .finally(() => working.delete(work));
    working.add(work);
  });
  try {
    socket.bind(place.port, place.host);
    await once(socket, 'listening');
  } catch (cause) {
    socket.close();
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') throw new AppError('port_in_use', `UDP port ${place.port} is taken`, { cause });
    throw new AppError('config_invalid', `cannot listen on udp://${place.host}:${place.port} (${code})`, { cause });
  }
  socket.on('error', (error) => log.warn({ err: error }, 'socket'));
  const sweep = (): Promise<void> => daemon.sweep().catch((error: unknown) => log.error({ err: error }, 'sessions were not swept'));
  await sweep();
  const bound = socket.address();
  const bufferBytes = socket.getRecvBufferSize() / (process.platform === 'linux' ? 2 : 1); // Linux tells twice what holds datagrams
  if (bufferBytes < RECEIVE_BUFFER_BYTES) log.warn({ bufferBytes }, 'the system allows a small receive buffer only: see net.core.rmem_max');
  let dropped = 0;
  const reportDrops = async (): Promise<void> => {
    const drops = (await kernelDrops(bound)) ?? dropped;
    if (drops > dropped)
      log.warn({ dropped: drops - dropped, sinceStart: drops }, 'datagrams came faster than they were read: the kernel dropped some');
    dropped = drops;
  };
  const sweeping = setInterval(() => void Promise.all([sweep(), reportDrops()]), SWEEP_MS);
  return {
    host: place.host,
    port: bound.port,
    async close() {
      clearInterval(sweeping);
      await reportDrops();
      await Promise.all(working);
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    },
  };
}
