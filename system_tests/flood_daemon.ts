/** A daemon for flooding.ts with the limits of a real one and cheap stretching, in a process of its own. Speaks to its parent only. */
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { AUTH_DEFAULTS } from '../Authentication/auth_daemon.ts';
import { openOpaqueThreads } from '../Authentication/opaque_threads.ts';
import { openSecrets } from '../Authentication/secrets.ts';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { encodeClient, LAYOUTS } from '../Models/datagrams.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { openAudit } from '../Storage/audit_sql.ts';
import type { FloodDaemonState } from './flooding.ts';

const [folder = ''] = process.argv.slice(2);
const secrets = await openSecrets(folder, { mayCreate: true });
const opaque = openOpaqueThreads(secrets.opaqueSetup);
const audit = await openAudit(
  { kind: 'sqlite', file: join(folder, 'audit.db') },
  { process: 'auth', onFailure: (error) => console.error(error) },
);
const started = await startDaemon(folder, { ...AUTH_DEFAULTS, opaque, audit });
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();

function state(): FloodDaemonState {
  const lateMs = delay.percentile(99) / 1e6;
  delay.reset();
  return { admitted: started.daemon.admitted(), rssBytes: process.memoryUsage.rss(), lateMs };
}

/** HELLOs from addresses that one cannot have here, handed to the daemon as a socket would. */
async function receiveForged(count: number, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const byte = (): number => Math.floor(random() * 256);
  const { fields } = LAYOUTS.client.hello;
  const rest = { ephemeral: new Uint8Array(fields.ephemeral), sealed: new Uint8Array(fields.sealed) };
  for (let n = 0; n < count; n += 1) {
    const transaction = Uint8Array.from({ length: 16 }, byte);
    const address =
      n % 2 === 0 ? `${byte()}.${byte()}.${byte()}.${byte()}` : `2001:db8:${byte().toString(16)}:${byte().toString(16)}::${byte()}`;
    await started.daemon.receive(encodeClient('hello', transaction, { ...rest, cookie: transaction }), { address, port: 1 + byte() });
    if (n % 256 === 0) await new Promise(setImmediate); // as between datagrams from a socket
  }
}

process.once('disconnect', () => process.exit()); // whoever floods was killed
process.send?.({ address: started.address });
process.on('message', (question: { forged?: number; seed?: number } | 'state' | 'end') => {
  if (question === 'state') process.send?.(state());
  else if (question !== 'end') void receiveForged(question.forged ?? 0, question.seed ?? 1).then(() => process.send?.(state()));
  else {
    void Promise.resolve(started[Symbol.asyncDispose]())
      .then(() => Promise.all([opaque.close(), audit.close()]))
      .then(() => process.disconnect?.());
  }
});
