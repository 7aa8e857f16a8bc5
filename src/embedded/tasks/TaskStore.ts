/**
 * Query tasks: what waits, what runs, what ended how, and which results are still kept.
 *
 * @since 0.1.0
 */
import { createHash, randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { CreateQueryTask, CreateQueryTaskParams } from "../../domain/QueryTask.ts"
import { NotFound, TooManyRequests } from "../../LookerError.ts"
import { DatabaseError, DuckDb } from "../database/DuckDb.ts"
import * as QueryExecution from "../engine/QueryExecution.ts"
import type { Plan } from "../engine/QueryPlan.ts"
import type { ResultSet } from "../engine/ResultSet.ts"
import type { TaskFault, Until } from "../faults/Fault.ts"
import { Faults } from "../faults/Faults.ts"
import type { StoredQuery } from "./QueryStore.ts"
import * as Slots from "./Slots.ts"
import type { User } from "./Users.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly concurrency: number
  readonly concurrencyPerUser: number
  readonly queueTimeout: Duration.Duration
  readonly resultLife: Duration.Duration
  readonly cacheLife: Duration.Duration
  readonly taskDelay: Duration.Duration
}

/**
 * @category models
 * @since 0.1.0
 */
export interface NewTask {
  readonly userId: string
  readonly stored: StoredQuery
  readonly plan: Plan
  readonly body: CreateQueryTask
  readonly params: CreateQueryTaskParams
}

/**
 * Where a task stands. Times are milliseconds since 1970; those of a result `"cache"` are of the run that gave it.
 *
 * @category models
 * @since 0.1.0
 */
export type TaskStatus =
  | { readonly status: "added" }
  | { readonly status: "running"; readonly startedAt: number }
  | {
      readonly status: "complete"
      readonly startedAt: number
      readonly endedAt: number
      readonly result: ResultSet
      readonly source: "query" | "cache"
      /** What Looker would remark without failing. */
      readonly warnings: ReadonlyArray<string>
    }
  | { readonly status: "error"; readonly startedAt: number; readonly endedAt: number; readonly error: DatabaseError }
  | { readonly status: "killed"; readonly startedAt: number | undefined; readonly endedAt: number }
  | { readonly status: "expired"; readonly startedAt: number; readonly endedAt: number }

/**
 * One run of a query.
 *
 * **Details**
 *
 * `cacheKey` is the same for the same query with the same limit, whatever the format. `runtime` is that of the last run of the query to
 * end, in milliseconds. `shown` is the word that a fault puts in place of the status; `isLeftOut` keeps the task out of `multi_results`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Task extends NewTask {
  readonly id: string
  readonly createdAt: number
  readonly cacheKey: string
  readonly state: TaskStatus
  readonly runtime: number | undefined
  readonly shown: string | undefined
  readonly isLeftOut: boolean
}

/**
 * **Details**
 *
 * `get` finds the caller's own tasks only; `poll` does too, and counts for the faults that last some polls. An admin kills everybody's, and
 * nobody else does (inferred). `kill` waits until the database has let go of the statement.
 *
 * What bounds the memory: an ended task is `expired` a `resultLife` after its end, its rows are gone then, and it is not found another
 * `resultLife` later; a killed one, and a deferred one that nobody can start, is not found after the first. Of more than ten thousand
 * tasks the ones that ended first go at once, and while all of them wait or run, `create` fails.
 *
 * A query that ran is cached for `cacheLife`, and for `cache_only` twice as long. A task that takes its rows from there is complete at
 * once: it needs no slot and knows no `taskDelay`. A task that is struck by a fault always runs, and leaves nothing in the cache.
 *
 * @category services
 * @since 0.1.0
 */
export class TaskStore extends Context.Service<
  TaskStore,
  {
    /** The task as it is answered: `added`, also if its rows are there already (recorded). */
    readonly create: (task: NewTask) => Effect.Effect<Task, TooManyRequests>
    readonly get: (userId: string, id: string) => Effect.Effect<Task, NotFound>
    readonly poll: (userId: string, id: string) => Effect.Effect<Task, NotFound>
    readonly kill: (user: User, id: string) => Effect.Effect<void, NotFound>
    /** The rows of a complete task stay until the scope closes, also if the task expires meanwhile. */
    readonly hold: (task: Task) => Effect.Effect<void, never, Scope.Scope>
    readonly unfinished: Effect.Effect<ReadonlyArray<Task>>
    /** Of every user, in the order of their creation. */
    readonly all: Effect.Effect<ReadonlyArray<Task>>
    /** As after a restart: nothing runs, and no task and no result is known. */
    readonly forget: Effect.Effect<void>
  }
