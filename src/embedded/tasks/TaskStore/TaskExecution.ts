/**
 * The execution of tasks: they wait for a slot and run their queries.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { DatabaseError, type DuckDb } from "../../database/DuckDb.ts"
import * as QueryExecution from "../../engine/QueryExecution.ts"
import type { ResultSet } from "../../engine/ResultSet.ts"
import type { ResultCache } from "../ResultCache.ts"
import * as Slots from "../Slots.ts"
import type { StoredResult } from "../StoredResult.ts"
import { runsQuery } from "../Task.ts"
import type { Entry, TaskEntries } from "./TaskEntries.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly concurrency: number
  readonly concurrencyPerUser: number
  readonly queueTimeout: Duration.Duration
  readonly taskDelay: Duration.Duration
}

/**
 * What the execution uses. `runtimes` gets the duration of each run, by the id of its query.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stores {
  readonly database: DuckDb["Service"]
  readonly entries: TaskEntries
  readonly cache: ResultCache
  readonly runtimes: Map<string, number>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface TaskExecution {
  /** Runs the task in the background, once it has a slot. */
  start(entry: Entry): Effect.Effect<void>
  /** Interrupts the task, waits until its statement has stopped, and releases its result. */
  stop(entry: Entry): Effect.Effect<void>
  /** Ends the task with an error. */
  fail(entry: Entry, error: DatabaseError): Effect.Effect<void>
}

const queueTimedOut = (timeout: Duration.Duration) =>
  new DatabaseError({
    message: `The query waited in the queue for ${Duration.format(timeout)}, which is the longest it may wait.`,
    line: undefined
  })

/** The result of the query, unless a fault replaces it. */
const resultOf = (database: DuckDb["Service"], { faults, task }: Entry): Effect.Effect<ResultSet, DatabaseError> => {
  const fault = faults.find((fault) => fault._tag === "Error")
  if (fault !== undefined) return Effect.fail(new DatabaseError({ message: fault.message, line: fault.line }))
  if (!runsQuery(task)) return Effect.succeed(QueryExecution.withoutRows(task.plan))
  // A defect must not leave the task running forever.
  return Effect.catchDefect(QueryExecution.run(database, task.plan, task.id), (defect) =>
    Effect.andThen(
      Effect.logError("embedded Looker: an unexpected failure of a query", defect),
      Effect.fail(new DatabaseError({ message: `The embedded Looker failed: ${String(defect)}`, line: undefined }))
    )
  )
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options: Options,
  { cache, database, entries, runtimes }: Stores
): Effect.fn.Return<TaskExecution, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const slots = Slots.make({
    total: options.concurrency,
    perUser: options.concurrencyPerUser,
    timeout: options.queueTimeout
  })

  const runAndStore = Effect.fnUntraced(function* (
    entry: Entry,
    startedAt: number,
    restore: typeof Effect.interruptible
  ) {
    const { id: taskId, plan, stored: query } = entry.task
    const result = yield* Effect.result(restore(resultOf(database, entry)))
    const endedAt = yield* Clock.currentTimeMillis
    runtimes.set(query.query.id, endedAt - startedAt)
    if (result._tag === "Failure") {
      return entries.setState(entry, { status: "error", startedAt, endedAt, error: result.failure }, endedAt)
    }
    const stored: StoredResult = { taskId, plan, startedAt, endedAt, result: result.success, references: 0 }
    const warnings = entry.faults.flatMap((fault) => (fault._tag === "Warning" ? [fault.message] : []))
    entries.complete(entry, stored, "query", warnings, endedAt)
    if (entry.faults.length === 0 && runsQuery(entry.task)) yield* cache.set(entry.task.cacheKey, stored)
  })

  const execute = Effect.fnUntraced(function* (entry: Entry) {
    const startedAt = yield* Clock.currentTimeMillis
    entries.setState(entry, { status: "running", startedAt }, startedAt)
    const delays = entry.faults.map((fault) => (fault._tag === "Slow" ? fault.duration : Duration.zero))
    yield* Effect.sleep(delays.reduce(Duration.sum, options.taskDelay))
    if (entry.faults.every((fault) => fault._tag !== "Killed")) {
      // An interruption between the end of the query and the new state would lose the tables.
      yield* Effect.uninterruptibleMask((restore) => runAndStore(entry, startedAt, restore))
    } else {
      const endedAt = yield* Clock.currentTimeMillis
      entries.setState(entry, { status: "killed", startedAt, endedAt }, endedAt)
    }
  })

  const fail: TaskExecution["fail"] = Effect.fnUntraced(function* (entry, error) {
    const now = yield* Clock.currentTimeMillis
    entries.setState(entry, { status: "error", startedAt: now, endedAt: now, error }, now)
  })

  const start: TaskExecution["start"] = Effect.fnUntraced(function* (entry) {
    const onTimeout = fail(entry, queueTimedOut(options.queueTimeout))
    const running = slots.withSlot(entry.task.userId, execute(entry), onTimeout)
    const ended = Effect.sync(() => {
      entry.fiber = undefined
    })
    entry.fiber = yield* Effect.forkIn(Effect.ensuring(running, ended), scope)
  })

  const stop: TaskExecution["stop"] = Effect.fnUntraced(function* (entry) {
    if (entry.fiber !== undefined) yield* Fiber.interrupt(entry.fiber)
    yield* entries.releaseResult(entry)
  })

  return { start, stop, fail }
})
