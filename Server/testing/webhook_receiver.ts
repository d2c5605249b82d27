import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export type Received = { readonly headers: IncomingHttpHeaders; readonly body: string; readonly path: string; readonly atMs: number };
type Event = { readonly type: string; readonly cursor: string; readonly path: string; readonly kind: string };

/** A real HTTP server on loopback that keeps what it is sent and answers with what `answer` does, 204 if that is not given. */
export type WebhookReceiver = AsyncDisposable & {
  readonly origin: string;
  readonly received: Received[];
  answer: (response: ServerResponse, n: number) => void;
  /** Waits until so many requests were answered. */
  requests(count: number): Promise<readonly Received[]>;
  /** Waits until this holds of the requests so far; asked after each. */
  until(holds: (received: readonly Received[]) => boolean): Promise<void>;
};

export async function openReceiver(): Promise<WebhookReceiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ headers: request.headers, body, path: request.url ?? '', atMs: performance.now() });
      receiver.answer(response, received.length);
      server.emit('received');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const receiver: WebhookReceiver = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answer: (response) => void response.writeHead(204).end(),
    async requests(count) {
      await receiver.until(({ length }) => length >= count);
      return received;
    },
    async until(holds) {
      while (!holds(received)) await once(server, 'received');
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return receiver;
}

export function eventsOf({ body }: Received): readonly Event[] {
  return JSON.parse(body).events;
}
