import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { DoneBody, DoneMark, DoneResult, PingResult } from '../../Models/rest_events.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { EventMarks } from '../../Storage/event_marks.ts';
import type { Authenticate } from '../authenticate.ts';
import { PROBLEMS } from '../openapi.ts';
import { isoFromMilliseconds } from '../rest_shapes.ts';

export type EventMarkRouteDeps = { readonly eventMarks: EventMarks; readonly authenticate: Authenticate };

/** How far the ticket's device has processed what happened. */
export function registerEventMarkRoutes(plain: FastifyInstance, { eventMarks, authenticate }: EventMarkRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    ROUTES.eventsDone,
    { schema: { summary: 'Up to where this device has processed events', response: { 200: DoneMark, ...PROBLEMS } } },
    async (request) => ({ cursor: await eventMarks.marked((await authenticate(request)).principal) }),
  );
  app.post(
    ROUTES.eventsDone,
    { schema: { summary: 'Mark events as processed by this device', body: DoneBody, response: { 200: DoneResult, ...PROBLEMS } } },
    async (request) => ({ cursor: await eventMarks.mark((await authenticate(request)).principal, request.body.cursor) }),
  );
  app.get(
    ROUTES.ping,
    { schema: { summary: 'Answers at once, with the time of the server', response: { 200: PingResult, ...PROBLEMS } } },
    async () => ({ at: isoFromMilliseconds(Date.now()) }),
  );
}
