import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { PathBody, PathQuery } from '../Models/rest.ts';
import {
  AcceptBody,
  AcceptResult,
  InvitationId,
  InvitationsPage,
  InviteBody,
  MemberQuery,
  MembersPage,
  RestInvitation,
  RestMember,
  RoleBody,
} from '../Models/rest_sharing.ts';
import { ROUTES } from '../Models/routes.ts';
import type { AccountsReader } from '../Storage/accounts.ts';
import type { Sharing } from '../Storage/sharing.ts';
import { createAttempts } from './attempts.ts';
import type { Authenticate } from './authenticate.ts';
import { NOTHING, PROBLEMS } from './openapi.ts';
import { restInvitation } from './rest_shapes.ts';

export type ShareRouteDeps = {
  readonly metadata: Sharing;
  readonly accounts: Pick<AccountsReader, 'findUser'>;
  readonly authenticate: Authenticate;
  readonly monotonicMs: () => number;
};

/** Sharing a folder: invite, answer, see who is in it and change that, leave it. */
export function registerShareRoutes(app: FastifyInstance, deps: ShareRouteDeps): void {
  registerInviting(app, deps);
  registerAnswering(app, deps);
  registerMembers(app, deps);
  registerLeaving(app, deps);
}

async function userNamed(accounts: ShareRouteDeps['accounts'], name: string): Promise<{ userId: string; userName: string }> {
  const found = await accounts.findUser(name);
  if (found === null) throw new AppError('user_unknown', 'there is no such user');
  return { userId: found.id, userName: found.name };
}

function registerInviting(plain: FastifyInstance, { metadata, accounts, authenticate, monotonicMs }: ShareRouteDeps): void {
  const invites = createAttempts({ most: LIMITS.invitesMax, restoreMs: LIMITS.inviteRestoreMs }, monotonicMs);
  const invitesOfOne = createAttempts({ most: LIMITS.invitesPerUserMax, restoreMs: LIMITS.inviteRestoreMs }, monotonicMs);
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.post(
    ROUTES.invitations,
    { schema: { summary: 'Invite a user to a folder of yours', body: InviteBody, response: { 200: RestInvitation, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, user, role, message, lifetimeS } = request.body;
      if (invites.take(principal.userId) > 0) throw new AppError('too_many_requests', 'you have invited very many; try again later');
      const invited = await userNamed(accounts, user);
      if (invitesOfOne.take(`${principal.userId} ${invited.userId}`) > 0) {
        throw new AppError('too_many_requests', 'you have invited this user very often; try again later');
      }
      const wanted = { path, ...invited, role, message: message ?? null, lifetimeMs: lifetimeS * 1000 };
      return restInvitation(await metadata.invite(principal, wanted));
    },
  );
  app.get(
    ROUTES.invitations,
    { schema: { summary: 'Invitations to you, and to folders that you own', response: { 200: InvitationsPage, ...PROBLEMS } } },
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
    {
      schema: {
        summary: 'Accept: the folder appears in your tree',
        params: InvitationId,
        body: AcceptBody,
        response: { 200: AcceptResult, ...PROBLEMS },
      },
    },
    async (request) => metadata.accept((await authenticate(request)).principal, request.params.id, request.body?.at),
  );
  app.post(
    `${ROUTES.invitations}/:id/decline`,
    { schema: { summary: 'Decline, or take back', params: InvitationId, response: { 204: NOTHING, ...PROBLEMS } } },
    async (request, reply) => {
      await metadata.decline((await authenticate(request)).principal, request.params.id);
      return reply.code(204).send(null);
    },
  );
}

function registerMembers(plain: FastifyInstance, { metadata, accounts, authenticate }: ShareRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    ROUTES.members,
    { schema: { summary: 'Who shares a folder', querystring: PathQuery, response: { 200: MembersPage, ...PROBLEMS } } },
    async (request) => ({ members: await metadata.members((await authenticate(request)).principal, request.query.path) }),
  );
  app.post(
    ROUTES.members,
    { schema: { summary: 'Give a member, or who is invited, another role', body: RoleBody, response: { 200: RestMember, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, user, role } = request.body;
      const { userId } = await userNamed(accounts, user);
      return metadata.setRole(principal, { path, userId, role });
    },
  );
  app.delete(
    ROUTES.members,
    {
      schema: {
        summary: 'Take an invitation back, or end a membership',
        querystring: MemberQuery,
        response: { 204: NOTHING, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      const { userId } = await userNamed(accounts, request.query.user);
      await metadata.uninvite(principal, { path: request.query.path, userId });
      return reply.code(204).send(null);
    },
  );
}

function registerLeaving(plain: FastifyInstance, { metadata, authenticate }: ShareRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.post(
    ROUTES.leave,
    { schema: { summary: 'Leave a folder that others share with you', body: PathBody, response: { 204: NOTHING, ...PROBLEMS } } },
    async (request, reply) => {
      await metadata.leave((await authenticate(request)).principal, request.body.path);
      return reply.code(204).send(null);
    },
  );
}
