import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { limitConnections } from './connection_limits.ts';

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
    limits: limitConnections(server),
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

test('connections from this machine are not counted', () => {
  const { connect } = openServer();
  for (const address of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1']) {
    for (let n = 0; n < 2 * most; n += 1) assert.ok(!connect(address).destroyed, address);
  }
});
