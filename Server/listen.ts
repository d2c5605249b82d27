import type { AddressInfo } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';

/** @returns where it listens, as a URL. @throws AppError `port_in_use`, `config_invalid` (the address is not of this machine, or not allowed) */
export async function listen(app: FastifyInstance, { host, port }: { host: string; port: number }): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'EADDRINUSE') throw new AppError('port_in_use', `port ${port} on ${host} is already taken`, { cause });
    throw new AppError('config_invalid', `cannot listen on ${host} port ${port} (${String(code)})`, { cause });
  }
  const { address, port: actual, family } = app.server.address() as AddressInfo;
  const scheme = app.server instanceof TlsServer ? 'https' : 'http';
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${actual}`;
}

/** Takes no more requests, lets those under way finish, and cuts what is still running after a time. */
export async function stopListening(app: FastifyInstance): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), LIMITS.shutdownTimeoutMs);
  // a connection whose last answer ends only now would otherwise be kept open for a next request
  const closeIdle = setInterval(() => app.server.closeIdleConnections(), 50);
  try {
    await app.close();
  } finally {
    clearTimeout(cut);
    clearInterval(closeIdle);
  }
}
