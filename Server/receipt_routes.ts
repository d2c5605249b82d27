import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { SyncedMessage } from '../Models/rest_events.ts';
import {
  PlacesBody,
  PlacesResult,
  type RestSyncedRoot,
  SyncReportBody,
  SyncReportResult,
  SyncStatusResult,
} from '../Models/rest_receipt.ts';
import { ROUTES } from '../Models/routes.ts';
import type { AccountsReader } from '../Storage/accounts.ts';
import type { ChunkStore } from '../Storage/chunk_store.ts';
import type { Principal } from '../Storage/metadata.ts';
import type { UsersDevice } from '../Storage/sessions.ts';
import type { ReportedRoot, SyncReports } from '../Storage/sync_reports.ts';
import type { Authenticate } from './authenticate.ts';
import type { Presence } from './events/presence.ts';
import type { StateNews } from './events/state_news.ts';
import { PROBLEMS } from './openapi.ts';
import { isoFromMilliseconds } from './rest_shapes.ts';

export type ReceiptRouteDeps = {
  readonly syncReports: SyncReports;
  readonly chunks: Pick<ChunkStore, 'copies'>;
  readonly presence: Pick<Presence, 'isOnline'>;
  readonly states: Pick<StateNews, 'tell'>;
  readonly accounts: Pick<AccountsReader, 'devices'>;
  readonly authenticate: Authenticate;
};

/** What devices say of the folders they keep, and where a file is because of that. All of it is about the caller's own devices. */
export function registerReceiptRoutes(plain: FastifyInstance, deps: ReceiptRouteDeps): void {
  const { syncReports, chunks, states, authenticate } = deps;
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.post(
    ROUTES.syncReports,
    { schema: { summary: 'Tell what is on this disk', body: SyncReportBody, response: { 200: SyncReportResult, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const accepted = await syncReports.take(principal, request.body);
      const { state } = request.body;
      const find = async (isFollowed: (userId: string) => boolean) =>
        isFollowed(principal.userId) ? syncedNews(deps, principal, state) : null;
      if (accepted) states.tell(`synced ${principal.userId} ${state}`, find);
      return { accepted };
    },
  );
  app.post(
    ROUTES.places,
    {
      schema: {
        summary: 'On how many stores and on which of your devices files are',
        body: PlacesBody,
        response: { 200: PlacesResult, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const found = await syncReports.places(principal, request.body.paths);
      const devices = await devicesNamed(
        deps,
        principal.userId,
        found.flatMap((place) => place?.devices ?? []),
      );
      return {
        places: found.map((place) => {
          if (place === null) return null;
          const there = place.devices
            .flatMap(({ deviceId, atMs }) => {
              const device = devices.get(deviceId);
              return device?.signedIn === true ? [{ device: deviceId, name: device.name, reportedAt: isoFromMilliseconds(atMs) }] : [];
            })
            .sort((a, b) => (a.reportedAt < b.reportedAt ? 1 : -1));
          const { path, version } = place;
          return { path, version, durable: chunks.copies + there.length, stores: chunks.copies, devices: there };
        }),
      };
    },
  );
  app.get(
    ROUTES.syncStatus,
    { schema: { summary: 'How far each of your devices is with the folders it keeps', response: { 200: SyncStatusResult, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const roots = await syncedRoots(deps, principal);
      return { roots: roots.map(({ root }) => ({ ...root, current: root.device === principal.deviceId })) };
    },
  );
}

type Synced = { readonly state: string /* of the index */; readonly root: Omit<RestSyncedRoot, 'current'> };

async function syncedRoots(deps: ReceiptRouteDeps, principal: Principal): Promise<Synced[]> {
  const roots = await deps.syncReports.roots(principal);
  const devices = await devicesNamed(deps, principal.userId, roots);
  return roots.map(({ state, deviceId, path, reportedAtMs, seenAtMs, ...said }) => {
    const device = devices.get(deviceId);
    const online = deps.presence.isOnline(principal.userId, deviceId);
    const root = {
      ...{ ...said, device: deviceId, name: device?.name ?? '', remote: path },
      state: stateOf(said, device?.signedIn === true, online),
      reportedAt: isoFromMilliseconds(reportedAtMs),
      seenAt: isoFromMilliseconds(seenAtMs),
    };
    return { state, root };
  });
}

async function syncedNews(deps: ReceiptRouteDeps, principal: Principal, index: string) {
  const synced = (await syncedRoots(deps, principal)).find(({ state }) => state === index);
  const message: SyncedMessage | null = synced === undefined ? null : { type: 'synced', ...synced.root };
  return message === null ? null : { users: [principal.userId], message };
}

function stateOf(
  { held, behind, waiting }: Pick<ReportedRoot, 'held' | 'behind' | 'waiting'>,
  signedIn: boolean,
  online: boolean,
): RestSyncedRoot['state'] {
  if (!signedIn) return 'signed_out';
  if (!online) return 'offline';
  if (held) return 'held';
  if (behind === null) return 'unknown';
  return behind > 0 || waiting > 0 ? 'working' : 'in_sync';
}

/** No user has more than `LIMITS.syncStatesPerUserMax` that tell anything. */
async function devicesNamed(
  { accounts }: ReceiptRouteDeps,
  userId: string,
  named: readonly { readonly deviceId: string }[],
): Promise<Map<string, UsersDevice>> {
  const ids = new Set(named.map(({ deviceId }) => deviceId));
  const devices = await accounts.devices([...ids].map((deviceId) => ({ userId, deviceId })));
  return new Map(devices.map((device) => [device.deviceId, device]));
}
