import { hash } from 'node:crypto';

type Reply = Uint8Array | null;

/** What was answered to which datagram, so that a repeat gets the very same bytes, also while the first is still being worked on. */
export type Replies = {
  get(datagram: Uint8Array): Promise<Reply> | undefined;
  /** Keeps the reply, unless the work fails. */
  put(datagram: Uint8Array, reply: Promise<Reply>): void;
};

export function createReplies(max: number): Replies {
  const replies = new Map<string, Promise<Reply>>();
  return {
    get: (datagram) => replies.get(hash('sha256', datagram, 'base64')),
    put(datagram, reply) {
      const key = hash('sha256', datagram, 'base64');
      replies.set(key, reply);
      reply.catch(() => replies.delete(key));
      if (replies.size > max) {
        const [oldest] = replies.keys();
        if (oldest !== undefined) replies.delete(oldest);
      }
    },
  };
}
