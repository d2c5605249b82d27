import { server } from '@serenity-kit/opaque';

/** The daemon's half of OPAQUE: nothing but curve operations. `null` for what no client of ours sends, or does not fit. */
export type OpaqueServer = {
  /** @param user what stands for the user in OPAQUE, whether there is one or not */
  startLogin(input: { record: Uint8Array; ke1: Uint8Array; user: string }): Promise<{ ke2: Uint8Array; state: Uint8Array } | null>;
  /** @returns the session key, 64 bytes */
  finishLogin(input: { state: Uint8Array; ke3: Uint8Array }): Promise<Uint8Array | null>;
  register(input: { request: Uint8Array; user: string }): Promise<Uint8Array | null>;
};

type Steps = keyof OpaqueServer;
export type OpaqueRequest = {
  [K in Steps]: { readonly id: number; readonly step: K; readonly input: Parameters<OpaqueServer[K]>[0] };
}[Steps];
export type OpaqueReply = { readonly id: number; readonly result: unknown };

const text64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
const bytes64 = (text: string): Uint8Array => Buffer.from(text, 'base64url');

/** The library throws for every input that is not valid. */
function orNull<Result>(step: () => Result): Result | null {
  try {
    return step();
  } catch {
    return null;
  }
}

/** In this very thread. `ready` of the library must have resolved. @param setup base64url, as in `Secrets` */
export function createOpaqueServer(setup: string): OpaqueServer {
  return {
    startLogin: async ({ record, ke1, user }) =>
      orNull(() => {
        const input = { serverSetup: setup, registrationRecord: text64(record), startLoginRequest: text64(ke1), userIdentifier: user };
        const { loginResponse, serverLoginState } = server.startLogin(input);
        return { ke2: bytes64(loginResponse), state: bytes64(serverLoginState) };
      }),
    finishLogin: async ({ state, ke3 }) =>
      orNull(() => bytes64(server.finishLogin({ serverLoginState: text64(state), finishLoginRequest: text64(ke3) }).sessionKey)),
    register: async ({ request, user }) =>
      orNull(() => {
        const input = { serverSetup: setup, userIdentifier: user, registrationRequest: text64(request) };
        return bytes64(server.createRegistrationResponse(input).registrationResponse);
      }),
  };
}
