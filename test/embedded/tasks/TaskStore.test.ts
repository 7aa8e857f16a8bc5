/** What the task store keeps, and what it lets go: seen from inside, where the tables are. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import { DataFolder, Fault, Faults } from "effect-looker/embedded"
import { DuckDb, layer as layerDuckDb } from "../../../src/embedded/database/DuckDb.ts"
import * as QueryStore from "../../../src/embedded/tasks/QueryStore.ts"
import type { Task } from "../../../src/embedded/tasks/Task.ts"
import * as TaskStore from "../../../src/embedded/tasks/TaskStore.ts"
import * as Users from "../../../src/embedded/tasks/Users.ts"
import { folder, orders, wait } from "../support.ts"

const defaults: TaskStore.Options = {
  concurrency: 2,
  concurrencyPerUser: 15,
  queueTimeout: Duration.minutes(10),
  resultLife: Duration.minutes(2),
  cacheLife: Duration.minutes(1),
  taskDelay: Duration.zero
}

const stores = (options: Partial<TaskStore.Options> = {}, rules: ReadonlyArray<Faults.Rule> = []) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const path = yield* folder({ "orders.csv": orders })
      const database = yield* DuckDb
      const models = yield* DataFolder.load(database, { embedded: path })
      const users = Users.layer([{ id: "1", clientId: "a", clientSecret: "b", permissions: ["administer"] }])
      return TaskStore.layer({ ...defaults, ...options }).pipe(
        Layer.provide(SecureRandom.layerWebCrypto),
        Layer.provideMerge(
          Layer.mergeAll(QueryStore.layer(models, { now: undefined }), Faults.layer(rules, models), users)
        )
      )
    })
  ).pipe(Layer.provideMerge(layerDuckDb({})))

interface Asked {
  readonly deferred?: boolean
  readonly cache?: boolean
  readonly cache_only?: boolean
  readonly format?: "json" | "csv"
}

const create = Effect.fnUntraced(function* ({ deferred, format, ...params }: Asked = {}) {
  const queries = yield* QueryStore.QueryStore
  const tasks = yield* TaskStore.TaskStore
  const stored = yield* queries.create({ model: "embedded", view: "orders", fields: ["orders.status"] })
  const plan = yield* queries.plan(stored, undefined)
  const body = { query_id: stored.query.id, result_format: format ?? "json", deferred }
  return yield* tasks.create({ userId: "1", stored, plan, body, params })
})

const get = (id: string) => TaskStore.TaskStore.use((tasks) => tasks.get("1", id))

const ended = Effect.fnUntraced(function* (id: string) {
  for (;;) {
    const task = yield* get(id)
    if (task.state.status !== "added" && task.state.status !== "running") return task
    yield* wait(2)
  }
})

const run = (asked?: Asked) => Effect.flatMap(create(asked), ({ id }) => ended(id))

const tables = DuckDb.use((database) =>
  database.run("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'results'")
)

const tableCount = Effect.map(tables, (rows) => rows.length)

describe("the tables of results", () => {
  it.effect("are shared through the cache, and dropped when no task needs them", () =>
    Effect.gen(function* () {
      const first = yield* run()
      yield* TestClock.adjust("50 seconds")
      const second = yield* run({ format: "csv" })
      assert.deepStrictEqual(
        [first.state.status, second.state.status === "complete" && second.state.source, yield* tableCount],
        ["complete", "cache", 1]
      )
      yield* TestClock.adjust("71 seconds")
      // The first has expired and the cache has let go; the second has its own life.
      assert.strictEqual((yield* get(first.id)).state.status, "expired")
      assert.deepStrictEqual([(yield* get(second.id)).state.status, yield* tableCount], ["complete", 1])
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual([(yield* get(second.id)).state.status, yield* tableCount], ["expired", 0])
    }).pipe(Effect.provide(stores()))
  )

  it.effect("of a query that runs again and again are those of the tasks, and of the last run", () =>
    Effect.gen(function* () {
      for (let index = 0; index < 5; index++) yield* run({ cache: false })
      assert.strictEqual(yield* tableCount, 5)
      yield* TestClock.adjust("119 seconds")
      const late = yield* run({ cache: false })
      yield* TestClock.adjust("1 seconds")
      yield* get(late.id)
      assert.strictEqual(yield* tableCount, 1)
    }).pipe(Effect.provide(stores()))
  )

  it.effect("stay while a client reads them, also if the task expires meanwhile", () =>
    Effect.gen(function* () {
      const tasks = yield* TaskStore.TaskStore
      const task = yield* run()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* tasks.retainResult(task)
          yield* TestClock.adjust("10 minutes")
          yield* Effect.flip(get(task.id))
          assert.strictEqual(yield* tableCount, 1)
        })
      )
      assert.strictEqual(yield* tableCount, 0)
    }).pipe(Effect.provide(stores()))
  )

  it.effect("go with a restart, whatever runs", () =>
    Effect.gen(function* () {
      const tasks = yield* TaskStore.TaskStore
      const complete = yield* run()
      yield* run({ cache: false })
      const running = yield* create({ cache: false })
      const deferred = yield* create({ deferred: true })
      yield* tasks.forget
      for (const { id } of [complete, running, deferred]) yield* Effect.flip(get(id))
      assert.deepStrictEqual([yield* tableCount, yield* tasks.all], [0, []])
      const again = yield* run()
      assert.strictEqual(again.state.status === "complete" && again.state.source, "query")
    }).pipe(Effect.provide(stores()))
  )

  it.live("are all gone after kills in the middle, and no slot is lost", () =>
    Effect.gen(function* () {
      const tasks = yield* TaskStore.TaskStore
      const admin = yield* Users.Users.use((users) => users.get("1"))
      for (let round = 0; round < 30; round++) {
        const made = yield* Effect.forEach([1, 2, 3, 4], () => create({ cache: false }))
        yield* wait(round % 7)
        const kills = made.map(({ id }) => Effect.exit(tasks.kill(admin, id)))
        yield* Effect.all(kills, { concurrency: "unbounded" })
        for (const { id } of made) assert.include(["killed", "complete"], (yield* ended(id)).state.status)
      }
      const complete = (yield* tasks.all).filter(({ state }) => state.status === "complete")
      // One of each complete task; the run in the cache may be of a task that was killed in the moment of its end.
      assert.isAtMost((yield* tableCount) - complete.length, 1)
      assert.strictEqual((yield* run({ cache: false })).state.status, "complete")
      yield* tasks.forget
      assert.strictEqual(yield* tableCount, 0)
    }).pipe(Effect.provide(stores()))
  )
})

describe("the number of tasks", () => {
  it.effect("is bounded: the oldest that ended, or wait for nothing, go first", () =>
    Effect.gen(function* () {
      const tasks = yield* TaskStore.TaskStore
      const first = yield* run()
      const second = yield* run({ cache: false })
      for (let index = 0; index < 9_999; index++) yield* create({ deferred: true })
      yield* Effect.flip(get(first.id))
      assert.strictEqual((yield* get(second.id)).state.status, "complete")
      assert.strictEqual((yield* tasks.all).length, 10_000)
    }).pipe(Effect.provide(stores()))
  )

  it.effect("is bounded: when all are still to run, no more are taken", () =>
    Effect.gen(function* () {
      const made: Array<Task> = []
      for (let index = 0; index < 10_000; index++) made.push(yield* create())
      const error = yield* Effect.flip(create())
      assert.strictEqual(error._tag, "TooManyRequests")
      const tasks = yield* TaskStore.TaskStore
      const admin = yield* Users.Users.use((users) => users.get("1"))
      yield* tasks.kill(admin, made[5]?.id ?? "")
      yield* create()
      yield* Effect.flip(get(made[5]?.id ?? ""))
    }).pipe(Effect.provide(stores({ taskDelay: Duration.minutes(5) })))
  )
})

describe("a task with a fault", () => {
  it.effect("neither takes from the cache nor leaves anything there", () =>
    Effect.gen(function* () {
      const faults = yield* Faults.Faults
      const faulty = yield* run()
      assert.strictEqual(faulty.state.status, "complete")
      assert.strictEqual((yield* run({ cache_only: true })).state.status, "error")
      yield* run()
      yield* faults.add({ fault: Fault.error("no") })
      assert.strictEqual((yield* run()).state.status, "error")
      yield* faults.clear
      const after = yield* run()
      assert.strictEqual(after.state.status === "complete" && after.state.source, "cache")
    }).pipe(Effect.provide(stores({}, [{ on: { nth: 1 }, fault: Fault.slow(0) }])))
  )

  it.effect("that runs in the same moment as others is the one its rule counts", () =>
    Effect.gen(function* () {
      const fibers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(run({ cache: false })))
      const statuses = yield* Effect.forEach(fibers, (fiber) =>
        Effect.map(Fiber.join(fiber), ({ state }) => state.status)
      )
      assert.deepStrictEqual(statuses.filter((status) => status === "error").length, 1)
    }).pipe(Effect.provide(stores({}, [{ on: { nth: 3 }, fault: Fault.error("no") }])))
  )
})

describe("a bug in the engine", () => {
  it.effect("ends the task with an error, and no client waits for ever", () =>
    Effect.gen(function* () {
      const queries = yield* QueryStore.QueryStore
      const tasks = yield* TaskStore.TaskStore
      const stored = yield* queries.create({ model: "embedded", view: "orders", fields: ["orders.status"] })
      const broken = new Proxy(yield* queries.plan(stored, undefined), {
        get: (plan, key) => {
          if (key === "pivotFields") throw new Error("a bug")
          return Reflect.get(plan, key)
        }
      })
      const body = { query_id: stored.query.id, result_format: "json" as const }
      const { id } = yield* tasks.create({ userId: "1", stored, plan: broken, body, params: {} })
      const { state } = yield* ended(id)
      assert.strictEqual(state.status === "error" && state.error.message, "The embedded Looker failed: Error: a bug")
      assert.strictEqual(yield* tableCount, 0)
    }).pipe(Effect.provide(stores()), Effect.provide(Logger.layer([])))
  )
})
