import type { AccountsReader } from '../Storage/accounts.ts';
import type { Notices } from '../Storage/notices.ts';
import type { EndedSession } from '../Storage/sessions.ts';

export type RevokedDevicesDeps = {
  readonly notices: Pick<Notices, 'deviceRevoked'>;
  readonly accounts: Pick<AccountsReader, 'devices' | 'userNames'>;
  readonly onFailure: (error: unknown) => void;
};

const ATTEMPTS_MAX = 1000;

/** Has users told which of their devices were revoked. What fails is tried with the next; being told of one again does nothing. */
export class RevokedDevices {
  readonly #deps: RevokedDevicesDeps;
  #waiting = new Map<string, EndedSession>(); // by user and device
  #telling: Promise<void> = Promise.resolve();

  constructor(deps: RevokedDevicesDeps) {
    this.#deps = deps;
  }

  /** To be called with what ended, and with nothing, now and then. */
  ended(sessions: readonly EndedSession[]): void {
    for (const session of sessions) {
      if (session.deviceRevoked && this.#waiting.size < ATTEMPTS_MAX) this.#waiting.set(`${session.userId} ${session.deviceId}`, session);
    }
    if (this.#waiting.size > 0) this.#telling = this.#telling.then(() => this.#tell());
  }

  /** Resolves when all that could be told was. */
  close(): Promise<void> {
    return this.#telling;
  }

  async #tell(): Promise<void> {
    const { notices, accounts, onFailure } = this.#deps;
    for (const [key, { userId, deviceId, endedAtMs }] of this.#waiting) {
      try {
        const userName = (await accounts.userNames([userId])).get(userId) ?? '';
        const [device] = await accounts.devices([{ userId, deviceId }]);
        await notices.deviceRevoked({ userId, userName, deviceId }, { name: device?.name ?? '', atMs: endedAtMs });
        this.#waiting.delete(key);
      } catch (error) {
        onFailure(error);
        return;
      }
    }
  }
}
