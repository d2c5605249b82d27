import type { PresenceMessage } from '../../Models/rest_events.ts';
import type { AccountsReader } from '../../Storage/accounts.ts';
import type { Companions } from '../../Storage/space_readers.ts';
import { isoFromMilliseconds } from '../rest_shapes.ts';
import type { Presence } from './presence.ts';
import type { StateNews } from './state_news.ts';

export type PresenceNewsDeps = {
  readonly presence: Pick<Presence, 'onChange'>;
  readonly states: Pick<StateNews, 'tell'>;
  readonly companionsOf: Companions;
  readonly accounts: Pick<AccountsReader, 'devices'>;
};

/** Tells who follows events that a device came or went, if it is their own or they share a folder with its user at that time. */
export function tellPresence({ presence, states, companionsOf, accounts }: PresenceNewsDeps): void {
  presence.onChange(({ userId, userName, deviceId, sinceMs }, online) =>
    states.tell(`presence ${userId} ${deviceId}`, async (isFollowed) => {
      const users = new Set([userId, ...(await companionsOf(userId))]);
      if (![...users].some(isFollowed)) return null;
      const [device] = await accounts.devices([{ userId, deviceId }]);
      const name = device?.name ?? '';
      const since = isoFromMilliseconds(sinceMs);
      return { users, message: { type: 'presence', user: userName, device: deviceId, name, online, since } satisfies PresenceMessage };
    }),
  );
}
