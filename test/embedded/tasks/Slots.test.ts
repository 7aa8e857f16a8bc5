import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Slots from "../../../src/embedded/tasks/Slots.ts"
import { call, createTask, inProcess, leaves, login, orders, wait } from "../support.ts"

const files = { "orders.csv": orders }
const query = { view: "orders", fields: ["orders.status", "orders.count"] }

const as = (client_id: string) =>
  Effect.map(call("POST", "/login", { form: { client_id, client_secret: "s" } }), ({ json }) =>
    String(json.access_token)
  )

const users = ["one", "two"].map((clientId, index) => ({ id: String(index), clientId, clientSecret: "s" }))

const statusOf = (token: string, id: string) =>
  Effect.map(call("GET", `/query_tasks/${id}?fields=status`, { token }), ({ json }) => json.status as string)

describe("the queue", () => {
  it.effect("runs no more of one user at a time than it may, and lets another go first", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* as("one"), yield* as("two")]
      const ones = [
        yield* createTask(one, query, "json"),
        yield* createTask(one, query, "json"),
        yield* createTask(one, query, "json")
      ]
      const twos = yield* createTask(two, query, "json")
      yield* leaves(one, ones[0] ?? "", ["added"])
      yield* leaves(one, ones[1] ?? "", ["added"])
      yield* leaves(two, twos, ["added"])
      yield* wait(50)
      assert.strictEqual(yield* statusOf(one, ones[2] ?? ""), "added")
      yield* TestClock.adjust("10 seconds")
      yield* leaves(one, ones[2] ?? "", ["added"])
    }).pipe(Effect.provide(inProcess(files, { users, taskDelay: "10 seconds", concurrency: 3, concurrencyPerUser: 2 })))
  )

  it.effect("ends a task with an error that waits too long", () =>
    Effect.gen(function* () {
      const token = yield* login
      const first = yield* createTask(token, query, "json_detail")
      const second = yield* createTask(token, query, "json_detail")
      yield* leaves(token, first, ["added"])
      yield* TestClock.adjust("599 seconds")
      assert.strictEqual(yield* statusOf(token, second), "added")
      yield* TestClock.adjust("1 seconds")
      yield* leaves(token, second, ["added"])
      const multi = yield* call("GET", `/query_tasks/multi_results?query_task_ids=${second}`, { token })
      assert.strictEqual(multi.json[second].status, "error")
      assert.include(multi.json[second].data.errors[0].message_details, "waited in the queue for 10m")
      assert.strictEqual(yield* statusOf(token, first), "running")
    }).pipe(Effect.provide(inProcess(files, { taskDelay: "20 minutes", concurrency: 1 })))
  )

  it.effect("forgets a deferred task after a while", () =>
    Effect.gen(function* () {
      const token = yield* login
      const { json } = yield* call("POST", "/queries", { token, json: { model: "embedded", ...query } })
      const body = { query_id: json.id, result_format: "json", deferred: true }
      const { id } = (yield* call("POST", "/query_tasks", { token, json: body })).json
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* statusOf(token, id), "added")
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual((yield* call("GET", `/query_tasks/${id}`, { token })).status, 404)
      assert.deepStrictEqual((yield* call("GET", "/running_queries", { token })).json, [])
    }).pipe(Effect.provide(inProcess(files, { resultLife: "1 minute" })))
  )
})

describe("slots", () => {
  /** Who gets a slot, in which order, when each is given back as soon as another task waits for it. */
  const order = Effect.fnUntraced(function* (options: Partial<Slots.Options>, asked: ReadonlyArray<string>) {
    const slots = Slots.make({ total: 1, perUser: 1, timeout: Duration.infinity, ...options })
    const served: Array<string> = []
    const go = yield* Deferred.make<void>()
    const fibers = yield* Effect.forEach(asked, (name) => {
      const work = Effect.sync(() => served.push(name)).pipe(Effect.andThen(Deferred.await(go)))
      return Effect.forkChild(slots.withSlot(name.slice(0, 1), work, Effect.void))
    })
    yield* Effect.yieldNow
    yield* Deferred.succeed(go, undefined)
    yield* Effect.forEach(fibers, Fiber.join)
    return served
  })

  it.effect("go to users in turn, and to the tasks of one in their order", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* order({}, ["a1", "a2", "a3", "b1", "c1", "b2"]), [
        "a1",
        "b1",
        "c1",
        "a2",
        "b2",
        "a3"
      ])
    })
  )

  it.effect("are given back by who is interrupted, waiting or working", () =>
    Effect.gen(function* () {
      const slots = Slots.make({ total: 1, perUser: 1, timeout: Duration.infinity })
      const take = (user: string) => Effect.forkChild(slots.withSlot(user, Effect.never, Effect.void))
      const [working, waiting] = [yield* take("a"), yield* take("b")]
      yield* Effect.yieldNow
      yield* Fiber.interrupt(waiting)
      yield* Fiber.interrupt(working)
      assert.strictEqual(yield* slots.withSlot("c", Effect.succeed(1), Effect.succeed(2)), 1)
    })
  )

  it.effect("are not waited for longer than the timeout", () =>
    Effect.gen(function* () {
      const slots = Slots.make({ total: 1, perUser: 1, timeout: Duration.seconds(5) })
      yield* Effect.forkChild(slots.withSlot("a", Effect.never, Effect.void))
      yield* Effect.yieldNow
      const late = yield* Effect.forkChild(slots.withSlot("b", Effect.succeed("slot"), Effect.succeed("late")))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(late), "late")
    })
  )
})