>()("effect-looker/embedded/TaskStore") {}

const isUnfinished = ({ state }: Task): boolean => state.status === "added" || state.status === "running"

/** The format `sql` asks what would run. */
const isRun = ({ body }: NewTask): boolean => body.result_format !== "sql"

/** More tasks than this are not kept. */
const mostTasks = 10_000

/** What a run of a query gave. Its tables, named after the task that ran, are dropped when nobody holds it any more. */
interface Run {
  readonly taskId: string
  readonly plan: Plan
  readonly startedAt: number
  readonly endedAt: number
  readonly result: ResultSet
  holders: number
}

interface Entry {
  task: Task
  readonly faults: ReadonlyArray<TaskFault>
  /** Of each fault that shows another status, how many polls have seen it. */
  readonly polls: Map<TaskFault, number>
  fiber: Fiber.Fiber<void> | undefined
  run: Run | undefined
}

const notFound = new NotFound({ message: "Not found" })

const nothingCached = new DatabaseError({
  message: "cache_only: there is no cached result of this query. Run it without cache_only first.",
  line: undefined
})

const waitedTooLong = (timeout: Duration.Duration) =>
  new DatabaseError({
    message: `The query waited in the queue for ${Duration.format(timeout)}, which is the longest it may wait.`,
    line: undefined
  })

