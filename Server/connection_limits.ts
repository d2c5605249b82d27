import type { EventEmitter } from 'node:events';
import { BlockList, isIPv6, type Socket } from 'node:net';
import { addressGroup, isLoopbackAddress, plainAddress } from '../Models/addresses.ts';
import { LIMITS } from '../Models/limits.ts';

export type ConnectionLimits = {
  /** A good ticket was shown on this connection: it counts among those then. */
  known(connection: Place): void;
};
type Place = { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined };

/**
 * How many connections one address may have open: few before a ticket was shown on them, many after that, since many people can be behind one address.
 * @param server of HTTP or HTTPS. @param isExempt see `exemptFrom`
 */
export function limitConnections(server: Pick<EventEmitter, 'on'>, isExempt: (address: string) => boolean): ConnectionLimits {
  const strangers = new Map<string, number>(); // by address group
  const known = new Map<string, number>();
  const counted = new Map<string, Map<string, number>>(); // by address and port: where it is counted

  server.on('connection', (socket: Socket) => {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || isExempt(remoteAddress)) return;
    const group = addressGroup(remoteAddress);
    if ((strangers.get(group) ?? 0) >= LIMITS.connectionsPerAddressMax) {
      socket.destroy();
      return;
    }
    const place = placeOf(socket);
    add(strangers, group, 1);
    counted.set(place, strangers);
    socket.once('close', () => {
      add(counted.get(place) ?? strangers, group, -1);
      counted.delete(place);
    });
  });

  return {
    known(connection) {
      const place = placeOf(connection);
      if (counted.get(place) !== strangers) return;
      const group = addressGroup(connection.remoteAddress ?? '');
      if ((known.get(group) ?? 0) >= LIMITS.knownConnectionsPerAddressMax) return;
      add(strangers, group, -1);
      add(known, group, 1);
      counted.set(place, known);
    },
  };
}

/** From where connections are not counted: from this machine, where the sync clients of all its users are, and from proxies. @param proxies addresses and networks */
export function exemptFrom(proxies: readonly string[]): (address: string) => boolean {
  const trusted = new BlockList();
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/');
    const kind = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (bits === undefined) trusted.addAddress(address, kind);
    else trusted.addSubnet(address, Number(bits), kind);
  }
  return (address) => {
    const plain = plainAddress(address);
    return isLoopbackAddress(plain) || trusted.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
  };
}

/** The same for a TLS connection and what it runs over. */
function placeOf({ remoteAddress, remotePort }: Place): string {
  return `${remoteAddress} ${remotePort}`;
}

function add(counts: Map<string, number>, group: string, more: number): void {
  const count = (counts.get(group) ?? 0) + more;
  if (count <= 0) counts.delete(group);
  else counts.set(group, count);
}
