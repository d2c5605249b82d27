import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../processes.ts';

/** A FreeRADIUS that knows one user by the password in clear, and clients that log in by PAP (RFC 2865): nothing is hashed but a block of MD5. */
export type Radius = {
  /** @returns one client with a socket of its own; each login rejects when it is refused or unanswered */
  client(): Promise<{ login(): Promise<void>; close(): void }>;
  close(): Promise<void>;
};

const WHO = { name: 'alice', password: 'correct horse battery' };
const SECRET = 'bench';
const ACCEPT = 2;
const START_MS_MAX = 15_000;
const ANSWER_MS_MAX = 5000;

function config(folder: string, port: number): string {
  return `
prefix = /usr
exec_prefix = /usr
sysconfdir = /etc
localstatedir = ${folder}
sbindir = /usr/sbin
libdir = /usr/lib/freeradius
logdir = ${folder}
run_dir = ${folder}
db_dir = ${folder}
confdir = ${folder}
pidfile = ${folder}/pid
max_request_time = 30
cleanup_delay = 0
max_requests = 65536
hostname_lookups = no
log {
  destination = files
  file = ${folder}/log
}
security {
  allow_core_dumps = no
  max_attributes = 200
  reject_delay = 0
  status_server = no
}
thread pool {
  start_servers = 2
  max_servers = 8
  min_spare_servers = 1
  max_spare_servers = 4
  max_requests_per_server = 0
}
client bench {
  ipaddr = 127.0.0.1
  secret = ${SECRET}
}
modules {
  pap {
    normalise = no
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = ${port}
  }
  authorize {
    update control {
      &Cleartext-Password := "${WHO.password}"
    }
    pap
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
  }
}
`;
}

function attribute(type: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(type, value.length + 2), value]);
}

/** RFC 2865, 5.2: blocks of 16 bytes, each under MD5 of the secret and what came before. */
function hiddenPassword(authenticator: Uint8Array): Buffer {
  const text = Buffer.alloc(Math.ceil(WHO.password.length / 16) * 16);
  text.write(WHO.password);
  let before: Uint8Array = authenticator;
  for (let at = 0; at < text.length; at += 16) {
    const mask = createHash('md5').update(SECRET).update(before).digest();
    for (let n = 0; n < 16; n += 1) text[at + n] = (text[at + n] ?? 0) ^ (mask[n] ?? 0);
    before = text.subarray(at, at + 16);
  }
  return text;
}

function accessRequest(id: number): Buffer {
  const authenticator = randomBytes(16);
  const attributes = [attribute(1, Buffer.from(WHO.name)), attribute(2, hiddenPassword(authenticator)), attribute(80, Buffer.alloc(16))];
  const body = Buffer.concat([authenticator, ...attributes]);
  const packet = Buffer.concat([Buffer.of(1, id, 0, body.length + 4), body]);
  createHmac('md5', SECRET)
    .update(packet)
    .digest()
    .copy(packet, packet.length - 16); // Message-Authenticator
  return packet;
}

async function login(socket: Socket, id: number): Promise<void> {
  socket.send(accessRequest(id));
  for (;;) {
    const [reply] = (await once(socket, 'message', { signal: AbortSignal.timeout(ANSWER_MS_MAX) })) as [Buffer];
    if (reply[1] !== id) continue;
    if (reply[0] !== ACCEPT) throw new Error(`FreeRADIUS refused: ${reply[0]}`);
    return;
  }
}

/** @returns `null` where FreeRADIUS is not installed (Debian: `freeradius`). @throws Error when it does not answer */
export async function startRadius(folder: string): Promise<Radius | null> {
  try {
    execFileSync('freeradius', ['-v'], { stdio: 'ignore' });
  } catch {
    return null;
  }
  await mkdir(folder, { recursive: true });
  const port = await freePort('udp');
  await writeFile(join(folder, 'radiusd.conf'), config(folder, port));
  const child: ChildProcess = spawn('freeradius', ['-f', '-d', folder, '-n', 'radiusd'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const radius: Radius = {
    async client() {
      const socket = createSocket('udp4');
      socket.on('error', () => undefined); // it is not there yet
      socket.connect(port, '127.0.0.1');
      await once(socket, 'connect');
      let id = 0;
      return {
        login() {
          id = (id + 1) % 256;
          return login(socket, id);
        },
        close: () => socket.close(),
      };
    },
    async close() {
      child.kill();
      await ended;
    },
  };
  const first = await radius.client();
  try {
    for (const until = performance.now() + START_MS_MAX; ; ) {
      const isThere = await Promise.race([
        first.login().then(
          () => true,
          () => false,
        ),
        sleep(200, false),
      ]);
      if (isThere) return radius;
      if (performance.now() > until) throw new Error(`FreeRADIUS did not start: see ${folder}/log`);
    }
  } catch (error) {
    await radius.close();
    throw error;
  } finally {
    first.close();
  }
}
