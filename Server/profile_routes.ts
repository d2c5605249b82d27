import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { RestProfile } from '../Models/rest_profile.ts';
import { ROUTES } from '../Models/routes.ts';
import type { ProfilesReader } from '../Storage/profiles.ts';
import type { Authenticate } from './authenticate.ts';
import { PROBLEMS } from './openapi.ts';

export type ProfileRouteDeps = { readonly accounts: Pick<ProfilesReader, 'userProfile'>; readonly authenticate: Authenticate };

/** What the caller says of themself. Members of the same shared folders are told the display name (share_routes.ts), nobody else the address. Only the authentication daemon changes it. */
export function registerProfileRoutes(plain: FastifyInstance, { accounts, authenticate }: ProfileRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    ROUTES.profile,
    {
      schema: {
        summary: 'Your display name, which those see who share a folder with you, and your e-mail address, which nobody else does',
        response: { 200: RestProfile, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { displayName, email } = await accounts.userProfile(principal.userId);
      return { user: principal.userName, displayName: displayName || null, email: email || null };
    },
  );
}
