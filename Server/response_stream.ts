import type { ServerResponse } from 'node:http';

/** Writes and waits until the system has taken the bytes, or the connection is gone: the buffer may be used again then. */
export function sendPiece(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('close', done);
      resolve();
    };
    response.once('close', done);
    response.write(bytes, done);
  });
}
