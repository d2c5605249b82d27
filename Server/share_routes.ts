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
import type { Member, Sharing } from '../Storage/sharing.ts';
import { createAttempts } from './attempts.ts';
import type { Authenticate } from './authenticate.ts';
import { NOTHING, PROBLEMS } from './openapi.ts';
import { restInvitation } from './rest_shapes.ts';

export type ShareRouteDeps = {
  readonly metadata: Sharing;
  readonly accounts: Pick<AccountsReader, 'findUser' | 'displayNames'>;
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

async function userNamed(accounts: Pick<AccountsReader, 'findUser'>, name: string): Promise<{ userId: string; userName: string }> {
  const found = await accounts.findUser(name);
  if (found === null) throw new AppError('user_unknown', 'there is no such user');
  return { userId: found.id, userName: found.name };
}

/** Who is only invited has not agreed to be known here. */
async function called(accounts: Pick<AccountsReader, 'displayNames'>, members: readonly Member[]): Promise<RestMember[]> {
  const names = await accounts.displayNames(members.flatMap(({ user, state }) => (state === 'member' ? [user] : [])));
  return members.map((member) => ({ ...member, displayName: names.get(member.user) ?? null }));
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
    async (request) => {
      const { principal } = await authenticate(request);
      return { members: await called(accounts, await metadata.members(principal, request.query.path)) };
    },
  );
  app.post(
    ROUTES.members,
    { schema: { summary: 'Give a member, or who is invited, another role', body: RoleBody, response: { 200: RestMember, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, user, role } = request.body;
      const { userId } = await userNamed(accounts, user);
      const [member] = await called(accounts, [await metadata.setRole(principal, { path, userId, role })]);
      if (member === undefined) throw new Error('one member, one answer');
      return member;
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
