import { LIMITS } from '../../Models/limits.ts';
import type { Principal } from '../../Storage/metadata.ts';

/** A device with an event connection, or one that lost its last a moment ago. */
export type OnlineDevice = Principal & { readonly sinceMs: number /* 1970 */ };
/** Sends one text on one connection. @returns false, with nothing sent, while too much waits on it or when it is closed */
export type Outlet = (text: string) => boolean;
/** Must neither throw nor wait. */
export type PresenceListener = (device: OnlineDevice, online: boolean) => void;

type Known = { readonly device: OnlineDevice; readonly outlets: Set<Outlet>; leaving: NodeJS.Timeout | undefined };

/**
 * Which devices have an event connection to this server, since when, and a way to say something to one of them. A device has gone once it was without
 * a connection for `graceMs`, so that one which changes networks neither goes nor comes. Nothing of it is kept: after a restart
 * all come anew. Of devices connected to another server on the same database nothing is known here.
 */
export class Presence {
  readonly #graceMs: number;
  readonly #users = new Map<string, Map<string, Known>>(); // by user id and device id
  readonly #listeners = new Set<PresenceListener>();

  constructor({ graceMs = LIMITS.presenceGraceMs }: { readonly graceMs?: number } = {}) {
    this.#graceMs = graceMs;
  }

  /** A connection of this device is open. @returns to be called once, when it is no more */
  arrive(who: Principal, outlet: Outlet): () => void {
    const devices = this.#users.get(who.userId) ?? new Map<string, Known>();
    this.#users.set(who.userId, devices);
    let known = devices.get(who.deviceId);
    const isNew = known === undefined;
    known ??= { device: { ...who, sinceMs: Date.now() }, outlets: new Set(), leaving: undefined };
    devices.set(who.deviceId, known);
    known.outlets.add(outlet);
    clearTimeout(known.leaving);
    if (isNew) this.#tell(known.device, true);
    return () => this.#left(known, outlet);
  }

  /** The devices of these users that are online. */
  online(userIds: Iterable<string>): OnlineDevice[] {
    const found: OnlineDevice[] = [];
    for (const id of userIds) for (const { device } of this.#users.get(id)?.values() ?? []) found.push(device);
    return found;
  }

  /** Every device that is online. */
  everybody(): OnlineDevice[] {
    return this.online(this.#users.keys());
  }

  isOnline(userId: string, deviceId: string): boolean {
    return this.#users.get(userId)?.has(deviceId) === true;
  }

  /**
   * Says something to a device, on each of its connections: a JSON text with a `type`, which a client that does not know it passes over. It is
   * not repeated: what must arrive belongs into the journal. @returns on how many it was sent
   */
  send({ userId, deviceId }: Pick<Principal, 'userId' | 'deviceId'>, text: string): number {
    let sent = 0;
    for (const outlet of this.#users.get(userId)?.get(deviceId)?.outlets ?? []) if (outlet(text)) sent += 1;
    return sent;
  }

  /** @returns ends it */
  onChange(listener: PresenceListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Nobody is told of anybody any more. */
  close(): void {
    this.#listeners.clear();
    for (const devices of this.#users.values()) for (const { leaving } of devices.values()) clearTimeout(leaving);
  }

  #left(known: Known, outlet: Outlet): void {
    known.outlets.delete(outlet);
    if (known.outlets.size > 0) return;
    known.leaving = setTimeout(() => this.#gone(known.device), this.#graceMs).unref();
  }

  #gone(device: OnlineDevice): void {
    const devices = this.#users.get(device.userId);
    devices?.delete(device.deviceId);
    if (devices?.size === 0) this.#users.delete(device.userId);
    this.#tell(device, false);
  }

  #tell(device: OnlineDevice, online: boolean): void {
    for (const listener of this.#listeners) listener(device, online);
  }
}
