import type { FastifyBaseLogger } from 'fastify';
import type { AccountsReader } from '../Storage/accounts.ts';
import type { Companions } from '../Storage/space_readers.ts';
import type { OnlineDevice, Presence } from './presence.ts';
import { isoFromMilliseconds } from './rest_shapes.ts';

export type PresenceNewsDeps = {
  readonly presence: Pick<Presence, 'onChange'>;
  readonly companionsOf: Companions;
  readonly accounts: Pick<AccountsReader, 'devices'>;
  readonly log: FastifyBaseLogger;
};

/**
 * Tells who follows events that a device came or went, if it is their own or they share a folder with its user at that time. It is a state and not a
 * change: nothing of it is kept, and who connects asks for the state.
 */
export class PresenceNews {
  readonly #deps: PresenceNewsDeps;
  readonly #followers = new Map<string, Set<(text: string) => void>>(); // by user
  #telling: Promise<void> = Promise.resolve();

  constructor(deps: PresenceNewsDeps) {
    this.#deps = deps;
    deps.presence.onChange((device, online) => {
      if (this.#followers.size === 0) return;
      this.#telling = this.#telling
        .then(() => this.#tell(device, online))
        .catch((err: unknown) => deps.log.warn({ err }, 'who came or went could not be told'));
    });
  }

  /** @returns ends it */
  follow(userId: string, tell: (text: string) => void): () => void {
    const own = this.#followers.get(userId) ?? new Set();
    this.#followers.set(userId, own.add(tell));
    return () => {
      own.delete(tell);
      if (own.size === 0 && this.#followers.get(userId) === own) this.#followers.delete(userId);
    };
  }

  async #tell({ userId, userName, deviceId, sinceMs }: OnlineDevice, online: boolean): Promise<void> {
    const { companionsOf, accounts } = this.#deps;
    const users = new Set([userId, ...(await companionsOf(userId))]);
    const following = [...users].flatMap((id) => [...(this.#followers.get(id) ?? [])]);
    if (following.length === 0) return;
    const [device] = await accounts.devices([{ userId, deviceId }]);
    const name = device?.name ?? '';
    const text = JSON.stringify({ type: 'presence', user: userName, device: deviceId, name, online, since: isoFromMilliseconds(sinceMs) });
    for (const tell of following) tell(text);
  }
}
