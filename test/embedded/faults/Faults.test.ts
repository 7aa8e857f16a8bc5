/** Every fault, as the whole client of this library meets it: in process, and on a socket where connections break. */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import {
  Looker,
  LookerApi,
  LookerHttp,
  LookerPolicy,
  Queries,
  QueryRunner,
  QueryTaskRun,
  QueryTasks
} from "effect-looker"
import { EmbeddedLooker, Fault, Faults } from "effect-looker/embedded"
import { TestTime } from "effect-looker/testing"
import * as support from "../support.ts"
import { folder, orders } from "../support.ts"

const query = { model: "embedded", view: "orders", fields: ["orders.status", "orders.count"], sorts: ["orders.status"] }
const rowCount = 3

type Options = Omit<EmbeddedLooker.Options, "data">

const data = folder({ "orders.csv": orders })

/** The client over an embedded Looker in process, with the test's clock. */
const inProcess = (options: Options) =>
  Looker.layer({ baseUrl: EmbeddedLooker.inProcessBaseUrl, ...EmbeddedLooker.credentials }).pipe(
    Layer.provideMerge(Layer.unwrap(Effect.map(data, (data) => EmbeddedLooker.layer({ ...options, data }))))
  )

/** The client over a real connection. */
const onSocket = (options: Options) =>
  Layer.unwrap(Effect.map(EmbeddedLooker.EmbeddedServer, (server) => Looker.layer(server))).pipe(
    Layer.provideMerge(NodeHttpClient.layerUndici),
    Layer.provideMerge(Layer.unwrap(Effect.map(data, (data) => EmbeddedLooker.layerServer({ ...options, data }))))
  )

const everywhere = [
  ["in process", inProcess],
  ["on a socket", onSocket]
] as const

const run = (options: QueryRunner.RunOptions<Record<string, unknown>> = {}) =>
  QueryRunner.QueryRunner.use((runner) => runner.run(query, options))

const millis = Effect.clockWith((clock) => clock.currentTimeMillis)

