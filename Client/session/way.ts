/** A way on which datagrams get to the daemon and back: any of them may be lost, doubled or late. */
export type Way = {
  /** Once; nothing is waited for. */
  send(datagram: Uint8Array): void;
  /** @returns ends it */
  listen(onReply: (bytes: Uint8Array) => void): () => void;
  /** What may be wrong with it, if anything seems to be: for the message, no more. */
  hint(): string | null;
  close(): void;
};
export type WayName = 'udp' | 'http';
