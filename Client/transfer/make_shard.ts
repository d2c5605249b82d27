import { httpFor } from '../http.ts';
import { isLoopback } from '../loopback.ts';
import { GetShard } from './get_shard.ts';
import type { Direction, Shard, ShardEvents } from './jobs.ts';
import { openManifestCache } from './manifest_cache.ts';
import { PutShard } from './put_shard.ts';

export type ShardSetup = {
  readonly direction: Direction;
  readonly serverUrl: string;
  readonly home: string;
  readonly scope: string;
  readonly ticket: () => Promise<string>;
  readonly refresh: () => Promise<string>;
  readonly pins: () => readonly string[];
};

/** A shard with its own connections, in this thread. */
export function makeShard(setup: ShardSetup, events: ShardEvents): Shard {
  const http = httpFor(setup);
  if (setup.direction === 'get') return new GetShard({ http, events });
  const cache = openManifestCache(setup.home, setup.scope);
  return new PutShard({ http, events, cache, compress: !isLoopback(setup.serverUrl) });
}
