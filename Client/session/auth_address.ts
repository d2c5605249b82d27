import { AppError } from '../../Models/errors.ts';

const PORT_DEFAULT = 4810;

export type AuthAddress = {
  readonly host: string;
  readonly port: number /** The one spelling, the key in the profile. */;
  readonly text: string;
};

/** @param text `HOST`, `HOST:PORT` or `[IPv6]:PORT`; the port is 4810 unless given. @throws AppError `config_invalid` */
export function parseAuthAddress(text: string): AuthAddress {
  const match = /^(?:\[([0-9a-f:.%\w]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/i.exec(text.trim());
  const host = (match?.[1] ?? match?.[2])?.toLowerCase();
  const port = match?.[3] === undefined ? PORT_DEFAULT : Number(match[3]);
  if (host === undefined || port < 1 || port > 65_535)
    throw new AppError('config_invalid', `"${text}" is not an address like 127.0.0.1:4810`);
  return { host, port, text: `${urlHost(host)}:${port}` };
}

/** As a host stands in a URL. */
export function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
