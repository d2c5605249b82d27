import { isIP } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { addressGroup, plainAddress } from '../Models/addresses.ts';
import { DATAGRAM } from '../Models/datagrams.ts';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import type { AuthCarrier } from './auth_carrier.ts';
import { sendProblem } from './http_errors.ts';
import { BYTES, NOTHING, PROBLEMS } from './openapi.ts';
import { createTurns } from './turns.ts';

const DATAGRAM_TYPE = 'application/octet-stream';
const SILENCE = 204;
const TOO_LATE = 504;

/**
 * The way in without UDP: the bytes of a datagram to the daemon, and its reply. No ticket, and nothing of HTTP matters: what is inside proves itself
 * to both ends, as it does when it comes by itself.
 */
export function registerAuthRoute(app: FastifyInstance, { carrier }: { readonly carrier: Pick<AuthCarrier, 'carry'> }): void {
  const inTurn = createTurns({ most: LIMITS.carriedMax, each: LIMITS.carriedPerAddressMax });
  app.withTypeProvider<ZodTypeProvider>().post(
    ROUTES.auth,
    {
      bodyLimit: DATAGRAM.clientBytes,
      config: { public: true, accepts: DATAGRAM_TYPE },
      schema: {
        summary: 'A datagram of 1200 bytes to the authentication daemon, and its reply; 204 where it has none',
        description:
          'For clients of Driftless and pages of this server where UDP does not get through; no other origin may use it. What is in the bytes is sealed, and described in docs/PROTOCOL.md: there is nothing to call by hand.',
        consumes: [DATAGRAM_TYPE],
        response: { 200: BYTES, 204: NOTHING, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const datagram = request.body;
      if (!Buffer.isBuffer(datagram) || datagram.length !== DATAGRAM.clientBytes) {
        throw new AppError('length_mismatch', `a datagram has ${DATAGRAM.clientBytes} bytes`);
      }
      const address = clientAddress(request);
      let answer: Uint8Array | null;
      try {
        answer = await inTurn(addressGroup(address), () => carrier.carry(datagram, address));
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'auth_unreachable') throw error;
        return sendProblem(request, reply, error, { status: TOO_LATE });
      }
      return answer === null ? reply.code(SILENCE).send(null) : reply.type(DATAGRAM_TYPE).send(Buffer.from(answer));
    },
  );
}

/** Of the connection, or what the last proxy that is trusted says of it; a proxy that says nonsense is the client itself. */
function clientAddress(request: FastifyRequest): string {
  const address = plainAddress(request.ip);
  return isIP(address) === 0 ? plainAddress(request.socket.remoteAddress ?? '') : address;
}
