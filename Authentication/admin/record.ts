import { client, ready, server } from '@serenity-kit/opaque';
import { KSF_DEFAULT, type Ksf } from '../../Models/datagram_fields.ts';
import { foldName } from '../../Models/names.ts';
import type { NewPassword } from '../../Storage/user_admin.ts';

export type Registration = {
  readonly opaqueSetup: string;
  readonly name: string; // prepared
  readonly password: string; // prepared
  readonly ksf?: Ksf | undefined; // that of every client, if not given
};

/** What a client and the daemon do together when somebody registers, both here: a few hundred milliseconds of computation. */
export async function makeRecord({ opaqueSetup, name, password, ksf = KSF_DEFAULT }: Registration): Promise<NewPassword> {
  await ready;
  const { clientRegistrationState, registrationRequest } = client.startRegistration({ password });
  const { registrationResponse } = server.createRegistrationResponse({
    serverSetup: opaqueSetup,
    userIdentifier: foldName(name),
    registrationRequest,
  });
  const keyStretching = { 'argon2id-custom': { iterations: ksf.iterations, memory: ksf.memoryKiB, parallelism: ksf.parallelism } };
  const { registrationRecord } = client.finishRegistration({ password, registrationResponse, clientRegistrationState, keyStretching });
  return { record: Buffer.from(registrationRecord, 'base64url'), ksf };
}
