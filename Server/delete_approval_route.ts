import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { ApprovalBody, ApprovalResult } from '../Models/rest.ts';
import { ROUTES } from '../Models/routes.ts';
import type { DeleteScope } from '../Storage/delete_scope.ts';
import type { Authenticate } from './authenticate.ts';
import type { DeleteFuse } from './delete_fuse.ts';
import { PROBLEMS } from './openapi.ts';
import { isoFromMilliseconds } from './rest_shapes.ts';

export type ApprovalRouteDeps = {
  readonly fuse: Pick<DeleteFuse, 'approve'>;
  readonly deleteScope: Pick<DeleteScope, 'spaceAt'>;
  readonly authenticate: Authenticate;
};

/** Where a person says that the deletes of this device are meant. */
export function registerApprovalRoute(app: FastifyInstance, { fuse, deleteScope, authenticate }: ApprovalRouteDeps): void {
  app.withTypeProvider<ZodTypeProvider>().post(
    ROUTES.approvals,
    {
      schema: {
        summary: 'Let the deletes of this device through that are held',
        body: ApprovalBody,
        response: { 200: ApprovalResult, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const space = await deleteScope.spaceAt(principal, request.body.path);
      return { until: isoFromMilliseconds(Date.now() + fuse.approve(principal, space)) };
    },
  );
}
