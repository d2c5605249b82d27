import { parentPort } from 'node:worker_threads';
import { client, ready } from '@serenity-kit/opaque';
import type { Ksf } from '../../Models/datagram_fields.ts';
import type { OpaqueSteps, StepReply, StepRequest } from './opaque_steps.ts';

const text64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
const bytes64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64url'));
const stretching = (ksf: Ksf) => ({
  'argon2id-custom': { iterations: ksf.iterations, memory: ksf.memoryKiB, parallelism: ksf.parallelism },
});

const steps: OpaqueSteps = {
  async startRegistration(password) {
    const { clientRegistrationState, registrationRequest } = client.startRegistration({ password });
    return { state: clientRegistrationState, request: bytes64(registrationRequest) };
  },
  async finishRegistration({ password, state, response, ksf }) {
    const input = { password, clientRegistrationState: state, registrationResponse: text64(response), keyStretching: stretching(ksf) };
    const { registrationRecord, serverStaticPublicKey } = client.finishRegistration(input);
    return { record: bytes64(registrationRecord), serverKey: bytes64(serverStaticPublicKey) };
  },
  async startLogin(password) {
    const { clientLoginState, startLoginRequest } = client.startLogin({ password });
    return { state: clientLoginState, ke1: bytes64(startLoginRequest) };
  },
  async finishLogin({ password, state, ke2, ksf }) {
    const input = { password, clientLoginState: state, loginResponse: text64(ke2), keyStretching: stretching(ksf) };
    const done = client.finishLogin(input);
    if (done === undefined) return null;
    return { ke3: bytes64(done.finishLoginRequest), sessionKey: bytes64(done.sessionKey), serverKey: bytes64(done.serverStaticPublicKey) };
  },
};

async function answer(request: StepRequest): Promise<StepReply> {
  try {
    const step = steps[request.step] as (input: unknown) => Promise<unknown>;
    return { id: request.id, result: await step(request.input) };
  } catch {
    return { id: request.id, failure: `${request.step} failed` }; // the cause might quote the password
  }
}

await ready;
parentPort?.on('message', (request: StepRequest) => void answer(request).then((reply) => parentPort?.postMessage(reply)));