const keyOf = ({ plan, stored }: NewTask): string =>
  createHash("sha256")
    .update(JSON.stringify([stored.query.id, plan.limit, plan.sql]))
    .digest("hex")
    .slice(0, 32)

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<TaskStore["Service"], never, DuckDb | Faults | Scope.Scope> =>
  Effect.gen(function* () {
    const database = yield* DuckDb
    const faults = yield* Faults
    const scope = yield* Effect.scope
    const slots = Slots.make({
      total: options.concurrency,
      perUser: options.concurrencyPerUser,
      timeout: options.queueTimeout
    })
    const resultLife = Duration.toMillis(options.resultLife)
    const cacheLife = Duration.toMillis(options.cacheLife)

    const entries = new Map<string, Entry>()
    /** When what is left of an ended task goes: its rows a life after its end, all of it a life after that. Those that ended first come first. */
    const ends = new Map<string, number>()
    /** None of them before. */
    let nextEnd = Number.POSITIVE_INFINITY
    /** The last run of each query, in the order in which they ended. */
    const cache = new Map<string, Run>()
    /** One number for each query that ran. */
    const runtimes = new Map<string, number>()

    const release = (run: Run) =>
      Effect.suspend(() =>
        --run.holders === 0 ? Effect.ignore(QueryExecution.clear(database, run.plan, run.taskId)) : Effect.void
      )

    const releaseOf = (entry: Entry) =>
      Effect.suspend(() => {
        const { run } = entry
        entry.run = undefined
        return run === undefined ? Effect.void : release(run)
      })

    const endAt = (id: string, end: number) => {
      ends.set(id, end)
      nextEnd = Math.min(nextEnd, end)
    }

    const setState = (entry: Entry, state: TaskStatus, now: number) => {
      const { id } = entry.task
      entry.task = { ...entry.task, state }
      if (state.status !== "running" && entries.has(id)) endAt(id, now + resultLife)
    }

    const complete = (
      entry: Entry,
      run: Run,
      source: "query" | "cache",
      warnings: ReadonlyArray<string>,
      now: number
    ) => {
      const { endedAt, result, startedAt } = run
      entry.run = run
      run.holders++
      setState(entry, { status: "complete", startedAt, endedAt, result, source, warnings }, now)
    }

    const keepInCache = Effect.fnUntraced(function* (key: string, run: Run) {
      if (cacheLife === 0) return
      const former = cache.get(key)
      cache.delete(key)
      cache.set(key, run)
      run.holders++
      if (former !== undefined) yield* release(former)
    })

    /** What the query gives, or what a fault makes of it. */
    const runQuery = ({ faults, task }: Entry) => {
      const error = faults.find((fault) => fault._tag === "Error")
      if (error !== undefined) {
        return Effect.fail(new DatabaseError({ message: error.message, line: error.line }))
      }
      if (!isRun(task)) return Effect.succeed(QueryExecution.unrun(task.plan))
      // A defect must not leave the task running for ever.
      return Effect.catchDefect(QueryExecution.run(database, task.plan, task.id), (defect) =>
        Effect.andThen(
          Effect.logError("embedded Looker: an unexpected failure of a query", defect),
          Effect.fail(new DatabaseError({ message: `The embedded Looker failed: ${String(defect)}`, line: undefined }))
        )
      )
    }

    const finish = Effect.fnUntraced(function* (entry: Entry, startedAt: number, restore: typeof Effect.interruptible) {
      const { id: taskId, plan, stored } = entry.task
      const result = yield* Effect.result(restore(runQuery(entry)))
      const endedAt = yield* Clock.currentTimeMillis
      runtimes.set(stored.query.id, endedAt - startedAt)
      if (result._tag === "Failure") {
        setState(entry, { status: "error", startedAt, endedAt, error: result.failure }, endedAt)
        return
      }
      const run: Run = { taskId, plan, startedAt, endedAt, result: result.success, holders: 0 }
      const warnings = entry.faults.flatMap((fault) => (fault._tag === "Warning" ? [fault.message] : []))
      complete(entry, run, "query", warnings, endedAt)
      if (entry.faults.length === 0 && isRun(entry.task)) yield* keepInCache(entry.task.cacheKey, run)
    })

    const execute = Effect.fnUntraced(function* (entry: Entry) {
      const startedAt = yield* Clock.currentTimeMillis
      setState(entry, { status: "running", startedAt }, startedAt)
      const slow = entry.faults.map((fault) => (fault._tag === "Slow" ? fault.duration : Duration.zero))
      yield* Effect.sleep(slow.reduce(Duration.sum, options.taskDelay))
      if (entry.faults.every((fault) => fault._tag !== "Killed")) {
        // Between the end of the query and its being noted nothing may be lost.
        yield* Effect.uninterruptibleMask((restore) => finish(entry, startedAt, restore))
      } else {
        const endedAt = yield* Clock.currentTimeMillis
        setState(entry, { status: "killed", startedAt, endedAt }, endedAt)
      }
    })

    const fail = Effect.fnUntraced(function* (entry: Entry, error: DatabaseError) {
      const now = yield* Clock.currentTimeMillis
      setState(entry, { status: "error", startedAt: now, endedAt: now, error }, now)
    })

    const expireTasks = Effect.fnUntraced(function* (now: number) {
      if (now < nextEnd) return
      nextEnd = Number.POSITIVE_INFINITY
      for (const [id, end] of ends) {
        const entry = entries.get(id)
        const state = entry?.task.state
        if (end > now) {
          nextEnd = Math.min(nextEnd, end)
        } else if (
          entry !== undefined &&
          (state?.status === "complete" || state?.status === "error") &&
          end + resultLife > now
        ) {
          const { endedAt, startedAt } = state
          entry.task = { ...entry.task, state: { status: "expired", startedAt, endedAt } }
          endAt(id, end + resultLife)
          yield* releaseOf(entry)
        } else {
          ends.delete(id)
          entries.delete(id)
          if (entry !== undefined) yield* releaseOf(entry)
        }
      }
    })

    const expire = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      yield* expireTasks(now)
      for (const [key, run] of cache) {
        if (run.endedAt + 2 * cacheLife > now) break
        cache.delete(key)
        yield* release(run)
      }
    }).pipe(Effect.uninterruptible)

    const makeRoom = Effect.gen(function* () {
      if (entries.size < mostTasks) return
      const [oldest] = ends.keys()
      const entry = oldest === undefined ? undefined : entries.get(oldest)
      if (oldest === undefined || entry === undefined) {
        const message = `${mostTasks} tasks wait or run already, which is the most the embedded Looker takes.`
        return yield* new TooManyRequests({ message })
      }
      ends.delete(oldest)
      entries.delete(oldest)
      yield* releaseOf(entry)
    })

    /** What the cache has for a task that wants it: fresh, unless it takes what there is. */
    const cached = ({ params }: NewTask, key: string, now: number): Run | undefined => {
      const run = cache.get(key)
      if (run === undefined || params.cache_only === true) return run
      return params.cache === false || run.endedAt + cacheLife <= now ? undefined : run
    }

    const create = Effect.fn("TaskStore.create")(function* (task: NewTask) {
      yield* expire
      yield* makeRoom
      const now = yield* Clock.currentTimeMillis
      const id = yield* Effect.sync(() => randomBytes(16).toString("hex"))
      const cacheKey = keyOf(task)
      const added: Task = {
        ...task,
        id,
        createdAt: now,
        cacheKey,
        state: { status: "added" },
        runtime: runtimes.get(task.stored.query.id),
        shown: undefined,
        isLeftOut: false
      }
      const struck = yield* faults.onTask(task.stored.query)
      if (struck.some((fault) => fault._tag === "Missing")) return added
      const entry: Entry = { task: added, faults: struck, polls: new Map(), fiber: undefined, run: undefined }
      entries.set(id, entry)
      const mayBeCached = struck.length === 0 && isRun(task)
      const run = mayBeCached ? cached(task, cacheKey, now) : undefined
      if (task.body.deferred === true) {
        // Looker documents `deferred` and no way to start such a task: it stays as it is until somebody kills it, or its life is over.
        endAt(id, now + resultLife)
      } else if (run !== undefined) {
        complete(entry, run, "cache", [], now)
      } else if (task.params.cache_only === true && mayBeCached) {
        // Not determined for Looker. An empty result would be taken for an answer.
        yield* fail(entry, nothingCached)
      } else {
        const running = slots.withSlot(task.userId, execute(entry), fail(entry, waitedTooLong(options.queueTimeout)))
        entry.fiber = yield* Effect.forkIn(
          Effect.ensuring(
            running,
            Effect.sync(() => {
              entry.fiber = undefined
            })
          ),
          scope
        )
      }
      return added
    }, Effect.uninterruptible)

    /** The first of these faults that still tells something false, `since` then. */
    const inForce = <F extends Extract<TaskFault, { readonly until: Until }>>(
      entry: Entry,
      faults: ReadonlyArray<F>,
      since: number,
      now: number,
      counted: boolean
    ): F | undefined => {
      const fault = faults.find((fault) => {
        const { for: time, polls } = fault.until
        return (
          (time === undefined || now < since + Duration.toMillis(Duration.fromInputUnsafe(time))) &&
          (polls === undefined || (entry.polls.get(fault) ?? 0) < polls)
        )
      })
      if (counted && fault !== undefined) entry.polls.set(fault, (entry.polls.get(fault) ?? 0) + 1)
      return fault
    }

    const shown = (entry: Entry, now: number, counted: boolean): string | undefined => {
      const { state } = entry.task
      if (state.status === "added" || state.status === "running" || state.status === "expired") return undefined
      const faults = entry.faults.filter((fault) => fault._tag === "Shown")
      return inForce(entry, faults, state.endedAt, now, counted)?.status
    }

    const isLeftOut = (entry: Entry, now: number, counted: boolean): boolean => {
      const faults = entry.faults.filter((fault) => fault._tag === "LeftOut")
      return inForce(entry, faults, entry.task.createdAt, now, counted) !== undefined
    }

    const find = (counted: boolean) =>
      Effect.fnUntraced(function* (userId: string, id: string) {
        yield* expire
        const entry = entries.get(id)
        if (entry === undefined || entry.task.userId !== userId) return yield* notFound
        const now = yield* Clock.currentTimeMillis
        return {
          ...entry.task,
          runtime: runtimes.get(entry.task.stored.query.id),
          shown: shown(entry, now, counted),
          isLeftOut: isLeftOut(entry, now, counted)
        }
      })

    const stop = Effect.fnUntraced(function* (entry: Entry) {
      if (entry.fiber !== undefined) yield* Fiber.interrupt(entry.fiber)
      yield* releaseOf(entry)
    })

    const kill = Effect.fn("TaskStore.kill")(function* (user: User, id: string) {
      yield* expire
      const entry = entries.get(id)
      if (entry === undefined || !isUnfinished(entry.task)) return yield* notFound
      if (!user.isAdmin && entry.task.userId !== user.id) return yield* notFound
      const { state } = entry.task
      const startedAt = state.status === "running" ? state.startedAt : undefined
      yield* stop(entry)
      const endedAt = yield* Clock.currentTimeMillis
      // The query may have ended in the same moment: a kill is final.
      setState(entry, { status: "killed", startedAt, endedAt }, endedAt)
    }, Effect.uninterruptible)

    const all = Effect.andThen(
      expire,
      Effect.sync(() => [...entries.values()].map(({ task }) => task))
    )

    return TaskStore.of({
      create,
      get: find(false),
      poll: find(true),
      kill,
      hold: (task) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const run = entries.get(task.id)?.run
            if (run !== undefined) run.holders++
            return run
          }),
          (run) => (run === undefined ? Effect.void : release(run))
        ),
      unfinished: Effect.map(all, (tasks) => tasks.filter(isUnfinished)),
      all,
      forget: Effect.gen(function* () {
        const former = [...entries.values()]
        entries.clear()
        ends.clear()
        yield* Effect.forEach(former, stop, { concurrency: "unbounded" })
        const results = [...cache.values()]
        cache.clear()
        yield* Effect.forEach(results, release)
      }).pipe(Effect.uninterruptible)
    })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<TaskStore, never, DuckDb | Faults> =>
  Layer.effect(TaskStore, make(options))
