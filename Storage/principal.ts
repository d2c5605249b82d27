/** Who asks: taken from a checked ticket, never from a request body. */
export type Principal = { readonly userId: string; readonly userName: string; readonly deviceId: string };
