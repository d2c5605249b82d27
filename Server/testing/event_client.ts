import assert from 'node:assert/strict';
import { ROUTES } from '../../Models/routes.ts';

/** One message of an event connection, whatever it holds. */
export type Message = { readonly type: string; readonly cursor?: string } & Record<string, unknown>;

/** Follows events on a connection of its own. */
export class EventClient implements Disposable {
  readonly messages: Message[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #socket: WebSocket;
  #woken: () => void = () => undefined;

  constructor(base: string, ticket: string, since: string) {
    const url = `${base.replace('http', 'ws')}${ROUTES.events}?${new URLSearchParams({ since })}`;
    this.#socket = new WebSocket(url, { headers: { authorization: `Bearer ${ticket}` } });
    this.#socket.addEventListener('message', ({ data }) => {
      this.messages.push(JSON.parse(String(data)) as Message);
      this.#woken();
    });
    this.closed = new Promise((resolve) => {
      this.#socket.addEventListener('close', ({ code, reason }) => {
        this.#woken();
        resolve({ code, reason });
      });
    });
  }

  /** Waits until a message is there that `isIt` is true for. @returns all up to now */
  async until(isIt: (message: Message) => boolean, timeoutMs = 30_000): Promise<Message[]> {
    const deadline = AbortSignal.timeout(timeoutMs);
    while (!this.messages.some(isIt)) {
      assert.ok(!deadline.aborted, `did not come; last: ${JSON.stringify(this.messages.at(-1))}`);
      await new Promise<void>((resolve) => {
        this.#woken = resolve;
        deadline.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    return this.messages;
  }

  end(): Promise<unknown> {
    this.#socket.close();
    return this.closed;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
