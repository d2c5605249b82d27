/** The daemon of login_bench.ts, in a process of its own so that its processor time can be told apart. Speaks to its parent only. */
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { KSF_DEFAULT } from '../Models/datagram_fields.ts';

const [folder = '', stretching = 'free'] = process.argv.slice(2);
const daemon = await startDaemon(folder, stretching === 'free' ? {} : { ksf: KSF_DEFAULT });
process.send?.({ address: daemon.address });
process.on('message', (question) => {
  if (question === 'cpu') process.send?.({ cpuMs: cpuMs() });
  else void Promise.resolve(daemon[Symbol.asyncDispose]()).then(() => process.disconnect?.());
});

process.once('disconnect', () => process.exit()); // whoever measures was killed

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