/** How long it took by the clock of the test. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const start = yield* millis
    const value = yield* effect
    return [value, (yield* millis) - start] as const
  })

const succeeds = Effect.map(run(), ({ rows }) => assert.strictEqual(rows.length, rowCount))

describe("a request", () => {
  it.effect("that is delayed is answered later", () =>
    Effect.gen(function* () {
      const [, late] = yield* TestTime.run(timed(succeeds))
      assert.isAtLeast(late, 3000)
    }).pipe(
      Effect.provide(inProcess({ faults: [{ on: { endpoint: "create_query" }, fault: Fault.delay("3 seconds") }] }))
    )
  )

  describe("refused with 429 is repeated", () => {
    for (const [how, retryAfter, least] of [
      ["in the seconds it asks for", "7 seconds", 7000],
      ["at the date it asks for", new Date(9000), 9000],
      ["without a time to wait", undefined, 1]
    ] as const) {
      it.effect(how, () =>
        Effect.gen(function* () {
          const [, late] = yield* TestTime.run(timed(succeeds))
          assert.isAtLeast(late, least)
        }).pipe(
          Effect.provide(
            inProcess({
              faults: [{ on: { endpoint: "create_query_task", nth: 1 }, fault: Fault.tooManyRequests({ retryAfter }) }]
            })
          )
        )
      )
    }

    it.effect("until the policy gives up", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(TestTime.run(run()))
        assert.strictEqual(error._tag, "TooManyRequests")
      }).pipe(
        Effect.provide(inProcess({ faults: [{ on: { endpoint: "create_query" }, fault: Fault.tooManyRequests() }] }))
      )
    )
  })

  for (const status of [502, 503, 504] as const) {
    it.effect(`answered with ${status} and a page is repeated where that is safe`, () =>
      TestTime.run(succeeds).pipe(
        Effect.provide(
          inProcess({
            faults: [
              {
                on: { endpoint: ["create_query", "query_task_multi_results"], times: 2 },
                fault: Fault.unavailable(status)
              }
            ]
          })
        )
      )
    )
  }

  it.effect("answered with 502 fails where it may have begun something", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(TestTime.run(run()))
      assert.deepStrictEqual(
        [error._tag, error.message, error._tag === "LookerUnavailable" && error.status],
        ["LookerUnavailable", "502 Bad Gateway", 502]
      )
    }).pipe(
      Effect.provide(inProcess({ faults: [{ on: { endpoint: "create_query_task" }, fault: Fault.unavailable(502) }] }))
    )
  )

  for (const [where, looker] of everywhere) {
    const runs = where === "in process" ? TestTime.run : <A, E, R>(effect: Effect.Effect<A, E, R>) => effect
    const test = where === "in process" ? it.effect : it.live

    const tasksHere = LookerHttp.LookerHttp.use(({ call }) => call(LookerApi.allRunningQueries, (send) => send({})))

    test(`whose connection breaks is repeated where that is safe, ${where}`, () =>
      runs(succeeds).pipe(
        Effect.provide(
          looker({
            faults: [
              { on: { endpoint: "create_query", nth: 1 }, fault: Fault.resetBefore },
              { on: { endpoint: "query_task_multi_results", nth: 1 }, fault: Fault.resetAfter }
            ]
          })
        )
      ))

    test(`has done nothing where the connection broke before, and all where it broke after, ${where}`, () =>
      Effect.gen(function* () {
        const counts: Array<number> = []
        for (const fault of [Fault.resetBefore, Fault.resetAfter]) {
          const faults = yield* Faults.Faults
          yield* faults.add({ on: { endpoint: "create_query_task", nth: 1 }, fault })
          const error = yield* Effect.flip(runs(run()))
          assert.deepStrictEqual(
            [error._tag, error._tag === "LookerUnavailable" && error.reached],
            ["LookerUnavailable", "maybe"]
          )
          counts.push((yield* tasksHere).length)
          yield* faults.clear
        }
        assert.deepStrictEqual(counts, [0, 1])
      }).pipe(
        Effect.provide(looker({ taskDelay: "1 hour" })),
        Effect.provide(LookerPolicy.layer({ lostAnswer: "fail" }))
      ))

    test(`that was handled is not sent twice for a lost response: the task is adopted, ${where}`, () =>
      Effect.gen(function* () {
        const faults = yield* Faults.Faults
        for (const fault of [
          Fault.resetAfter,
          Fault.unavailable(502, { when: "after" }),
          Fault.unavailable(503, { when: "after" })
        ]) {
          yield* faults.add({ on: { endpoint: "create_query_task", nth: 1 }, fault })
          yield* runs(
            QueryTaskRun.QueryTaskRun.use((run) => Effect.flatMap(run.createQuery(query), ({ id }) => run.start(id)))
          )
          yield* faults.clear
        }
        assert.strictEqual((yield* tasksHere).length, 3)
      }).pipe(Effect.provide(looker({ taskDelay: "1 hour" }))))

    test(`whose body breaks off gives a truncated result, ${where}`, () =>
      Effect.gen(function* () {
        const { taskId } = yield* runs(run())
        const faults = yield* Faults.Faults
        const body = Effect.gen(function* () {
          const found = yield* QueryTasks.QueryTasks.use((tasks) => tasks.queryTaskResults(taskId))
          return yield* Option.getOrThrow(found).text
        })
        const whole = yield* body
        for (const at of [{ bytes: 0 }, { bytes: 10 }, { fraction: 0.5 }]) {
          yield* faults.add({ on: { endpoint: "query_task_results" }, fault: Fault.truncated(at) })
          const error = yield* Effect.flip(body)
          assert.strictEqual(error._tag, "TruncatedResult")
          yield* faults.clear
        }
        for (const at of [{ fraction: 1 }, { bytes: 1_000_000 }]) {
          yield* faults.add({ on: { endpoint: "query_task_results" }, fault: Fault.truncated(at) })
          assert.strictEqual(yield* body, whole)
          yield* faults.clear
        }
        yield* faults.add({
          on: { endpoint: "query_task_results" },
          fault: Fault.truncated({ bytes: 10 }, { end: "clean" })
        })
        assert.strictEqual(yield* body, whole.slice(0, 10))
      }).pipe(Effect.provide(looker({}))))

    test(`about all tasks whose body breaks off is sent again, ${where}`, () =>
      runs(succeeds).pipe(
        Effect.provide(
          looker({
            faults: [
              { on: { endpoint: "query_task_multi_results", nth: 1 }, fault: Fault.truncated({ fraction: 0.5 }) }
            ]
          })
        )
      ))
  }

  for (const fault of [Fault.truncated({ fraction: 0.5 }), Fault.appendedError()]) {
    for (const [where, looker] of [
      ["in process", support.inProcess],
      ["on a socket", support.overSocket]
    ] as const) {
      const on = { endpoint: "query_task_results" } as const
      it.live(`that is answered with nothing has no body either with ${fault._tag}, ${where}`, () =>
        Effect.gen(function* () {
          const token = yield* support.login
          const id = yield* support.createTask(token, query, "json")
          const { status, text } = yield* support.call("GET", `/query_tasks/${id}/results`, { token, faulty: true })
          assert.deepStrictEqual([status, text], [204, ""])
        }).pipe(
          Effect.provide(
            looker(
              { "orders.csv": orders },
              {
                faults: [
                  { on, fault },
                  { on, fault: Fault.notFinished(204) }
                ]
              }
            )
          )
        )
      )
    }
  }

  it.effect("for rows that end too early is a truncated result, though nothing looks broken", () =>
    Effect.gen(function* () {
      const stream = QueryRunner.QueryRunner.use((runner) => Stream.runCollect(runner.stream(query)))
      const error = yield* Effect.flip(TestTime.run(stream))
      assert.strictEqual(error._tag, "TruncatedResult")
    }).pipe(
      Effect.provide(
        inProcess({
          faults: [
            { on: { endpoint: "query_task_results" }, fault: Fault.truncated({ fraction: 0.5 }, { end: "clean" }) }
          ]
        })
      )
    )
  )

  it.effect("for rows that ends with the text of an error is a truncated result", () =>
    Effect.gen(function* () {
      const stream = QueryRunner.QueryRunner.use((runner) => Stream.runCollect(runner.stream(query)))
      const error = yield* Effect.flip(TestTime.run(stream))
      assert.strictEqual(error._tag, "TruncatedResult")
      assert.include(error.message, "has the text of an error at its end")
    }).pipe(
      Effect.provide(
        inProcess({ faults: [{ on: { endpoint: "query_task_results" }, fault: Fault.appendedError("disk full") }] })
      )
    )
  )

  for (const status of [202, 204] as const) {
    it.effect(`for results that are said not to be there yet has none, with ${status}`, () =>
      Effect.gen(function* () {
        const { taskId } = yield* TestTime.run(run())
        const results = QueryTasks.QueryTasks.use((tasks) => tasks.queryTaskResults(taskId))
        assert.isTrue(Option.isNone(yield* results))
        assert.isTrue(Option.isSome(yield* results))
      }).pipe(
        Effect.provide(
          inProcess({ faults: [{ on: { endpoint: "query_task_results", nth: 1 }, fault: Fault.notFinished(status) }] })
        )
      )
    )
  }

  for (const contentType of ["text/html", "*/*"] as const) {
    it.effect(`answered with a page as ${contentType} is not found`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Queries.Queries.use((queries) => queries.query("1")))
        assert.deepStrictEqual([error._tag, error.message], ["NotFound", "Looker Not Found (404)"])
      }).pipe(
        Effect.provide(inProcess({ faults: [{ on: { endpoint: "query" }, fault: Fault.htmlNotFound(contentType) }] }))
      )
    )
  }

  it.effect("whose login is answered with a page is unauthorized", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(TestTime.run(run()))
      assert.strictEqual(error._tag, "Unauthorized")
    }).pipe(Effect.provide(inProcess({ faults: [{ on: { endpoint: "login" }, fault: Fault.htmlNotFound("*/*") }] })))
  )

  it.effect("with a token that died in between logs in once more", () =>
    TestTime.run(succeeds).pipe(
      Effect.provide(
        inProcess({ faults: [{ on: { endpoint: "query_task_multi_results", nth: 1 }, fault: Fault.tokenDeath }] })
      )
    )
  )

  it.effect("with tokens that die each time is unauthorized", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(TestTime.run(run()))
      assert.strictEqual(error._tag, "Unauthorized")
    }).pipe(
      Effect.provide(inProcess({ faults: [{ on: { endpoint: "create_query", times: 9 }, fault: Fault.tokenDeath }] }))
    )
  )

  it.effect("after a restart finds its query, and not its task", () =>
    Effect.gen(function* () {
      const queries = yield* Queries.Queries
      const { id = "" } = yield* queries.createQuery(query)
      const error = yield* Effect.flip(TestTime.run(run()))
      assert.strictEqual(error._tag, "TaskMissing")
      assert.strictEqual((yield* queries.query(id)).id, id)
      yield* TestTime.run(succeeds)
    }).pipe(
      Effect.provide(
        inProcess({
          faults: [
            { on: { times: 1 }, fault: Fault.slow("10 seconds") },
            { on: { endpoint: "query_task_multi_results", nth: 3 }, fault: Fault.restart }
          ]
        })
      )
    )
  )
})

