import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../Models/errors.ts';
import {
  AcceptResult,
  InvitationId,
  InvitationsPage,
  InviteBody,
  MembersPage,
  PathBody,
  PathQuery,
  RestInvitation,
} from '../Models/rest.ts';
import { ROUTES } from '../Models/routes.ts';
import type { AccountsReader } from '../Storage/accounts.ts';
import type { Metadata } from '../Storage/metadata.ts';
import type { Authenticate } from './authenticate.ts';
import { NOTHING, PROBLEMS } from './openapi.ts';
import { restInvitation } from './rest_shapes.ts';

export type ShareRouteDeps = {
  readonly metadata: Pick<Metadata, 'invite' | 'invitations' | 'accept' | 'decline' | 'members' | 'leave'>;
  readonly accounts: Pick<AccountsReader, 'findUser'>;
  readonly authenticate: Authenticate;
};

/** Sharing a folder: invite, answer, see who is in it, leave it. */
export function registerShareRoutes(app: FastifyInstance, deps: ShareRouteDeps): void {
  registerInviting(app, deps);
  registerAnswering(app, deps);
  registerMembership(app, deps);
}

function registerInviting(plain: FastifyInstance, { metadata, accounts, authenticate }: ShareRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.post(
    ROUTES.invitations,
    { schema: { summary: 'Invite a user to a folder of yours', body: InviteBody, response: { 200: RestInvitation, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, user, role, message } = request.body;
      const invited = await accounts.findUser(user);
      if (invited === null) throw new AppError('user_unknown', 'there is no such user');
      const wanted = { path, userId: invited.id, userName: invited.name, role, message: message ?? null };
      return restInvitation(await metadata.invite(principal, wanted));
    },
  );
  app.get(
    ROUTES.invitations,
    { schema: { summary: 'Invitations to you, and those you made', response: { 200: InvitationsPage, ...PROBLEMS } } },
    async (request) => {
      const { received, sent } = await metadata.invitations((await authenticate(request)).principal);
      return { received: received.map(restInvitation), sent: sent.map(restInvitation) };
    },
  );
}

function registerAnswering(plain: FastifyInstance, { metadata, authenticate }: ShareRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.post(
    `${ROUTES.invitations}/:id/accept`,
    { schema: { summary: 'Accept: the folder appears in your tree', params: InvitationId, response: { 200: AcceptResult, ...PROBLEMS } } },
    async (request) => metadata.accept((await authenticate(request)).principal, request.params.id),
  );
  app.post(
    `${ROUTES.invitations}/:id/decline`,
    { schema: { summary: 'Decline', params: InvitationId, response: { 204: NOTHING, ...PROBLEMS } } },
    async (request, reply) => {
      await metadata.decline((await authenticate(request)).principal, request.params.id);
      return reply.code(204).send(null);
    },
  );
}

function registerMembership(plain: FastifyInstance, { metadata, authenticate }: ShareRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    ROUTES.members,
    { schema: { summary: 'Who shares a folder', querystring: PathQuery, response: { 200: MembersPage, ...PROBLEMS } } },
    async (request) => ({ members: await metadata.members((await authenticate(request)).principal, request.query.path) }),
  );
  app.post(
    ROUTES.leave,
    { schema: { summary: 'Leave a folder that others share with you', body: PathBody, response: { 204: NOTHING, ...PROBLEMS } } },
    async (request, reply) => {
      await metadata.leave((await authenticate(request)).principal, request.body.path);
      return reply.code(204).send(null);
    },
  );
}
