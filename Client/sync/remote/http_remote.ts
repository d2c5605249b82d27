import type { Http } from '../../http.ts';
import type { ManifestCache } from '../../transfer/manifest_cache.ts';
import { type Clock, systemClock } from '../clock.ts';
import { arrivingChunks } from './http_remote_arriving.ts';
import { readChanges } from './http_remote_changes.ts';
import { fetchItems } from './http_remote_fetch.ts';
import { News } from './http_remote_news.ts';
import { pushItems } from './http_remote_push.ts';
import { type EventConnection, watchEvents } from './http_remote_watch.ts';
import { type Meters, pacedHttp, type RateLimits } from './rate_limit.ts';
import type { Remote } from './remote.ts';

export type HttpRemoteOptions = {
  /** Closed with the remote. */
  readonly http: Http;
  readonly events: EventConnection;
  /** Chunks of long files by version, under the node as `@ID`: keeps a change to one small in both directions. */
  readonly cache: ManifestCache;
  /** Chunks are compressed where that helps: not on loopback, where it only costs. */
  readonly compress: boolean;
  /** May be changed while it runs. */
  readonly limits: RateLimits;
  /** Told what passes. */
  readonly passed?: Meters;
  readonly clock?: Clock;
};

/** A Driftless server as the sync engine sees it. */
export function openHttpRemote(options: HttpRemoteOptions): Remote {
  const { cache, compress, events, clock = systemClock } = options;
  const http = pacedHttp(options.http, options.limits, clock, options.passed);
  const deps = { http, cache, compress, clock };
  const watches = new Set<() => void>();
  const news = new News();
  return {
    changes: (root, cursor, onPage) => readChanges(deps, { root, cursor }, onPage),
    push: (items, onDone, cursor) => news.afterPush(() => pushItems(deps, items, onDone, cursor)),
    fetch: (items, onDone) => fetchItems(deps, items, onDone),
    arriving: (id, signal) => arrivingChunks(http, id, signal),
    watch(onHint, onArriving) {
      const end = watchEvents(
        events,
        clock,
        (at) => news.hear(at, onHint),
        (file) => {
          if (!news.isPushing) onArriving?.(file); // it may be the own one
        },
      );
      watches.add(end);
      return () => {
        watches.delete(end);
        end();
      };
    },
    async close() {
      for (const end of watches) end();
      watches.clear();
      await http.close();
      await cache.settle();
    },
  };
}
