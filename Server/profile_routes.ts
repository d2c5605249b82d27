import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { RestProfile } from '../Models/rest_profile.ts';
import { ROUTES } from '../Models/routes.ts';
import type { ProfilesReader } from '../Storage/profiles.ts';
import type { Authenticate } from './authenticate.ts';
import { PROBLEMS } from './openapi.ts';

export type ProfileRouteDeps = { readonly accounts: ProfilesReader; readonly authenticate: Authenticate };

/** What the caller says of themself; nobody else is told. Only the authentication daemon changes it. */
export function registerProfileRoutes(plain: FastifyInstance, { accounts, authenticate }: ProfileRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    ROUTES.profile,
    { schema: { summary: 'Your display name and e-mail address; only you are told', response: { 200: RestProfile, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { displayName, email } = await accounts.userProfile(principal.userId);
      return { user: principal.userName, displayName: displayName || null, email: email || null };
    },
  );
}
