import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { LIMITS } from '../Models/limits.ts';
import { exemptFrom, limitConnections } from './connection_limits.ts';
import { makeCertificate } from './tls_certificate.ts';

/** What a server tells of: a connection as it counts here. */
class Connection extends EventEmitter {
  destroyed = false;
  readonly remoteAddress: string;
  readonly remotePort: number;
  constructor(remoteAddress: string, remotePort: number) {
    super();
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

function openServer() {
  const server = new EventEmitter();
  let port = 0;
  return {
    limits: limitConnections(server, exemptFrom(['198.51.100.7', '10.1.0.0/16', '2001:db8:7::/48'])),
    connect(address: string): Connection {
      port += 1;
      const connection = new Connection(address, port);
      server.emit('connection', connection);
      return connection;
    },
  };
}
const most = LIMITS.connectionsPerAddressMax;

test('one address has so many connections without a ticket, and as many again once they are closed; others are not held up', () => {
  const { connect } = openServer();
  const open = Array.from({ length: most }, (_, i) => connect(`2001:db8::${i.toString(16)}`));
  assert.ok(open.every(({ destroyed }) => !destroyed));
  assert.ok(connect('2001:db8::ffff').destroyed);
  assert.ok(!connect('2001:db8:0:1::1').destroyed, 'another /64');
  assert.ok(!connect('192.0.2.1').destroyed);
  open[0]?.destroy();
  assert.ok(!connect('2001:db8::ffff').destroyed);
  assert.ok(connect('2001:db8::ffff').destroyed, 'one that was refused frees no place');
});

test('those on which a ticket was shown count apart, up to many', () => {
  const { limits, connect } = openServer();
  for (let n = 0; n < LIMITS.knownConnectionsPerAddressMax; n += 1) {
    const connection = connect('192.0.2.1');
    assert.ok(!connection.destroyed, `${n}`);
    limits.known(connection);
    limits.known({ ...connection }); // a TLS connection has the same address and port; each request says it again
  }
  const strangers = Array.from({ length: most }, () => connect('192.0.2.1'));
  for (const connection of strangers) limits.known(connection);
  assert.ok(strangers.every(({ destroyed }) => !destroyed));
  assert.ok(connect('192.0.2.1').destroyed, 'there was no room for more known ones');
});

test('a known one that closes takes no place of a stranger with it', () => {
  const { limits, connect } = openServer();
  const known = connect('192.0.2.1');
  limits.known(known);
  const strangers = Array.from({ length: most }, () => connect('192.0.2.1'));
  known.destroy();
  assert.ok(connect('192.0.2.1').destroyed);
  strangers[0]?.destroy();
  assert.ok(!connect('192.0.2.1').destroyed);
});

test('connections from this machine and from proxies are not counted', () => {
  const { connect } = openServer();
  for (const address of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1', '198.51.100.7', '::ffff:10.1.2.3', '2001:db8:7::9']) {
    for (let n = 0; n < 2 * most; n += 1) assert.ok(!connect(address).destroyed, address);
  }
});

test('a request over TLS makes the connection under it a known one', async (t) => {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const cert = await makeCertificate({ key, names: ['localhost'], atMs: Date.now() });
  const server = createServer({ key: key.export({ type: 'pkcs8', format: 'pem' }), cert }, (request, response) => {
    limits.known(request.socket);
    response.end('x');
  });
  const limits = limitConnections(server, () => false);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const opened: Socket[] = [];
  t.after(() => {
    for (const socket of opened) socket.destroy();
    server.close();
  });
  const known = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  opened.push(known);
  known.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(known, 'data');
  let accepted = 0;
  server.on('connection', ({ destroyed }: Socket) => {
    if (!destroyed) accepted += 1;
  });
  for (let n = 0; n < most; n += 1) {
    const socket = connect(port, '127.0.0.1');
    opened.push(socket);
    await once(socket, 'connect');
  }
  const refused = connect(port, '127.0.0.1').on('error', () => undefined);
  await once(refused, 'close');
  assert.equal(accepted, most);
});
