import type { DatabaseConnection, Dialect, Driver } from 'kysely';
import { databaseError } from './database_errors.ts';

/** The same dialect, whose connections and statements fail with the codes of Models/errors.ts, whoever runs them. */
export function typedDialect(dialect: Dialect): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createDriver: () => typedDriver(dialect.createDriver()),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
  };
}

/** In place, because a driver knows its own connections by what they are. */
function typedDriver(driver: Driver): Driver {
  const known = new WeakSet<DatabaseConnection>();
  const acquire = driver.acquireConnection.bind(driver);
  driver.acquireConnection = async (options) => {
    const connection = await acquire(options).catch(rethrow);
    if (known.has(connection)) return connection;
    known.add(connection);
    const execute = connection.executeQuery.bind(connection);
    connection.executeQuery = <Row>(...query: Parameters<typeof execute>) => execute<Row>(...query).catch(rethrow);
    return connection;
  };
  return driver;
}

function rethrow(error: unknown): never {
  throw databaseError(error);
}
