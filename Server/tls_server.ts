import type { Server, ServerOptions } from 'node:http';
import { createServer } from 'node:https';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { FastifyServerFactory } from 'fastify';
import { LIMITS } from '../Models/limits.ts';
import type { ServerConfig } from './config.ts';
import { openGivenIdentity, openOwnIdentity, type TlsIdentity } from './tls_identity.ts';

const REFRESH_MS = 1000;

/** The identity of a configuration, looked after until it is closed. @throws AppError `config_invalid`, `data_folder_unusable` */
export async function openTls(
  { dataFolder, host }: Pick<ServerConfig, 'dataFolder' | 'host'>,
  { given }: NonNullable<ServerConfig['tls']>,
  onFailure: (error: unknown) => void,
): Promise<TlsIdentity & { close(): Promise<void> }> {
  const named = isIP(host) !== 0 && /^[0:.]+$/.test(host) ? [] : [host]; // 0.0.0.0 and :: stand for all addresses
  const names = [...new Set(['localhost', '127.0.0.1', hostname(), ...named])];
  const options = { dataFolder, names, now: Date.now };
  const identity = given === null ? await openOwnIdentity(options) : await openGivenIdentity(given, options);
  let looking: Promise<void> | null = null;
  const timer = setInterval(() => {
    looking ??= identity
      .refresh()
      .catch(onFailure)
      .finally(() => {
        looking = null;
      });
  }, REFRESH_MS);
  return {
    ...identity,
    async close() {
      clearInterval(timer);
      await looking;
    },
  };
}

/**
 * Makes HTTPS servers of an identity: TLS 1.3 and HTTP/1.1 alone. A certificate that takes the place of another is used from the next connection
 * on; those that are open stay. Early data, which could be played again, is never taken.
 */
export function httpsServers(identity: TlsIdentity, options: ServerOptions & { readonly connectionTimeout: number }): FastifyServerFactory {
  return (handler): Server => {
    const { connectionTimeout, ...http } = options;
    const protocol = { minVersion: 'TLSv1.3', ALPNProtocols: ['http/1.1'], handshakeTimeout: LIMITS.handshakeTimeoutMs } as const;
    const server = createServer({ ...http, ...protocol, ...identity.current() }, handler);
    server.setTimeout(connectionTimeout);
    identity.onChange((pair) => server.setSecureContext({ ...pair, minVersion: 'TLSv1.3' }));
    return server;
  };
}
