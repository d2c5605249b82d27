import { isLoopbackName } from '../../Models/addresses.ts';
import { AppError } from '../../Models/errors.ts';
import { type AuthAddress, urlHost } from './auth_address.ts';
import type { Exchange, ExchangeOptions } from './exchange.ts';
import type { ProfileData } from './profile.ts';

const HTTP_PORT_USUAL = 4811;

/**
 * How else than over UDP the daemon may be reached, and which way was good the last time.
 * @param given by a person; goes before what the profile knows, and that before the usual place
 * @throws AppError `config_invalid` when `given` is no URL of a server
 */
export function waysTo(address: AuthAddress, { servers = {} }: ProfileData, given?: string): Pick<ExchangeOptions, 'serverUrl' | 'first'> {
  if (given !== undefined && !/^https?:$/.test(URL.parse(given)?.protocol ?? '')) {
    throw new AppError('config_invalid', `"${given}" is not the URL of a server`);
  }
  const known = servers[address.text];
  const scheme = isLoopbackName(address.host) ? 'http' : 'https';
  const usual = `${scheme}://${urlHost(address.host)}:${HTTP_PORT_USUAL}`;
  return { serverUrl: given ?? known?.url ?? usual, first: known?.way ?? 'udp' };
}

/** The daemon that a profile speaks with when nothing else is said: of the newest session, else the one that was met last. HOST:PORT */
export function usualDaemon({ sessions, daemons }: Pick<ProfileData, 'sessions' | 'daemons'>): string | null {
  const [newest] = sessions.toSorted((one, other) => other.loggedInAtMs - one.loggedInAtMs);
  return newest?.auth ?? Object.keys(daemons).at(-1) ?? null;
}

export function rememberServer(data: ProfileData, auth: string, url: string, exchange: Pick<Exchange, 'way'>): void {
  const way = exchange.way();
  data.servers = { ...data.servers, [auth]: way === 'http' ? { url, way } : { url } };
}
