import { eventText, isBefore, type Moment } from '../../Models/events.ts';
import { LIMITS } from '../../Models/limits.ts';

/** What of a WebSocket is used here. */
export type EventSocket = {
  send(text: string, sent: () => void): void;
  ping(): void;
  close(code: number, reason: string): void;
  /** Cuts the connection without a word. */
  terminate(): void;
};

/** Close codes of RFC 6455. */
export const CLOSE = { goingAway: 1001, refused: 1008, tryLater: 1013 } as const;

const CONNECTED = eventText({ type: 'connected' });

/**
 * One client that listens. One hint at most is on its way and one is waiting, and of everything else `LIMITS.eventOutboxChars`: a client that
 * does not read costs little memory, and is cut when it does not answer a ping either.
 */
export class EventLink {
  readonly #socket: EventSocket;
  #unsent = 0; // characters given to the socket that are still on their way
  #gap: NodeJS.Timeout | undefined;
  #nextMs = 0; // on the clock of `performance.now()`: from when on the next hint may be sent
  #cutting: NodeJS.Timeout | undefined;
  #waiting: Moment | null = null; // the time of the last change that is to be told
  #answered = true;
  #received = 0;
  #ended = false;

  #onRoom: (() => void) | undefined;

  constructor(socket: EventSocket) {
    this.#socket = socket;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  get hasRoom(): boolean {
    return this.#unsent < LIMITS.eventOutboxChars;
  }

  /** Says that from now on there are hints. */
  greet(): void {
    this.#send(CONNECTED);
  }

  /** Resolves when there is room for more, or when the connection has ended. For one caller at a time. */
  room(): Promise<void> {
    if (this.hasRoom || this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  /** Sends one message more, whether there is room or not. */
  write(text: string): void {
    if (!this.#ended) this.#send(text);
  }

  /** Something is new: said at once, or as soon as may be. */
  tell(at: Moment): void {
    if (this.#waiting === null || isBefore(this.#waiting, at)) this.#waiting = at;
    this.#next();
  }

  /** Sends one message more. @returns false, with nothing sent, while too much is on its way or when the connection ends */
  post(text: string): boolean {
    if (this.#ended || !this.hasRoom) return false;
    this.#send(text);
    return true;
  }

  answered(): void {
    this.#answered = true;
  }

  /** Something came from the client; nothing it could say is wanted. */
  received(): void {
    this.#received += 1;
    if (this.#received > LIMITS.eventMessagesMax) this.close(CLOSE.refused, 'too_many_requests');
  }

  /** To be called once in `LIMITS.eventPingMs`. */
  ping(): void {
    if (this.#answered) {
      this.#answered = false;
      this.#received = 0;
      this.#socket.ping();
    } else this.cut();
  }

  /** @param reason one of our error codes, or nothing */
  close(code: number, reason: string): void {
    if (this.#ended) return;
    this.gone();
    this.#socket.close(code, reason);
    this.#cutting = setTimeout(() => this.#socket.terminate(), LIMITS.eventCloseTimeoutMs);
  }

  cut(): void {
    this.gone();
    this.#socket.terminate();
  }

  /** The connection is no more. */
  gone(): void {
    this.#ended = true;
    clearTimeout(this.#gap);
    clearTimeout(this.#cutting);
    this.#onRoom?.();
  }

  #next(): void {
    const at = this.#waiting;
    if (at === null || this.#unsent > 0 || this.#gap !== undefined || this.#ended) return;
    const waitMs = this.#nextMs - performance.now();
    if (waitMs > 0) {
      // A timer counts whole milliseconds, and may be early by one.
      this.#gap = setTimeout(() => {
        this.#gap = undefined;
        this.#next();
      }, waitMs);
      return;
    }
    this.#waiting = null;
    this.#send(eventText({ type: 'changed', at }));
    this.#nextMs = performance.now() + LIMITS.eventGapMs;
  }

  #send(text: string): void {
    this.#unsent += text.length;
    this.#socket.send(text, () => {
      this.#unsent -= text.length;
      if (this.hasRoom) this.#onRoom?.();
      this.#next();
    });
  }
}
