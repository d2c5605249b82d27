import type { FastifyBaseLogger } from 'fastify';
import type { Audit } from '../Storage/audit.ts';
import type { ServerStore } from '../Storage/server_store.ts';

type StrayDeps = Pick<ServerStore, 'takeStraysHome'> & {
  readonly audit: Pick<Audit, 'record'>;
  readonly log: Pick<FastifyBaseLogger, 'warn' | 'error'>;
};

/** Done when the server starts, which a failure does not keep it from: then the next start tries again. */
export async function bringStraysHome({ takeStraysHome, audit, log }: StrayDeps): Promise<void> {
  try {
    for (const { nodeId, ownerId, ownerName } of await takeStraysHome()) {
      log.warn({ node: nodeId, user: ownerId }, 'an entry lay in a folder of another space: it is in the root of its own now');
      audit.record({ what: 'entry_moved', result: 'ok', userId: ownerId, userName: ownerName, detail: `@${nodeId}` });
    }
  } catch (err) {
    log.error({ err }, 'entries in folders of another space could not be looked for');
  }
}
