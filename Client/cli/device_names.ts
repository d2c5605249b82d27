import { AppError } from '../../Models/errors.ts';
import type { Driftless } from '../client.ts';
import { rowsOf } from './output.ts';

/** The journal knows devices by their ids; people know their own by name. Those of others stay as they are told. */
export type DeviceNames = {
  nameOf(id: string): string;
  /** @throws AppError `not_found`, `request_invalid` (several have the name) */
  idOf(name: string): string;
};

/** An id, or what stands in its place for what came in by a link. */
const TOLD = /^(?:[0-9a-f]{32}|link .*)$/;

export async function deviceNames(client: Pick<Driftless, 'devices'>): Promise<DeviceNames> {
  const devices = await client.devices();
  const called = (name: string) => devices.filter((device) => device.name === name);
  return {
    nameOf(id) {
      const name = devices.find((device) => device.id === id)?.name;
      if (name === undefined) return id;
      return called(name).length === 1 ? name : `${name} ${id}`;
    },
    idOf(name) {
      const [one, another] = called(name);
      if (another !== undefined)
        throw new AppError('request_invalid', `several devices are called ${name}: name one by its id, see "driftless devices"`);
      if (one !== undefined) return one.id;
      if (TOLD.test(name)) return name;
      throw new AppError(
        'not_found',
        `no device of yours is called ${name}: see "driftless devices"; those of others are named by their ids`,
      );
    },
  };
}

/** One line for each row, with the names of the user's devices. */
export async function namedRows<T>(
  client: Pick<Driftless, 'devices'>,
  rows: AsyncIterable<T>,
  lineOf: (row: T, names: DeviceNames) => string,
): Promise<ReturnType<typeof rowsOf<T>>> {
  const names = await deviceNames(client);
  return rowsOf(rows, (row) => lineOf(row, names));
}
