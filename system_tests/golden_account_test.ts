import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '../Client/client.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { freePort, startProcess } from '../processes.ts';
import { openAccounts } from '../Storage/accounts_sql.ts';
import golden from './golden_account.json' with { type: 'json' };

test('an account and the secrets of the first version log in with this one, and clients of then find the daemon they knew', async (t) => {
  const folder = await temporaryFolder(t);
  const [data, home] = [join(folder, 'data'), join(folder, 'home')];
  await mkdir(join(data, 'auth'), { recursive: true, mode: 0o700 });
  await mkdir(home, { mode: 0o700 });
  await writeFile(join(data, 'auth', 'secrets.json'), JSON.stringify(golden.secrets), { mode: 0o600 });
  const { password, ...stored } = golden.account;
  const accounts = await openAccounts({ kind: 'sqlite', file: join(data, 'accounts.db') });
  const record = Buffer.from(stored.record, 'base64url');
  await accounts.addAccount({ ...stored, record, role: 'user', disabled: false }, Date.now());
  await accounts.close();
  const auth = `127.0.0.1:${await freePort('udp')}`;
  const profile = { version: 1, deviceId: '1'.repeat(32), daemons: { [auth]: golden.pins }, sessions: [] };
  await writeFile(join(home, 'profile.json'), JSON.stringify(profile), { mode: 0o600 });

  const env = {
    ...process.env,
    DRIFTLESS_HOST: '127.0.0.1',
    DRIFTLESS_DATA: data,
    DRIFTLESS_LOGS: join(folder, 'logs'),
    DRIFTLESS_AUTH_PORT: auth.split(':')[1],
    DRIFTLESS_DATABASE: undefined,
  };
  const daemon = await startProcess('auth', { env, folder });
  t.after(() => daemon.stop());
  await using client = await connect({ username: stored.name, password, auth, home });
  assert.equal(client.username, stored.name);
  await assert.rejects(connect({ username: stored.name, password: `${password}r`, auth, home }), { code: 'credentials_wrong' });
});
