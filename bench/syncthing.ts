import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../processes.ts';

/** Two devices that share one folder, both watching it with a delay of one second, which is the least that can be set. */
export type Syncthing = AsyncDisposable & {
  readonly from: string; // the folder on the first device
  readonly to: string;
};

const READY_MS_MAX = 30_000;
const OFF = ['globalAnnounceEnabled', 'localAnnounceEnabled', 'relaysEnabled', 'natEnabled', 'crashReportingEnabled', 'startBrowser'];

type Device = { readonly folder: string; readonly id: string; readonly listen: string; readonly process: ChildProcess; readonly api: Api };
type Api = (method: 'GET' | 'PUT', path: string, body?: unknown) => Promise<unknown>;

/** Below `folder`, on loopback ports that are free, telling nobody else. @returns `null` when Syncthing is not installed */
export async function startSyncthing(folder: string): Promise<Syncthing | null> {
  if (spawnSync('syncthing', ['--version']).status !== 0) return null;
  const devices = [await startDevice(join(folder, 'first')), await startDevice(join(folder, 'second'))] as const;
  const [first, second] = devices;
  await first.api('PUT', `config/devices/${second.id}`, { deviceID: second.id, addresses: [second.listen] });
  await second.api('PUT', `config/devices/${first.id}`, { deviceID: first.id, addresses: [first.listen] });
  for (const { api, folder: path } of devices) {
    const shared = devices.map(({ id }) => ({ deviceID: id }));
    await api('PUT', 'config/folders/bench', { id: 'bench', path, fsWatcherEnabled: true, fsWatcherDelayS: 1, devices: shared });
  }
  await meeting(first, second);
  return {
    from: first.folder,
    to: second.folder,
    async [Symbol.asyncDispose]() {
      for (const { process } of devices) {
        const ended = once(process, 'close');
        process.kill();
        await ended;
      }
    },
  };
}

async function startDevice(place: string): Promise<Device> {
  const home = join(place, 'home');
  const folder = join(place, 'folder');
  await mkdir(home, { recursive: true });
  await mkdir(folder);
  execFileSync('syncthing', ['generate', '--no-default-folder', `--home=${home}`], { stdio: 'ignore' });
  const file = join(home, 'config.xml');
  const gui = `127.0.0.1:${await freePort('tcp')}`;
  const listen = `tcp://127.0.0.1:${await freePort('tcp')}`;
  let config = await readFile(file, 'utf8');
  config = config.replace(/<address>127\.0\.0\.1:\d+<\/address>/, `<address>${gui}</address>`);
  config = config.replace(/<listenAddress>.*?<\/listenAddress>/, `<listenAddress>${listen}</listenAddress>`);
  for (const name of OFF) config = config.replace(`<${name}>true<`, `<${name}>false<`);
  await writeFile(file, config);
  const id = execFileSync('syncthing', [`--home=${home}`, '--device-id'], { encoding: 'utf8' }).trim();
  const api = apiOf(gui, /<apikey>(.*?)<\/apikey>/.exec(config)?.[1] ?? '');
  const process = spawn('syncthing', ['--home', home, '--no-browser'], { stdio: 'ignore' });
  await eventually(async () => {
    await api('GET', 'system/ping');
    return true;
  });
  return { folder, id, listen, process, api };
}

function apiOf(address: string, key: string): Api {
  return async (method, path, body) => {
    const headers = { 'x-api-key': key, 'content-type': 'application/json' };
    const request: RequestInit = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    const answer = await fetch(`http://${address}/rest/${path}`, request);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`Syncthing answered ${path} with ${answer.status}: ${text}`);
    return text === '' ? null : JSON.parse(text);
  };
}

/** They are connected, and the folder is at rest on both. */
async function meeting(first: Device, second: Device): Promise<void> {
  const probe = 'probe.txt';
  await eventually(async () => {
    const states = await Promise.all([first, second].map(({ api }) => api('GET', 'db/status?folder=bench')));
    return states.every((state) => typeof state === 'object' && state !== null && 'state' in state && state.state === 'idle');
  });
  await writeFile(join(first.folder, probe), 'are you there?');
  await eventually(async () => (await readFile(join(second.folder, probe), 'utf8')) !== '');
}

async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  for (const since = Date.now(); ; await sleep(100)) {
    try {
      if (await isSo()) return;
    } catch (error) {
      if (Date.now() - since > READY_MS_MAX) throw error;
    }
    if (Date.now() - since > READY_MS_MAX) throw new Error('Syncthing did not get ready');
  }
}
