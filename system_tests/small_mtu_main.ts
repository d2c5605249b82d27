import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { openBareClient } from '../Client/testing/auth_client.ts';

/** Run by small_mtu_test.ts in a network of its own: what was cut into pieces by everything a client does, and by one datagram that is too long. */

const [data = ''] = process.argv.slice(2);
const user = { username: 'alice', password: 'correct horse battery' };

/** Pieces made, of IPv4. */
async function pieces(): Promise<number> {
  const [names, counts] = (await readFile('/proc/net/snmp', 'utf8')).split('\n').filter((line) => line.startsWith('Ip:'));
  const at = names?.split(' ').indexOf('FragCreates') ?? -1;
  return Number(counts?.split(' ')[at]);
}

await using daemon = await startDaemon(data);
await using client = openBareClient();
const exchange = await client.exchange(daemon.address);
await client.register(exchange, user);
const granted = await client.login(exchange, user);
await client.renew(exchange, granted);
await client.logout(exchange, granted);
exchange.close();
const ours = await pieces();

const socket = createSocket('udp4');
socket.bind(0, '127.0.0.1');
await once(socket, 'listening');
socket.send(Buffer.alloc(1300), socket.address().port, '127.0.0.1');
await once(socket, 'message');
socket.close();
process.stdout.write(`${JSON.stringify({ ours, tooLong: (await pieces()) - ours })}\n`);
