import {
  type CompiledQuery,
  type ConnectionProvider,
  type DatabaseConnection,
  DefaultQueryExecutor,
  type Dialect,
  Kysely,
  type QueryResult,
} from 'kysely';

type Parts = ConstructorParameters<typeof DefaultQueryExecutor>;
type Run = <Row>(query: CompiledQuery) => Promise<QueryResult<Row>>;

/** Runs each statement at once, and asks nobody for a connection. */
class StraightExecutor extends DefaultQueryExecutor {
  readonly #run: Run;
  readonly #parts: Parts;
  constructor(run: Run, ...parts: Parts) {
    super(...parts);
    this.#run = run;
    this.#parts = parts;
  }
  override executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    return this.#run(query);
  }
  override withConnectionProvider(provider: ConnectionProvider): StraightExecutor {
    const [compiler, adapter] = this.#parts;
    return new StraightExecutor(this.#run, compiler, adapter, provider);
  }
}

/**
 * Kysely on the only connection that there is, whose statements are over when they return: to queue for it, and to be handed it through four layers each
 * time, costs more than a small statement. Transactions must be run one after another, and nothing else meanwhile.
 */
export function straightKysely<Schema>(dialect: Dialect): Kysely<Schema> {
  const driver = dialect.createDriver();
  let connection: DatabaseConnection | null = null;
  const connected = async (): Promise<DatabaseConnection> => {
    if (connection === null) {
      await driver.init();
      connection = await driver.acquireConnection();
    }
    return connection;
  };
  const run: Run = <Row>(query: CompiledQuery) =>
    connection === null ? connected().then((opened) => opened.executeQuery<Row>(query)) : connection.executeQuery<Row>(query);
  const provider: ConnectionProvider = { provideConnection: async (consumer) => consumer(await connected()) };
  const executor = new StraightExecutor(run, dialect.createQueryCompiler(), dialect.createAdapter(), provider);
  return new Kysely<Schema>({ config: { dialect }, dialect, driver, executor });
}
