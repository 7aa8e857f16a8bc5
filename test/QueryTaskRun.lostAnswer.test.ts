/** What becomes of a task whose creation was not answered. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Result } from "effect"
import type { LookerPolicy, QueryTask } from "effect-looker"
import { LookerMetrics, QueryRunner, QueryTaskRun, QueryTasks } from "effect-looker"
import { looker } from "./support/layers.ts"
import * as logs from "./support/logs.ts"
import { type Random, randomFrom } from "./support/random.ts"
import * as TaskLooker from "./support/TaskLooker.ts"
import { pass, runOut, timed } from "./support/time.ts"

const query = (view: number | string) => ({ model: "m", view: String(view), fields: ["a"] })

const use = <A, E, R>(step: (run: QueryTaskRun.QueryTaskRun["Service"]) => Effect.Effect<A, E, R>) =>
  QueryTaskRun.QueryTaskRun.use(step)

/** The first so many responses to `create_query_task` are this one, although a task was started. */
const losing = (times: number, answer: TaskLooker.Fault["answer"] = TaskLooker.faults.reset, after = true) => {
  let lost = 0
  return (request: string): TaskLooker.Fault | undefined =>
    request === "POST /query_tasks" && ++lost <= times ? { answer, after } : undefined
}

const setup = (options: Partial<TaskLooker.Options> = {}, policy: LookerPolicy.Options = {}) => {
  const server = TaskLooker.make({ duration: 60_000, ...options })
  const log = logs.captured()
  return { server, log, layer: looker(server.layer, { policy }).pipe(Layer.provideMerge(log.layer)) }
}

const mayRun = /^A task of query \w+ may run in Looker that nothing waits for/

