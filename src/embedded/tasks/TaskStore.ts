/**
 * The query tasks of all users: those that wait, those that run, and those that have ended.
 *
 * @since 0.1.0
 */

import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { NotFound, type TooManyRequests } from "../../LookerError.ts"
import { DatabaseError, DuckDb } from "../database/DuckDb.ts"
import { Faults } from "../faults/Faults.ts"
import * as ResultCache from "./ResultCache.ts"
import { release, retain } from "./StoredResult.ts"
import { isUnfinished, type NewTask, runsQuery, type Task } from "./Task.ts"
import * as FaultReport from "./TaskStore/FaultReport.ts"
import * as TaskEntries from "./TaskStore/TaskEntries.ts"
import * as TaskExecution from "./TaskStore/TaskExecution.ts"
import type { User } from "./Users.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options extends ResultCache.Options, TaskExecution.Options {
  readonly resultLife: Duration.Duration
}

/**
 * **Details**
 *
 * `get` and `poll` find only the user's own tasks. `poll` also counts as a poll for the faults that last a number of polls. An admin can
 * kill the tasks of all users, other users only their own (inferred). `kill` waits until the database has stopped the statement.
 *
 * Memory is bounded. A `resultLife` after its end a task is `expired` and loses its rows, and another `resultLife` later it is removed. A
 * killed task and a deferred one, which nothing can start, are removed after the first. Beyond ten thousand tasks the ones that ended first
 * are removed at once, and while all of them wait or run, `create` fails.
 *
 * The result of a query is cached for `cacheLife`, and for `cache_only` twice as long. A task that takes its rows from the cache is complete
 * at once: it needs no slot and no `taskDelay`. A task with a fault always runs, and its result is not cached.
 *
 * @category services
 * @since 0.1.0
 */
export class TaskStore extends Context.Service<
  TaskStore,
  {
    /** Succeeds with the task as the response shows it: `added`, even if its rows are there already (recorded). */
    create(task: NewTask): Effect.Effect<Task, TooManyRequests>
    get(userId: string, id: string): Effect.Effect<Task, NotFound>
    poll(userId: string, id: string): Effect.Effect<Task, NotFound>
    kill(user: User, id: string): Effect.Effect<void, NotFound>
    /** Keeps the rows of a complete task until the scope closes, even if the task expires before. */
    retainResult(task: Task): Effect.Effect<void, never, Scope.Scope>
    readonly unfinished: Effect.Effect<ReadonlyArray<Task>>
    /** The tasks of all users in the order of their creation. */
    readonly all: Effect.Effect<ReadonlyArray<Task>>
    /** As after a restart: stops what runs, and removes all tasks and results. */
    readonly forget: Effect.Effect<void>
  }
>()("effect-looker/embedded/TaskStore") {}

const notFound = new NotFound({ message: "Not found" })

const nothingCached = new DatabaseError({
  message: "cache_only: there is no cached result of this query. Run it without cache_only first.",
  line: undefined
})

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options
): Effect.Effect<TaskStore["Service"], never, DuckDb | Faults | SecureRandom.SecureRandom | Scope.Scope> =>
  Effect.gen(function* () {
    const database = yield* DuckDb
    const faults = yield* Faults
    const random = yield* SecureRandom.SecureRandom
    const entries = TaskEntries.make(database, options.resultLife)
    const cache = ResultCache.make(database, options)
    const runtimes = new Map<string, number>()
    const execution = yield* TaskExecution.make(options, { cache, database, entries, runtimes })

    const removeExpired = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      yield* entries.removeExpired(now)
      yield* cache.removeExpired(now)
    }).pipe(Effect.uninterruptible)

    const create = Effect.fn("TaskStore.create")(function* (newTask: NewTask) {
      yield* removeExpired
      yield* entries.makeRoom
      const now = yield* Clock.currentTimeMillis
      const task: Task = {
        ...newTask,
        id: Hex.encode(yield* random.randomBytes(16)),
        createdAt: now,
        cacheKey: ResultCache.keyOf(newTask),
        state: { status: "added" },
        runtime: runtimes.get(newTask.stored.query.id),
        statusOverride: undefined,
        isLeftOut: false
      }
      const taskFaults = yield* faults.onTask(task.stored.query)
      if (taskFaults.some((fault) => fault._tag === "Missing")) return task
      const entry: TaskEntries.Entry = {
        task,
        faults: taskFaults,
        polls: new Map(),
        fiber: undefined,
        stored: undefined
      }
      entries.add(entry)
      const usesCache = taskFaults.length === 0 && runsQuery(task)
      const cached = usesCache ? cache.get(task.cacheKey, task.params, now) : undefined
      if (task.body.deferred === true) {
        // Looker documents `deferred`, but no way to start such a task: it waits until it is killed or removed.
        entries.expireLater(entry, now)
      } else if (cached !== undefined) {
        entries.complete(entry, cached, "cache", [], now)
      } else if (usesCache && task.params.cache_only === true) {
        // Not determined for Looker. An empty result would look like the result of the query.
        yield* execution.fail(entry, nothingCached)
      } else {
        yield* execution.start(entry)
      }
      return task
    }, Effect.uninterruptible)

    const find = (isPoll: boolean) =>
      Effect.fnUntraced(function* (userId: string, id: string) {
        yield* removeExpired
        const entry = entries.get(id)
        if (entry === undefined || entry.task.userId !== userId) return yield* notFound
        const now = yield* Clock.currentTimeMillis
        return {
          ...entry.task,
          runtime: runtimes.get(entry.task.stored.query.id),
          statusOverride: FaultReport.statusOverride(entry, now, isPoll),
          isLeftOut: FaultReport.isLeftOut(entry, now, isPoll)
        }
      })

    const kill = Effect.fn("TaskStore.kill")(function* (user: User, id: string) {
      yield* removeExpired
      const entry = entries.get(id)
      if (entry === undefined || !isUnfinished(entry.task)) return yield* notFound
      if (!user.isAdmin && entry.task.userId !== user.id) return yield* notFound
      const { state } = entry.task
      const startedAt = state.status === "running" ? state.startedAt : undefined
      yield* execution.stop(entry)
      const endedAt = yield* Clock.currentTimeMillis
      // The query may have ended in the same moment: a kill is final.
      entries.setState(entry, { status: "killed", startedAt, endedAt }, endedAt)
    }, Effect.uninterruptible)

    const all = Effect.map(removeExpired, () => entries.values().map(({ task }) => task))

    return TaskStore.of({
      create,
      get: find(false),
      poll: find(true),
      kill,
      retainResult: (task) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const stored = entries.get(task.id)?.stored
            if (stored !== undefined) retain(stored)
            return stored
          }),
          (stored) => (stored === undefined ? Effect.void : release(database, stored))
        ),
      unfinished: Effect.map(all, (tasks) => tasks.filter(isUnfinished)),
      all,
      forget: Effect.suspend(() =>
        Effect.forEach(entries.removeAll(), execution.stop, { concurrency: "unbounded" })
      ).pipe(Effect.andThen(cache.clear), Effect.uninterruptible)
    })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<TaskStore, never, DuckDb | Faults | SecureRandom.SecureRandom> =>
  Layer.effect(TaskStore, make(options))
