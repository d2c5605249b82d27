import type { Ksf } from '../../Models/datagram_fields.ts';

/** The client's half of OPAQUE. All values are bytes; the states are opaque and stay on this machine. */
export type OpaqueSteps = {
  startRegistration(password: string): Promise<{ state: string; request: Uint8Array }>;
  /** @throws Error for a response that is none */
  finishRegistration(input: {
    password: string;
    state: string;
    response: Uint8Array;
    ksf: Ksf;
  }): Promise<{ record: Uint8Array; serverKey: Uint8Array }>;
  startLogin(password: string): Promise<{ state: string; ke1: Uint8Array }>;
  /** @returns `null`: wrong password, unknown user or wrong server, which look alike */
  finishLogin(input: {
    password: string;
    state: string;
    ke2: Uint8Array;
    ksf: Ksf;
  }): Promise<{ ke3: Uint8Array; sessionKey: Uint8Array; serverKey: Uint8Array } | null>;
};

type Steps = keyof OpaqueSteps;
export type StepRequest = { [K in Steps]: { readonly id: number; readonly step: K; readonly input: Parameters<OpaqueSteps[K]>[0] } }[Steps];
export type StepReply = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly failure: string };
