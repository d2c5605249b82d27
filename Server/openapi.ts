import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { FRAME_TYPE } from '../Models/frames.ts';
import { Problem, RestChange, RestEntry, UploadFields } from '../Models/rest.ts';
import { RestDeed, RestTrashItem, RestVersion } from '../Models/rest_history.ts';
import { RestLink, RestLinkAccess } from '../Models/rest_links.ts';
import { RestInvitation, RestMember } from '../Models/rest_sharing.ts';
import { ROUTES } from '../Models/routes.ts';
import { PROBLEM_TYPE } from './http_errors.ts';

export const DOCS_PREFIX = '/docs';

/** Those that have a name of their own in the document. */
const SHAPES = {
  Problem,
  RestEntry,
  RestChange,
  RestInvitation,
  RestMember,
  RestVersion,
  RestDeed,
  RestTrashItem,
  RestLink,
  RestLinkAccess,
};

/** The OpenAPI document, made from the routes' own schemas, and a page to read it. Call before the routes are added. */
export async function registerOpenApi(app: FastifyInstance): Promise<void> {
  const schemaRegistry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SHAPES)) schemaRegistry.add(schema, { id });
  const transform = createJsonSchemaTransform({ schemaRegistry });
  await app.register(swagger, {
    exposeHeadRoutes: true,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Driftless',
        version: '1',
        description: `Files, folders, sharing. Routes that take or give \`${FRAME_TYPE}\` are described byte by byte in docs/PROTOCOL.md.`,
      },
      components: { securitySchemes: { ticket: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
      security: [{ ticket: [] }],
    },
    transform: (document) => {
      const { schema, url } = transform(document);
      return { url, schema: { ...schema, ...(url === ROUTES.files && document.route.method === 'POST' && uploadBody()) } };
    },
    transformObject: createJsonSchemaTransformObject({ schemaRegistry }),
  });
  await app.register(swaggerUi, {
    routePrefix: DOCS_PREFIX,
    staticCSP: PAGE_POLICY,
    uiConfig: { url: ROUTES.openapi, persistAuthorization: false, tryItOutEnabled: false },
  });
}

/** The page's own scripts and nothing from elsewhere; its styles are written into elements by a script. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Told here because the route reads its body itself, as a stream. */
function uploadBody(): FastifySchema {
  const fields = z.toJSONSchema(UploadFields, { io: 'input' });
  const properties = { ...fields.properties, file: { type: 'string', format: 'binary', description: 'The content' } };
  return { consumes: ['multipart/form-data'], body: { type: 'object', properties, required: ['path', 'file'] } } as FastifySchema;
}

/** Answers that any route may give. */
export const PROBLEMS = {
  '4xx': { description: 'Refused', content: { [PROBLEM_TYPE]: { schema: Problem } } },
  '5xx': { description: 'Failed', content: { [PROBLEM_TYPE]: { schema: Problem } } },
} as const;

export const BYTES = { description: 'Bytes', content: { 'application/octet-stream': { schema: z.any() } } } as const;
export const NOTHING = z.null().describe('Done');
