/**
 * The database: one DuckDB in memory. Its statements never lose an error, can be interrupted, and end with the scope.
 *
 * @since 0.1.0
 */
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from "@duckdb/node-api"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { EmbeddedError } from "../EmbeddedError.ts"
import { statements } from "./statements.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly memoryLimit?: string | undefined
}

/**
 * An error of DuckDB. `line` is the line of the statement, counted from 1, if DuckDB reports one.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseError extends Data.TaggedError("DatabaseError")<{
  readonly message: string
  readonly line: number | undefined
}> {}

/**
 * The error without the line and without the part of the statement that DuckDB quotes, for statements that users do not see.
 *
 * @category errors
 * @since 0.1.0
 */
export const withoutStatement = ({ message }: DatabaseError): DatabaseError =>
  new DatabaseError({ message: message.replace(/\s*^LINE \d+: [\s\S]*/m, ""), line: undefined })

/**
 * The error of a statement that starts, or still runs, when the scope of the database closes.
 *
 * @category errors
 * @since 0.1.0
 */
export const closing = new DatabaseError({ message: "the embedded Looker is closing", line: undefined })

/**
 * @category models
 * @since 0.1.0
 */
export type Rows = ReadonlyArray<ReadonlyArray<DuckDBValue>>

/**
 * `run` executes one statement on a connection of its own and gives all its rows. Interrupting it interrupts the statement and
 * waits until DuckDB has ended it.
 *
 * **Gotchas**
 *
 * There is no stream, because a DuckDB stream ends in the same way after an error, after an interrupt and after the last row. Queries of
 * users are written to tables, which are read in pages.
 *
 * @category services
 * @since 0.1.0
 */
export class DuckDb extends Context.Service<DuckDb, { run(sql: string): Effect.Effect<Rows, DatabaseError> }>()(
  "effect-looker/embedded/DuckDb"
) {}

/**
 * How often an interrupt is repeated, in milliseconds: DuckDB ignores it while the statement waits for a thread. The time is real, so that
 * a `TestClock` cannot keep a statement running.
 */
const interruptEvery = 5

const toError = (cause: unknown): DatabaseError => {
  const message = cause instanceof Error ? cause.message : String(cause)
  const line = /^LINE (\d+):/m.exec(message)?.[1]
  return new DatabaseError({ message, line: line === undefined ? undefined : Number(line) })
}

/** Counts what DuckDB does as running, from its start to its end. */
const counted = <A>(work: () => Promise<A>): Promise<A> => {
  statements.running++
  return work().finally(() => statements.running--)
}

const rowsOf = (connection: DuckDBConnection, sql: string): Promise<Rows> =>
  connection.run(sql).then((result) => result.getRows())

const statement = (connection: DuckDBConnection, sql: string): Effect.Effect<Rows, DatabaseError> =>
  Effect.callback((resume) => {
    const settled = counted(() => rowsOf(connection, sql)).then(
      (rows) => resume(Effect.succeed(rows)),
      (cause) => resume(Effect.fail(toError(cause)))
    )
    return Effect.promise(() => {
      connection.interrupt()
      const timer = setInterval(() => connection.interrupt(), interruptEvery)
      return settled.finally(() => clearInterval(timer))
    })
  })

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<DuckDb["Service"], EmbeddedError, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* FileSystem.FileSystem.use((fs) =>
      fs.makeTempDirectoryScoped({ prefix: "effect-looker-" })
    ).pipe(
      Effect.provide(NodeFileSystem.layer),
      Effect.mapError(({ message }) => new EmbeddedError({ message: `no temporary directory for DuckDB: ${message}` }))
    )
    const memoryLimit = options.memoryLimit ?? "1GB"
    const instance = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () =>
          DuckDBInstance.create(":memory:", {
            memory_limit: memoryLimit,
            temp_directory: directory,
            autoinstall_known_extensions: "false",
            autoload_known_extensions: "false"
          }),
        catch: (cause) =>
          new EmbeddedError({ message: `DuckDB did not start (memoryLimit ${memoryLimit}): ${toError(cause).message}` })
      }),
      (instance) => Effect.sync(() => instance.closeSync())
    )

    // Closing during a statement would leave its promise pending forever, so running statements are interrupted and awaited first.
    const running = new Map<DuckDBConnection, Promise<void>>()
    let isClosing = false
    yield* Effect.addFinalizer(() =>
      Effect.promise(() => {
        isClosing = true
        const timer = setInterval(() => {
          for (const connection of running.keys()) connection.interrupt()
        }, interruptEvery)
        return Promise.all(running.values()).finally(() => clearInterval(timer))
      })
    )

    const run = (sql: string) =>
      Effect.acquireUseRelease(
        Effect.suspend(() =>
          isClosing
            ? Effect.fail(closing)
            : Effect.tryPromise({ try: () => counted(() => instance.connect()), catch: toError })
        ).pipe(
          Effect.map((connection) => {
            let done = () => {}
            running.set(connection, new Promise((resolve) => (done = resolve)))
            return { connection, done }
          })
        ),
        ({ connection }) => Effect.mapError(statement(connection, sql), (error) => (isClosing ? closing : error)),
        ({ connection, done }) =>
          Effect.sync(() => {
            connection.closeSync()
            running.delete(connection)
            done()
          })
      )
    return DuckDb.of({ run })
  })

/**
 * Creates the schema for results and then disables all access to files, which no statement can enable again.
 *
 * @category combinators
 * @since 0.1.0
 */
export const lock = (database: DuckDb["Service"]): Effect.Effect<void, DatabaseError> =>
  Effect.forEach(
    ["CREATE SCHEMA results", "SET enable_external_access = false", "SET lock_configuration = true"],
    database.run,
    { discard: true }
  )

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<DuckDb, EmbeddedError> => Layer.effect(DuckDb, make(options))
