import { httpFor } from '../http.ts';
import { systemClock } from '../sync/clock.ts';
import type { Disk } from '../sync/disk/disk.ts';
import { openNodeDisk } from '../sync/disk/node_disk.ts';
import { eventSocket } from '../sync/remote/event_socket.ts';
import { openHttpRemote } from '../sync/remote/http_remote.ts';
import type { RateLimits } from '../sync/remote/rate_limit.ts';
import type { FetchItem, Remote, Upload } from '../sync/remote/remote.ts';
import type { CachedVersion, ManifestCache } from '../transfer/manifest_cache.ts';

export type RemoteClient = Remote & { readonly limits: RateLimits; readonly remembered: Map<string, CachedVersion> };

/** The remote of a sync engine by itself. It is as patient as in earnest, but ten times as fast about it. */
export function openRemoteClient(serverUrl: string, ticket: string): RemoteClient {
  const limits: RateLimits = { upBytesPerSecond: undefined, downBytesPerSecond: undefined };
  const remembered = new Map<string, CachedVersion>();
  const good = async (): Promise<string> => ticket;
  const access = { serverUrl, ticket: good, refresh: good, pins: () => [] };
  const remote = openHttpRemote({
    http: httpFor(access),
    events: eventSocket(access),
    cache: memoryCache(remembered),
    compress: false,
    limits,
    clock: { ...systemClock, after: (ms, then) => systemClock.after(ms / 10, then) },
  });
  return { ...remote, limits, remembered };
}

export function memoryCache(remembered: Map<string, CachedVersion>): ManifestCache {
  return {
    recall: async (remote) => remembered.get(remote) ?? null,
    remember(remote, version, { size }, { digest, chunks }) {
      const facts = { name: '', kind: 'file', size, mtimeUs: 0, version, mode: 0, chunkCount: chunks.length, target: null } as const;
      remembered.set(remote, { entry: { ...facts, digest }, chunks });
    },
    forget: (remote) => void remembered.delete(remote),
    settle: async () => undefined,
  };
}

/** A folder as the engine has it. */
export function openFolder(path: string): Disk {
  return openNodeDisk(path);
}

/** The upload of a file that is there, as it is now. */
export function uploadOf(disk: Disk, name: string, path: string, more: Partial<Upload> = {}): Upload {
  const expected = disk.stat(name);
  if (expected === null) throw new Error(`${name} is not there`);
  return { path, base: 'absent', expected, open: () => disk.open(name), previous: null, known: () => false, ...more };
}

/** The fetch of what a push had made. */
export function fetchOf(
  disk: Disk,
  name: string,
  key: number,
  node: FetchItem['node'],
  previous: { name: string; version: number } | null = null,
): FetchItem {
  return {
    key,
    node,
    create: () => disk.create(name, 0o600),
    previous: previous === null ? null : { version: previous.version, open: () => disk.open(previous.name) },
  };
}
