/**
 * Query tasks: what waits, what runs, what ended how, and which results are still kept.
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { CreateQueryTask, CreateQueryTaskParams } from "../domain/QueryTask.ts"
import { NotFound } from "../LookerError.ts"
import { type DatabaseError, DuckDb } from "./DuckDb.ts"
import type { Plan } from "./QueryCompiler.ts"
import * as QueryExecution from "./QueryExecution.ts"
import type { StoredQuery } from "./QueryStore.ts"
import type { ResultSet } from "./ResultSet.ts"
import type { User } from "./Users.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly concurrency: number
  readonly resultLife: Duration.Duration
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
 * Where a task stands. Times are milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export type TaskStatus =
  | { readonly status: "added" }
  | { readonly status: "running"; readonly startedAt: number }
  | { readonly status: "complete"; readonly startedAt: number; readonly endedAt: number; readonly result: ResultSet }
  | { readonly status: "error"; readonly startedAt: number; readonly endedAt: number; readonly error: DatabaseError }
  | { readonly status: "killed" }
  | { readonly status: "expired" }

/**
 * One run of a query.
 *
 * @category models
 * @since 0.1.0
 */
export interface Task extends NewTask {
  readonly id: string
  readonly createdAt: number
  readonly state: TaskStatus
}

/**
 * **Details**
 *
 * `get` finds the caller's own tasks only; an admin kills everybody's. The rows of a task live for `resultLife` after its end; then it is `expired` for as
 * long, and then not found. A killed one is not found a `resultLife` after the kill. `kill` waits until the database has let go
 * of the statement.
 *
 * @category services
 * @since 0.1.0
 */
export class TaskStore extends Context.Service<
  TaskStore,
  {
    readonly create: (task: NewTask) => Effect.Effect<Task>
    readonly get: (userId: string, id: string) => Effect.Effect<Task, NotFound>
    readonly kill: (user: User, id: string) => Effect.Effect<void, NotFound>
    readonly unfinished: Effect.Effect<ReadonlyArray<Task>>
    /** Of every user, in the order of their creation. */
    readonly all: Effect.Effect<ReadonlyArray<Task>>
  }
>()("effect-looker/embedded/TaskStore") {}

const isUnfinished = ({ state }: Task): boolean => state.status === "added" || state.status === "running"

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<TaskStore["Service"], never, DuckDb | Scope.Scope> =>
  Effect.gen(function* () {
    const database = yield* DuckDb
    const scope = yield* Effect.scope
    const slots = yield* Semaphore.make(options.concurrency)
    const tasks = new Map<string, Task>()
    const fibers = new Map<string, Fiber.Fiber<void>>()
    const resultLife = Duration.toMillis(options.resultLife)
    /** When what is left of an ended task goes, in this order: its rows a life after its end, all of it a life after that. */
    const ends = new Map<string, number>()

    const setState = (id: string, state: TaskStatus, now: number) => {
      const task = tasks.get(id)
      // A kill is final: the query may have ended in the same moment.
      if (task === undefined || task.state.status === "killed") return
      tasks.set(id, { ...task, state })
      if (state.status !== "running") ends.set(id, now + resultLife)
    }

    const drop = ({ id, plan }: Task) => Effect.ignore(QueryExecution.clear(database, plan, id))

    const execute = Effect.fnUntraced(function* (task: Task) {
      const startedAt = yield* Clock.currentTimeMillis
      setState(task.id, { status: "running", startedAt }, startedAt)
      yield* Effect.sleep(options.taskDelay)
      const result =
        task.body.result_format === "sql"
          ? Effect.succeed(QueryExecution.unrun(task.plan))
          : QueryExecution.run(database, task.plan, task.id)
      const state = yield* result.pipe(
        Effect.match({
          onFailure: (error) => ({ status: "error" as const, error }),
          onSuccess: (result) => ({ status: "complete" as const, result })
        })
      )
      const endedAt = yield* Clock.currentTimeMillis
      setState(task.id, { ...state, startedAt, endedAt }, endedAt)
    })

    const run = (task: Task) =>
      execute(task).pipe(slots.withPermit, Effect.ensuring(Effect.sync(() => fibers.delete(task.id))))

    const expire = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      for (const [id, end] of ends) {
        if (end > now) return
        ends.delete(id)
        const task = tasks.get(id)
        if (task?.state.status === "complete" || task?.state.status === "error") {
          setState(id, { status: "expired" }, now)
          yield* drop(task)
        } else {
          tasks.delete(id)
        }
      }
    }).pipe(Effect.uninterruptible)

    const create = Effect.fn("TaskStore.create")(function* (task: NewTask) {
      yield* expire
      const createdAt = yield* Clock.currentTimeMillis
      const id = yield* Effect.sync(() => randomBytes(16).toString("hex"))
      const added: Task = {
        ...task,
        id,
        createdAt,
        state: { status: "added" }
      }
      tasks.set(id, added)
      // Looker documents `deferred` and no way to start such a task: it stays as it is until somebody kills it.
      if (task.body.deferred !== true) {
        fibers.set(id, yield* Effect.forkIn(run(added), scope))
      }
      return added
    }, Effect.uninterruptible)

    const get = Effect.fnUntraced(function* (userId: string, id: string) {
      yield* expire
      const task = tasks.get(id)
      if (task === undefined || task.userId !== userId) return yield* new NotFound({ message: "Not found" })
      return task
    })

    const kill = Effect.fn("TaskStore.kill")(function* (user: User, id: string) {
      yield* expire
      const task = tasks.get(id)
      if (task === undefined || !isUnfinished(task) || !(user.isAdmin || task.userId === user.id))
        return yield* new NotFound({ message: "Not found" })
      setState(id, { status: "killed" }, yield* Clock.currentTimeMillis)
      const fiber = fibers.get(id)
      if (fiber !== undefined) yield* Fiber.interrupt(fiber)
      yield* drop(task)
    }, Effect.uninterruptible)

    return TaskStore.of({
      create,
      get,
      kill,
      unfinished: Effect.sync(() => [...tasks.values()].filter(isUnfinished)),
      all: Effect.andThen(
        expire,
        Effect.sync(() => [...tasks.values()])
      )
    })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<TaskStore, never, DuckDb> => Layer.effect(TaskStore, make(options))