describe("a lost answer to create_query_task", () => {
  for (const [name, answer] of Object.entries(TaskLooker.faults)) {
    it.effect(`is made good by adopting the task that was started: ${name}`, () => {
      const { layer, log, server } = setup({ fault: losing(1, answer) })
      return Effect.gen(function* () {
        const taskId = yield* runOut(use((run) => run.start("42")))
        assert.strictEqual(taskId, "t1")
        assert.strictEqual(server.tasks.length, 1)
        assert.deepStrictEqual(
          log.warnings().map((warning) => warning.split(":")[0]),
          ["Adopted task t1 of query 42, whose response was lost"]
        )
      }).pipe(Effect.provide(layer))
    })

    it.effect(`starts another task where none is found, after it has looked twice, a second apart: ${name}`, () => {
      const { layer, log, server } = setup({ fault: losing(1, answer, false) })
      return Effect.gen(function* () {
        const { millis, value } = yield* timed(use((run) => run.start("42")))
        assert.strictEqual(value, "t1")
        assert.strictEqual(server.sent("GET /running_queries").length, 2)
        assert.strictEqual(server.sent("POST /query_tasks").length, 2)
        assert.isAtLeast(millis, 1000)
        assert.isAtMost(millis, 1500)
        assert.strictEqual(log.warnings().length, 1)
        assert.match(log.warnings()[0] ?? "", mayRun)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("fails after a second lost answer, and reports both tasks", () => {
    const { layer, log, server } = setup({ fault: losing(2, TaskLooker.faults["502"], false) })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(use((run) => run.start("42"))))
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.strictEqual(server.sent("POST /query_tasks").length, 2)
      assert.strictEqual(log.warnings().filter((warning) => mayRun.test(warning)).length, 2)
      const strays = Metric.withAttributes(LookerMetrics.strays, { query_id: "42" })
      assert.strictEqual((yield* Metric.value(strays)).count, 2)
    }).pipe(Effect.provide(layer), Effect.provideService(Metric.MetricRegistry, new Map()))
  })

  it.effect("of 503, which mostly means that nothing was started, is repeated as the retry policy says", () => {
    const { layer, log, server } = setup({ fault: losing(4, TaskLooker.faults["503"], false) })
    return Effect.gen(function* () {
      assert.strictEqual(yield* runOut(use((run) => run.start("42"))), "t1")
      assert.strictEqual(server.sent("POST /query_tasks").length, 5)
      assert.strictEqual(log.warnings().length, 4)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks who the user is once, and only when an answer was lost", () => {
    const { layer, server } = setup({ fault: losing(2) })
    return Effect.gen(function* () {
      const start = (id: string) => use((run) => run.start(id))
      yield* runOut(Effect.all([start("1"), start("2")], { concurrency: "unbounded" }))
      yield* runOut(start("3"))
      assert.strictEqual(server.tasks.length, 3)
      assert.deepStrictEqual(
        server.sent("GET /user").map(({ target }) => target),
        ["/api/4.0/user?fields=id"]
      )
      const ordinary = setup()
      yield* runOut(Effect.provide(start("1"), ordinary.layer))
      assert.deepStrictEqual(
        [ordinary.server.sent("GET /user"), ordinary.server.sent("GET /running_queries")],
        [[], []]
      )
    }).pipe(Effect.provide(layer))
  })

  /** Another task that runs in Looker, and whether it is taken for the lost one. */
  const others: ReadonlyArray<readonly [string, Partial<TaskLooker.Task>, boolean]> = [
    ["of the same user for the same query", {}, true],
    ["of another user", { userId: "8" }, false],
    ["of another query", { queryId: "43" }, false],
    ["created in the two seconds before, by a clock that differs", { createdAt: 10_000 - 1900 }, true],
    ["created before", { createdAt: 10_000 - 4000 }, false],
    ["in another format", { shown: { result_format: "csv" } }, false],
    ["in the same format", { shown: { result_format: "json" } }, true],
    ["that rebuilds tables", { shown: { rebuild_pdts: true } }, false],
    ["that forces production", { shown: { force_production: true } }, false],
    ["that takes its rows from the cache only", { shown: { cache_only: true } }, false],
    ["without table calculations", { shown: { server_table_calcs: false } }, false],
    [
      "whose other parameters are those of no caller",
      { shown: { cache: false, generate_links: true, path_prefix: "/x" } },
      true
    ]
  ]
  for (const [what, fields, isAdopted] of others) {
    it.effect(`${isAdopted ? "adopts" : "does not adopt"} a task ${what}`, () => {
      const { layer, server } = setup({ fault: losing(1, TaskLooker.faults["502"], false), ahead: 3_600_000 })
      return Effect.gen(function* () {
        yield* pass("10 seconds")
        server.add("42", 10_000, { id: "other", ...fields })
        const taskId = yield* runOut(use((run) => run.start("42")))
        assert.strictEqual(taskId === "other", isAdopted)
      }).pipe(Effect.provide(layer))
    })
  }

  const asked: ReadonlyArray<readonly [QueryTask.CreateQueryTaskParams, Readonly<Record<string, unknown>>, boolean]> = [
    [{ cache: false }, { cache: false }, true],
    [{ cache: false }, { cache: true }, false],
    [{ cache: false }, {}, true],
    [{ cache_only: true }, { cache_only: false }, false],
    [{ force_production: true }, { force_production: true }, true],
    [{ generate_drill_links: true }, { generate_links: true }, true],
    [{ generate_drill_links: true }, { generate_links: false }, false],
    [{ path_prefix: "/embed" }, { path_prefix: "/explore" }, false],
    [{ server_table_calcs: false }, { server_table_calcs: false }, true],
    [{ limit: 10 }, {}, false],
    [{ apply_formatting: true }, {}, false],
    [{ apply_vis: false }, {}, false]
  ]
  for (const [params, shown, isAdopted] of asked) {
    it.effect(
      `${isAdopted ? "adopts" : "does not adopt"} a task that shows ${JSON.stringify(shown)} for ${JSON.stringify(params)}`,
      () => {
        const { layer, server } = setup({ fault: losing(1, TaskLooker.faults["502"], false) })
        return Effect.gen(function* () {
          server.add("42", 0, { id: "other", shown })
          const taskId = yield* runOut(use((run) => run.start("42", { params })))
          assert.strictEqual(taskId === "other", isAdopted)
        }).pipe(Effect.provide(layer))
      }
    )
  }

  for (const ending of ["is lost, too", "is waited for no more"]) {
    it.effect(`adopts no task with a limit whose response ${ending} while it looks`, () => {
      // The task with the limit is started, and the one without is not: so that with the limit is the only candidate.
      const isLost = { limited: true, plain: true }
      const { layer, server } = setup({
        latency: 100,
        fault: (request, { query }) => {
          const kind = query.has("limit") ? "limited" : "plain"
          if (request !== "POST /query_tasks" || !isLost[kind]) return undefined
          isLost[kind] = false
          return { answer: TaskLooker.faults.reset, after: kind === "limited" }
        }
      })
      return Effect.gen(function* () {
        const plain = yield* Effect.forkChild(use((run) => run.start("42")))
        yield* pass("50 millis")
        const limited = yield* Effect.forkChild(use((run) => run.start("42", { params: { limit: 10 } })))
        yield* pass("75 millis")
        if (ending !== "is lost, too") yield* Effect.forkChild(Fiber.interrupt(limited))
        assert.notStrictEqual(yield* runOut(Fiber.join(plain)), "t1")
        assert.isAtLeast(server.sent("GET /running_queries").length, 1)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("adopts no task of a query of which a task may run whose limit Looker does not show", () => {
    let requests = 0
    const { layer, server } = setup({
      fault: (request) =>
        request === "POST /query_tasks" && ++requests % 2 === 1
          ? { answer: TaskLooker.faults.reset, after: requests === 1 }
          : undefined
    })
    return Effect.gen(function* () {
      assert.strictEqual(yield* runOut(use((run) => run.start("42", { params: { limit: 10 } }))), "t2")
      // t1 is the only candidate, and has the limit.
      assert.strictEqual(yield* runOut(use((run) => run.start("42"))), "t3")
      assert.strictEqual(server.sent("GET /running_queries").length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("adopts none of several tasks that could be it", () => {
    const { layer, server } = setup({ fault: losing(1) })
    return Effect.gen(function* () {
      server.add("42", 0, { id: "other" })
      assert.strictEqual(yield* runOut(use((run) => run.start("42"))), "t3")
      assert.strictEqual(server.sent("GET /running_queries").length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("adopts no task that this client knows: of a run, or of the endpoint alone", () => {
    const { layer, server } = setup({
      fault: (request) =>
        request === "POST /query_tasks" && server.tasks.length === 2
          ? { answer: TaskLooker.faults["502"], after: false }
          : undefined
    })
    return Effect.gen(function* () {
      yield* runOut(use((run) => run.start("42")))
      const create = QueryTasks.QueryTasks.use((tasks) =>
        tasks.createQueryTask({ query_id: "42", result_format: "json" })
      )
      yield* runOut(create)
      const error = yield* runOut(Effect.flip(use((run) => run.start("42"))))
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.strictEqual(server.sent("POST /query_tasks").length, 4)
    }).pipe(Effect.provide(layer))
  })

  it.effect("waits for the other creations of the same query, and does not take their task", () => {
    let creations = 0
    const { layer, server } = setup({
      fault: (request) =>
        request === "POST /query_tasks" && ++creations === 2
          ? { answer: TaskLooker.faults["502"], after: false }
          : undefined,
      latency: () => 1
    })
    return Effect.gen(function* () {
      const start = use((run) => run.start("42"))
      const ids = yield* runOut(Effect.all([start, start, start], { concurrency: "unbounded" }))
      assert.strictEqual(new Set(ids).size, 3)
      assert.strictEqual(server.tasks.length, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("adopts a task once, however many look for it", () => {
    let creations = 0
    const { layer, server } = setup({
      fault: (request) =>
        request === "POST /query_tasks" && ++creations <= 2
          ? { answer: TaskLooker.faults.reset, after: creations === 1 }
          : undefined
    })
    return Effect.gen(function* () {
      const start = use((run) => run.start("42"))
      const ids = yield* runOut(Effect.all([start, start], { concurrency: "unbounded" }))
      assert.deepStrictEqual([...ids].sort(), ["t1", "t2"])
      assert.strictEqual(server.tasks.length, 2)
    }).pipe(Effect.provide(layer))
  })

  for (const endpoint of ["GET /running_queries", "GET /user", "GET /query_tasks/t1"]) {
    for (const status of [403, 404]) {
      it.effect(`starts another task where Looker refuses ${endpoint} with ${status}`, () => {
        const { layer, server } = setup({
          fault: losing(1),
          script: (request) => (request === endpoint ? { status, json: { message: "no" } } : undefined)
        })
        return Effect.gen(function* () {
          assert.strictEqual(yield* runOut(use((run) => run.start("42"))), "t2")
          assert.strictEqual(server.tasks.length, 2)
        }).pipe(Effect.provide(layer))
      })
    }
  }

  it.effect("adopts nothing where responses have no Date, or tasks no time", () => {
    const dateless = setup({ fault: losing(1), hasDate: false })
    const timeless = setup({
      fault: losing(1),
      script: (request) =>
        request === "GET /running_queries"
          ? { json: [{ id: "t1", query_task_id: "t1", query_id: "42", user: { id: 7 } }] }
          : undefined
    })
    return Effect.gen(function* () {
      for (const { layer } of [dateless, timeless]) {
        assert.strictEqual(
          yield* runOut(
            Effect.provide(
              use((run) => run.start("42")),
              layer
            )
          ),
          "t2"
        )
      }
    })
  })

  for (const [lostAnswer, started] of [
    ["adopt", 1],
    ["repeat", 1],
    ["fail", 1]
  ] as const) {
    it.effect(`starts no second task for rebuild_pdts: ${lostAnswer}`, () => {
      const { layer, log, server } = setup({ fault: losing(1, TaskLooker.faults["503"], false) }, { lostAnswer })
      return Effect.gen(function* () {
        const start = use((run) => run.start("42", { params: { rebuild_pdts: true } }))
        assert.strictEqual((yield* runOut(Effect.flip(start)))._tag, "LookerUnavailable")
        const endpoint = QueryTasks.QueryTasks.use((tasks) =>
          tasks.createQueryTask({ query_id: "42", result_format: "json" }, { rebuild_pdts: true })
        )
        assert.strictEqual((yield* runOut(endpoint)).id, "t1")
        assert.strictEqual(server.sent("POST /query_tasks").length, 1 + started)
        assert.strictEqual(log.warnings().length, 1)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("adopts a task that rebuilds tables", () => {
    const { layer } = setup({ fault: losing(1) })
    return Effect.gen(function* () {
      assert.strictEqual(yield* runOut(use((run) => run.start("42", { params: { rebuild_pdts: true } }))), "t1")
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails the run, looks for nothing and reports it, where the policy says fail", () => {
    const { layer, log, server } = setup({ fault: losing(1) }, { lostAnswer: "fail" })
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(Effect.flip(use((run) => run.start("42")))))._tag, "LookerUnavailable")
      assert.strictEqual(server.sent("GET /running_queries").length, 0)
      assert.strictEqual(server.sent("POST /query_tasks").length, 1)
      assert.match(log.warnings()[0] ?? "", mayRun)
    }).pipe(Effect.provide(layer))
  })

  it.effect("starts tasks as often as the retry policy says, and reports each, where the policy says repeat", () => {
    const { layer, log, server } = setup({ fault: losing(3) }, { lostAnswer: "repeat" })
    return Effect.gen(function* () {
      assert.strictEqual(yield* runOut(use((run) => run.start("42"))), "t4")
      assert.strictEqual(server.sent("GET /running_queries").length, 0)
      assert.strictEqual(log.warnings().filter((warning) => mayRun.test(warning)).length, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("reports nothing for a request that was refused, or a login that failed", () => {
    let requests = 0
    const { layer, log } = setup({
      fault: (request) => {
        if (request !== "POST /query_tasks") return undefined
        return ++requests === 1 ? { answer: { status: 429 }, after: false } : { answer: { status: 422 }, after: false }
      }
    })
    const failing = setup({
      fault: (request) => (request === "POST /login" ? { answer: TaskLooker.faults["502"], after: false } : undefined)
    })
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(Effect.flip(use((run) => run.start("42")))))._tag, "ValidationFailed")
      const error = yield* runOut(
        Effect.flip(
          Effect.provide(
            use((run) => run.start("42")),
            failing.layer
          )
        )
      )
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.strictEqual(failing.server.sent("GET /running_queries").length, 0)
      const warnings = [...log.warnings(), ...failing.log.warnings()]
      assert.deepStrictEqual(
        warnings.filter((warning) => mayRun.test(warning)),
        []
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("is reported where the run is interrupted before it is found", () => {
    const { layer, log, server } = setup({ fault: losing(1, TaskLooker.faults["502"], false) })
    const hanging = setup({ latency: () => (hanging.server.sent("POST /query_tasks").length > 0 ? 60_000 : 1) })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(use((run) => run.start("42")))
      yield* pass("500 millis")
      assert.strictEqual(server.sent("GET /running_queries").length, 1)
      yield* runOut(Fiber.interrupt(fiber))
      assert.match(log.warnings()[0] ?? "", mayRun)
      const inFlight = yield* Effect.forkChild(
        Effect.provide(
          use((run) => run.start("42")),
          hanging.layer
        )
      )
      yield* pass("500 millis")
      yield* runOut(Fiber.interrupt(inFlight))
      assert.match(hanging.log.warnings()[0] ?? "", mayRun)
    }).pipe(Effect.provide(layer))
  })
})

const kinds = ["502", "503", "reset"] as const

describe("200 queries", () => {
  const runs = Number(process.env.LOST_ANSWER_RUNS ?? 2)
  const scenes: ReadonlyArray<readonly [string, (random: Random) => TaskLooker.Fault["answer"]]> = [
    ...kinds.map((kind) => [kind, () => TaskLooker.faults[kind]] as const),
    ["502, 503 and resets", (random: Random) => TaskLooker.faults[random.pick(kinds)]]
  ]
  for (const [name, answerOf] of scenes) {
    for (let seed = 1; seed <= runs; seed++) {
      it.effect(`all succeed although 1 % of the responses are ${name} (seed ${seed})`, () => {
        const random = randomFrom(seed)
        const { layer, log, server } = setup({
          duration: () => 200 + random.upTo(4000),
          latency: () => 1 + random.upTo(30),
          fault: () => (random.chance(0.01) ? { answer: answerOf(random), after: random.chance(0.5) } : undefined)
        })
        return Effect.gen(function* () {
          const runner = yield* QueryRunner.QueryRunner
          const results = yield* runOut(
            Effect.forEach(
              Array.from({ length: 200 }, (_, index) => query(index % 150)),
              (query) => Effect.result(runner.run(query)),
              { concurrency: 40 }
            )
          )
          assert.deepStrictEqual(
            results.filter(Result.isFailure).map(({ failure }) => failure.message),
            []
          )
          const extra = server.tasks.length - 200
          assert.isAtMost(extra, server.counts().lost)
          assert.isAtLeast(log.warnings().filter((warning) => mayRun.test(warning)).length, extra)
        }).pipe(Effect.provide(layer))
      })
    }
  }
})