describe("a task", () => {
  it.effect("that is slow ends later", () =>
    Effect.gen(function* () {
      const [, late] = yield* TestTime.run(timed(succeeds))
      assert.isAtLeast(late, 30_000)
    }).pipe(Effect.provide(inProcess({ taskDelay: "10 seconds", faults: [{ fault: Fault.slow("20 seconds") }] })))
  )

  for (const format of ["json", "json_detail", "json_bi", "csv"] as const) {
    it.effect(`whose query fails says so in ${format}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(TestTime.run(run({ format })))
        assert.strictEqual(error._tag, "QueryFailed")
        assert.include(error.message, "out of disk")
        const line = error._tag === "QueryFailed" ? error.errors[0]?.line : undefined
        assert.strictEqual(line, format === "json_detail" ? 3 : undefined)
      }).pipe(Effect.provide(inProcess({ faults: [{ fault: Fault.error("out of disk", { line: 3 }) }] })))
    )
  }

  it.effect("with a remark gives its rows, and the remark in json_detail", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const onStatus = ({ status }: QueryRunner.StatusUpdate) => Effect.sync(() => seen.push(status))
      const { rows, taskId, warnings } = yield* TestTime.run(run({ format: "json_detail", onStatus }))
      assert.strictEqual(rows.length, rowCount)
      assert.deepStrictEqual(
        warnings.map(({ fatal, message }) => [fatal, message]),
        [[false, "Note: not for production."]]
      )
      const { status } = yield* QueryTasks.QueryTasks.use((tasks) => tasks.queryTask(taskId))
      assert.strictEqual(status, "error")
      const json = yield* TestTime.run(run())
      assert.deepStrictEqual([json.rows.length, json.warnings], [rowCount, []])
    }).pipe(Effect.provide(inProcess({ faults: [{ fault: Fault.warning("Note: not for production.") }] })))
  )

  it.effect("that is killed fails as killed", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(TestTime.run(run())))._tag, "QueryKilled")
    }).pipe(Effect.provide(inProcess({ taskDelay: "2 seconds", faults: [{ fault: Fault.killed }] })))
  )

  it.effect("that is lost is missing, and 404 elsewhere", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(TestTime.run(run()))
      assert.strictEqual(error._tag, "TaskMissing")
      const taskId = error._tag === "TaskMissing" ? error.taskId : ""
      const gone = yield* Effect.flip(QueryTasks.QueryTasks.use((tasks) => tasks.queryTask(taskId)))
      assert.strictEqual(gone._tag, "NotFound")
    }).pipe(Effect.provide(inProcess({ faults: [{ fault: Fault.missing }] })))
  )

  it.effect("that shows expired for a moment gives its rows, or its error", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { rows } = yield* TestTime.run(run({ onStatus: ({ status }) => Effect.sync(() => seen.push(status)) }))
      assert.strictEqual(rows.length, rowCount)
      assert.include(seen, "expired")
      const faults = yield* Faults.Faults
      yield* faults.add({ fault: Fault.error("out of disk") })
      assert.strictEqual((yield* Effect.flip(TestTime.run(run())))._tag, "QueryFailed")
    }).pipe(Effect.provide(inProcess({ faults: [{ fault: Fault.transientExpired() }] })))
  )

  it.effect("that shows expired for some polls, or for ever", () =>
    Effect.gen(function* () {
      const faults = yield* Faults.Faults
      yield* faults.add({ fault: Fault.transientExpired({ polls: 3 }) })
      yield* TestTime.run(succeeds)
      yield* faults.clear
      yield* faults.add({ fault: Fault.expired })
      assert.strictEqual((yield* Effect.flip(TestTime.run(run())))._tag, "ResultsExpired")
    }).pipe(Effect.provide(inProcess({})))
  )

  it.effect("that shows expired for some polls shows its status after as many, whatever else asks for it", () =>
    Effect.gen(function* () {
      const { taskId } = yield* TestTime.run(run())
      const faults = yield* Faults.Faults
      yield* faults.add({ fault: Fault.transientExpired({ polls: 2 }) })
      const tasks = yield* QueryTasks.QueryTasks
      const { id = "" } = yield* Queries.Queries.use((queries) => queries.createQuery(query))
      const task = yield* tasks.createQueryTask({ query_id: id, result_format: "json" })
      yield* TestTime.run(Effect.sleep("1 second"))
      const results = yield* Effect.flip(tasks.queryTaskResults(task.id))
      assert.strictEqual(results._tag, "NotFound")
      const statuses: Array<string | null | undefined> = []
      for (let polls = 0; polls < 3; polls++) statuses.push((yield* tasks.queryTask(task.id)).status)
      assert.deepStrictEqual(statuses, ["expired", "expired", "complete"])
      assert.strictEqual((yield* tasks.queryTask(taskId)).status, "complete")
    }).pipe(Effect.provide(inProcess({})))
  )

  it.effect("that is killed may show expired", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(TestTime.run(run())))._tag, "ResultsExpired")
    }).pipe(Effect.provide(inProcess({ faults: [{ fault: Fault.killed }, { fault: Fault.expired }] })))
  )

  it.effect("that is left out of the answers is asked about again, and at last is missing", () =>
    Effect.gen(function* () {
      const faults = yield* Faults.Faults
      yield* faults.add({ fault: Fault.leftOut({ polls: 3 }) })
      yield* TestTime.run(succeeds)
      yield* faults.clear
      yield* faults.add({ fault: Fault.leftOut() })
      const error = yield* Effect.flip(TestTime.run(run()))
      assert.deepStrictEqual(
        [error._tag, error.message],
        ["TaskMissing", "Looker leaves the task out of its responses"]
      )
    }).pipe(Effect.provide(inProcess({})))
  )

  it.effect("that is left out for some polls is there after as many", () =>
    Effect.gen(function* () {
      const tasks = yield* QueryTasks.QueryTasks
      const { id = "" } = yield* Queries.Queries.use((queries) => queries.createQuery(query))
      const task = yield* tasks.createQueryTask({ query_id: id, result_format: "json" })
      const found: Array<boolean> = []
      for (let polls = 0; polls < 3; polls++) found.push(task.id in (yield* tasks.queryTaskMultiResults([task.id])))
      assert.deepStrictEqual(found, [false, false, true])
    }).pipe(Effect.provide(inProcess({ faults: [{ fault: Fault.leftOut({ polls: 2 }) }] })))
  )

  it.effect("with an unknown status is waited for, and given up", () =>
    Effect.gen(function* () {
      const faults = yield* Faults.Faults
      yield* faults.add({ fault: Fault.unknownStatus("pondering", { for: "2 seconds" }) })
      yield* TestTime.run(succeeds)
      yield* faults.clear
      yield* faults.add({ fault: Fault.unknownStatus("pondering") })
      const error = yield* Effect.flip(TestTime.run(run()))
      assert.deepStrictEqual(
        [error._tag, error._tag === "UnknownTaskStatus" && error.status],
        ["UnknownTaskStatus", "pondering"]
      )
    }).pipe(Effect.provide(inProcess({})))
  )
})

describe("a rule", () => {
  const names = (answers: ReadonlyArray<Exit.Exit<unknown, { readonly _tag: string }>>) =>
    answers.map((exit) => (Exit.isSuccess(exit) ? "ok" : "fault"))

  const asks = (times: number, ask: Effect.Effect<unknown, { readonly _tag: string }, Queries.Queries>) =>
    Effect.map(
      Effect.forEach(Array.from({ length: times }), () => Effect.exit(ask)),
      names
    )

  const byId = (id: string) => Queries.Queries.use((queries) => queries.query(id))

  it.effect("applies to the nth, every nth, or the first few", () =>
    Effect.gen(function* () {
      const faults = yield* Faults.Faults
      const { id = "" } = yield* Queries.Queries.use((queries) => queries.createQuery(query))
      for (const [on, expected] of [
        [{ nth: 2 }, ["ok", "fault", "ok", "ok", "ok"]],
        [{ every: 2 }, ["ok", "fault", "ok", "fault", "ok"]],
        [{ every: 2, times: 1 }, ["ok", "fault", "ok", "ok", "ok"]],
        [{ times: 2 }, ["fault", "fault", "ok", "ok", "ok"]],
        [{}, ["fault", "fault", "fault", "fault", "fault"]]
      ] as const) {
        yield* faults.add({ on: { endpoint: "query", ...on }, fault: Fault.htmlNotFound() })
        assert.deepStrictEqual(yield* asks(5, byId(id)), [...expected])
        yield* faults.clear
      }
    }).pipe(Effect.provide(inProcess({})))
  )

  it.effect("applies to the requests about its query only, wherever they name it", () =>
    Effect.gen(function* () {
      const faults = yield* Faults.Faults
      const queries = yield* Queries.Queries
      const tasks = yield* QueryTasks.QueryTasks
      const [mine, other] = [yield* queries.createQuery(query), yield* queries.createQuery({ ...query, limit: 2 })]
      const start = (id: string | undefined) => tasks.createQueryTask({ query_id: id ?? "", result_format: "json" })
      const [task, another] = [yield* start(mine.id), yield* start(other.id)]
      const requests = [
        queries.createQuery({ ...query, limit: 2 }),
        queries.query(other.id ?? ""),
        queries.queryForSlug(other.slug ?? ""),
        start(other.id),
        tasks.queryTask(another.id),
        tasks.queryTaskMultiResults([task.id, another.id])
      ]
      const free = [
        queries.createQuery(query),
        queries.query(mine.id ?? ""),
        queries.queryForSlug(mine.slug ?? ""),
        start(mine.id),
        tasks.queryTask(task.id),
        tasks.queryTaskMultiResults([task.id])
      ]
      for (const match of [
        { limit: "2" },
        { view: "orders", fields: ["orders.status", "orders.count"], limit: "2" },
        (asked: { readonly limit?: unknown }) => String(asked.limit) === "2"
      ]) {
        // The body of a creation has the limit as it was written.
        yield* faults.add({ on: { query: match }, fault: Fault.htmlNotFound() })
        const faulty = yield* Effect.forEach(requests, (request) => Effect.exit(request))
        assert.deepStrictEqual(
          names(faulty).slice(1),
          Array.from({ length: 5 }, () => "fault")
        )
        const unchanged = yield* Effect.forEach(free, (request) => Effect.exit(request))
        assert.deepStrictEqual(
          names(unchanged),
          Array.from({ length: 6 }, () => "ok")
        )
        yield* faults.clear
      }
    }).pipe(Effect.provide(inProcess({})))
  )

  it.effect("applies together with the others that fit, and to tasks by their query", () =>
    Effect.gen(function* () {
      const [error, late] = yield* TestTime.run(timed(Effect.flip(run())))
      assert.strictEqual(error._tag, "QueryFailed")
      assert.isAtLeast(late, 5000)
      const { rows } = yield* TestTime.run(QueryRunner.QueryRunner.use((runner) => runner.run({ ...query, limit: 1 })))
      assert.strictEqual(rows.length, 1)
    }).pipe(
      Effect.provide(
        inProcess({
          faults: [
            { on: { query: { limit: null } }, fault: Fault.slow("5 seconds") },
            { on: { query: (asked) => asked.limit !== "1" }, fault: Fault.error("no") }
          ]
        })
      )
    )
  )

  it.effect.each<{ readonly rule: Faults.Rule; readonly message: string }>([
    {
      rule: { on: { nth: 0 }, fault: Fault.killed },
      message: "faults[0] (Killed): on.nth is 0, and has to be 1, 2, …"
    },
    { rule: { on: { times: 1.5 }, fault: Fault.resetBefore }, message: "on.times is 1.5" },
    {
      rule: { on: { endpoint: "qery" as "query" }, fault: Fault.resetBefore },
      message: "there is no endpoint qery, only login"
    },
    { rule: { on: { endpoint: "query" } as object, fault: Fault.killed }, message: "leave out on.endpoint" },
    {
      rule: { on: { query: { view: "oders" } }, fault: Fault.killed },
      message: 'faults[0] (Killed): there is no explore "oders". Did you mean orders?'
    },
    {
      rule: { on: { query: { model: "embeded", view: "orders" } }, fault: Fault.resetBefore },
      message: 'there is no model "embeded". Did you mean embedded?'
    },
    { rule: { fault: Fault.truncated({ fraction: 2 }) }, message: "fraction from 0 to 1" },
    { rule: { fault: Fault.transientExpired({ polls: 0 }) }, message: "polls is 0" },
    { rule: { fault: Fault.transientExpired({ polls: 1, for: 1 }) }, message: "for and polls exclude each other" }
  ])("is refused: $message", ({ rule, message }) =>
    Effect.gen(function* () {
      const folder = yield* data
      const error = yield* Effect.flip(Layer.build(EmbeddedLooker.layer({ data: folder, faults: [rule] })))
      assert.include(error.message, message)
      const context = yield* Layer.build(EmbeddedLooker.layer({ data: folder }))
      const added = yield* Effect.flip(
        Effect.provide(
          Faults.Faults.use((faults) => faults.add(rule)),
          context
        )
      )
      assert.include(added.message, message)
    })
  )
})

describe("the same script", () => {
  it.effect("gives the same answers", () =>
    Effect.gen(function* () {
      const once = Effect.gen(function* () {
        const client = yield* HttpClient.HttpClient
        const statuses: Array<number> = []
        for (let index = 0; index < 12; index++) {
          const request = HttpClientRequest.get(`${EmbeddedLooker.inProcessBaseUrl}/api/4.0/user`)
          statuses.push((yield* client.execute(request)).status)
        }
        return statuses
      }).pipe(
        Effect.provide(
          inProcess({
            faults: [
              { on: { every: 3 }, fault: Fault.tooManyRequests() },
              { on: { every: 4 }, fault: Fault.unavailable(504) }
            ]
          })
        )
      )
      const first = yield* once
      assert.deepStrictEqual(first, [401, 401, 429, 504, 401, 429, 401, 504, 429, 401, 401, 429])
      assert.deepStrictEqual(yield* once, first)
    })
  )
})
