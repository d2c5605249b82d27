import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { buildConnector } from 'undici';
import { AppError } from '../Models/errors.ts';

/** Which certificates are believed. */
export type Trust = {
  /**
   * SHA-256 of the public keys (SPKI) that the server may have, base64; none: whatever the certificate authorities of this machine vouch for.
   * `null` believes everything: only for bytes that anybody may see, and for answers that prove themselves.
   */
  readonly pins: () => readonly string[] | null;
  /** Asks the daemon for newer ones, when the key is none of these. */
  readonly renew: () => Promise<unknown>;
};
/** What requests to the server need, which a session has. */
export type Access = {
  readonly serverUrl: string;
  ticket(): Promise<string>;
  refresh(): Promise<string>;
  pins(): readonly string[];
};

/** Where nobody told of keys. */
export const AUTHORITIES: Trust = { pins: () => [], renew: async () => undefined };
/** For bytes that anybody may see, and answers that prove themselves. */
export const ANYBODY: Trust = { pins: () => null, renew: async () => undefined };

export function trustOf(access: Access): Trust {
  return { pins: () => access.pins(), renew: () => access.refresh() };
}

export const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Makes the connections of an undici pool. Node asks nobody about a certificate that it is told not to reject, so the key is compared here, before
 * the socket is handed over: until then nothing is written, and no session is resumed that would bring no certificate.
 * @returns a connector, which reports AppError `server_certificate_changed` and whatever `renew` throws
 */
export function pinnedConnector(trust: Trust): buildConnector.connector {
  return ({ hostname, port }, done) => {
    const pins = trust.pins();
    const byAuthority = pins !== null && pins.length === 0;
    const socket = connectTls({
      host: hostname,
      port: Number(port === '' ? 443 : port),
      ...(isIP(hostname) === 0 && { servername: hostname }),
      rejectUnauthorized: byAuthority,
      minVersion: byAuthority ? 'TLSv1.2' : 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
    });
    const end = (error: Error): void => {
      clearTimeout(timer);
      socket.off('error', end);
      socket.on('error', () => undefined); // told already
      socket.destroy();
      done(error, null);
    };
    const timer = setTimeout(() => end(timedOut()), CONNECT_TIMEOUT_MS);
    socket.setNoDelay(true);
    socket.once('error', end);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      const checked = byAuthority || pins === null ? Promise.resolve() : assertPinned(socket, trust);
      checked.then(() => {
        if (socket.destroyed) return end(closed());
        socket.off('error', end);
        done(null, socket);
      }, end);
    });
  };
}

async function assertPinned(socket: TLSSocket, trust: Trust): Promise<void> {
  const key = socket.getPeerX509Certificate()?.publicKey.export({ format: 'der', type: 'spki' });
  const pin = key === undefined ? '' : createHash('sha256').update(key).digest('base64');
  const isKnown = (): boolean => trust.pins()?.includes(pin) === true;
  if (isKnown()) return;
  await trust.renew(); // it may have been replaced while this client slept
  if (isKnown()) return;
  throw new AppError(
    'server_certificate_changed',
    'the file server is not the one that the authentication daemon told of: its certificate is another. Nothing was sent to it. Somebody may be listening',
  );
}

const timedOut = (): Error => Object.assign(new Error('the connection took too long'), { code: 'ETIMEDOUT' });
const closed = (): Error => Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });
