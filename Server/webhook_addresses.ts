import { lookup } from 'node:dns/promises';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { AppError } from '../Models/errors.ts';

/** One entry of DRIFTLESS_WEBHOOK_HOSTS, written as the parts of a URL are. */
type HostPattern = { readonly protocol: string; readonly hostname: string; readonly isWild: boolean; readonly port: string };

/** Where webhooks may be sent to. */
export type WebhookHosts = {
  /** Nothing is admitted. */
  readonly isNowhere: boolean;
  /** The address as it is stored. @throws AppError `request_invalid`: not an address for a webhook; `forbidden`: not one that an administrator allows */
  admit(text: string): URL;
};

/** @param patterns `[http://|https://]HOST[:PORT]`, https if not said; HOST is a name, `*.` and a name, or an address. @throws AppError `config_invalid` */
export function allowedWebhookHosts(patterns: readonly string[]): WebhookHosts {
  const allowed = patterns.map(patternOf);
  return {
    isNowhere: allowed.length === 0,
    admit(text) {
      const url = URL.parse(text);
      if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
        throw new AppError('request_invalid', 'a webhook is sent to an http or https URL');
      }
      if (url.username !== '' || url.password !== '' || url.hash !== '') {
        throw new AppError('request_invalid', 'the URL of a webhook has no user name, password or fragment');
      }
      if (allowed.length === 0) throw new AppError('forbidden', 'this server sends no webhooks: its administrator allows no address');
      if (!allowed.some((pattern) => matches(pattern, url)))
        throw new AppError('forbidden', 'the administrator does not allow webhooks to this address');
      return url;
    },
  };
}

function patternOf(text: string): HostPattern {
  const [, scheme = 'https', wild, host = ''] = /^(?:(https?):\/\/)?(\*\.)?([^*/\\?#@\s]+)$/.exec(text) ?? [];
  const url = URL.parse(`${scheme}://${host}`);
  const isWild = wild !== undefined;
  if (url === null || (isWild && isIP(bare(url.hostname)) !== 0)) {
    throw new AppError(
      'config_invalid',
      'DRIFTLESS_WEBHOOK_HOSTS: hosts as "example.org", "*.example.org:8443" or "http://127.0.0.1:8080", divided by commas',
    );
  }
  return { protocol: url.protocol, hostname: url.hostname, isWild, port: url.port };
}

function matches({ protocol, hostname, isWild, port }: HostPattern, url: URL): boolean {
  if (url.protocol !== protocol || url.port !== port) return false;
  if (!isWild) return url.hostname === hostname;
  return isIP(bare(url.hostname)) === 0 && url.hostname.endsWith(`.${hostname}`);
}

function bare(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** @see RFC 6890 and the IANA special-purpose registries: what is for one network, host or document alone, or for many */
const SPECIAL = new BlockList();
for (const net of [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
]) {
  const [address = '', bits] = net.split('/');
  SPECIAL.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
}
const GLOBAL_IPV6 = new BlockList();
GLOBAL_IPV6.addSubnet('2000::', 3, 'ipv6');
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether anybody on the internet would come to the same host with it. IPv4 inside IPv6 never counts. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !SPECIAL.check(address, 'ipv4');
    case 6:
      return GLOBAL_IPV6.check(address, 'ipv6') && !SPECIAL.check(address, 'ipv6');
    default:
      return false;
  }
}

type Resolved = readonly { readonly address: string; readonly family: number }[];
export type Resolve = (hostname: string) => Promise<Resolved>;
export const resolveName: Resolve = (hostname) => lookup(hostname, { all: true });

/**
 * Looks a name up for one connection, which then goes to an address that was checked, whatever the name leads to later. One address that is not public
 * and the name is refused; `localhost` has to be allowed by this name and leads to this host only. A host that is an address itself is not looked up:
 * it is allowed by this very address.
 */
export function checkedLookup(resolve: Resolve): LookupFunction {
  return (hostname, { all }, callback) => {
    const isAllowed = ({ address }: { address: string }): boolean =>
      hostname === 'localhost' ? LOOPBACK.check(address, isIPv6(address) ? 'ipv6' : 'ipv4') : isPublicAddress(address);
    void resolve(hostname)
      .then((addresses) => {
        if (!addresses.every(isAllowed)) throw new AppError('forbidden', 'the name leads to an address that is not public');
        return addresses;
      })
      .then(
        (addresses) => {
          const [first] = addresses;
          if (first === undefined) callback(new AppError('not_found', 'the name leads nowhere'), '');
          else if (all === true) callback(null, [...addresses]);
          else callback(null, first.address, first.family);
        },
        (error: NodeJS.ErrnoException) => callback(error, ''),
      );
  };
}
