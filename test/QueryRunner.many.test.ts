import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Result, Schema, Stream } from "effect"
import { LookerError, LookerPolicy, Queries, QueryRunner, QueryTaskPoller, QueryTasks } from "effect-looker"
import { pass, runOut, timed } from "./support/time.ts"

const query = (name: string) => ({ model: "m", view: name, fields: [`${name}.count`] })

/**
 * The runner over stand-ins: a query's view says how its task behaves: `ends-300` after 300 ms, `fails-300`, `runs` for ever. Tasks
 * are `task-<view>-<n>`.
 */
const runner = (policy: LookerPolicy.Options = {}) => {
  const log: Array<string> = []
  const running = new Set<string>()
  let mostRunning = 0
  let tasks = 0
  const layer = QueryRunner.layer.pipe(
    Layer.provide([
      Layer.mock(Queries.Queries, {
        createQuery: ({ view }) =>
          Effect.sync(() => {
            log.push(`create ${view}`)
            return { id: view }
          }).pipe(Effect.delay("10 millis"))
      }),
      Layer.mock(QueryTasks.QueryTasks, {
        createQueryTask: ({ query_id }) =>
          Effect.sync(() => {
            const id = `task-${query_id}-${++tasks}`
            running.add(id)
            mostRunning = Math.max(mostRunning, running.size)
            return { id }
          }),
        killQuery: (taskId) => Effect.sync(() => void log.push(`kill ${taskId}`))
      }),
      Layer.mock(QueryTaskPoller.QueryTaskPoller, {
        observe: () => Stream.make("added", "running"),
        wait: (taskId) => {
          const [, behaviour, millis] = taskId.split("-")
          const ended = Effect.sync(() => running.delete(taskId))
          if (behaviour === "runs") return Effect.never
          if (behaviour === "expires" && taskId.endsWith("-1")) {
            return Effect.fail(new LookerError.ResultsExpired({ message: "gone", taskId }))
          }
          const answer =
            behaviour === "fails"
              ? Effect.fail(LookerError.queryFailed(taskId, [], undefined))
              : Effect.succeed({ taskId, data: [{ from: taskId }], warnings: [] })
          return Effect.delay(Effect.andThen(ended, answer), Number(millis ?? 0))
        }
      })
    ]),
    Layer.provide(LookerPolicy.layer(policy)),
    Layer.orDie
  )
  return { log, layer, mostRunning: () => mostRunning }
}

const runAll = (views: ReadonlyArray<string>, options?: QueryRunner.RunAllOptions<unknown>) =>
  QueryRunner.QueryRunner.use((runner) => Stream.runCollect(runner.runAll(views.map(query), options)))

const summary = (outcomes: ReadonlyArray<QueryRunner.RunOutcome<unknown>>) =>
  outcomes.map(({ index, result }) => `${index} ${Result.isSuccess(result) ? "ok" : result.failure._tag}`)

describe("QueryRunner.runAll", () => {
  it.effect("gives the outcomes in the order they come", () => {
    const { layer } = runner()
    return Effect.gen(function* () {
      const outcomes = yield* runOut(runAll(["ends-300", "ends-100", "ends-200"]))
      assert.deepStrictEqual(summary(outcomes), ["1 ok", "2 ok", "0 ok"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("lets no failure stop the others", () => {
    const { layer, log } = runner()
    return Effect.gen(function* () {
      const outcomes = yield* runOut(runAll(["ends-300", "fails-100", "ends-200"]))
      assert.deepStrictEqual(summary(outcomes), ["1 QueryFailed", "2 ok", "0 ok"])
      assert.isFalse(log.some((line) => line.startsWith("kill")))
    }).pipe(Effect.provide(layer))
  })

  it.effect("kills what still runs after the first failure, if asked to", () => {
    const { layer, log } = runner()
    return Effect.gen(function* () {
      const outcomes = yield* runOut(runAll(["runs", "fails-100", "ends-50"], { stopOnFailure: true }))
      assert.deepStrictEqual(summary(outcomes), ["2 ok", "1 QueryFailed"])
      assert.deepStrictEqual(
        log.filter((line) => line.startsWith("kill")),
        ["kill task-runs-1"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("kills everything when it is interrupted", () => {
    const { layer, log } = runner()
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(runAll(["runs", "runs"]))
      yield* pass("1 second")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(log.filter((line) => line.startsWith("kill")).length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("has 15 queries under way at a time, or as many as the options say", () => {
    const views = Array.from({ length: 40 }, () => "ends-100")
    const usual = runner()
    const few = runner()
    return Effect.gen(function* () {
      yield* runOut(Effect.provide(runAll(views), usual.layer))
      assert.strictEqual(usual.mostRunning(), 15)
      yield* runOut(Effect.provide(runAll(views, { concurrency: 3 }), few.layer))
      assert.strictEqual(few.mostRunning(), 3)
    })
  })

  it.effect("ends with the right numbers although the observer is slow", () => {
    const { layer } = runner()
    return Effect.gen(function* () {
      const received: Array<QueryRunner.Progress> = []
      yield* runOut(
        runAll(["fails-20", "ends-20"], {
          onProgress: (progress) =>
            Effect.delay(
              Effect.sync(() => void received.push(progress)),
              "300 millis"
            )
        })
      )
      yield* pass("2 seconds")
      assert.deepStrictEqual(received.at(-1), { waiting: 0, added: 0, running: 0, done: 1, failed: 1 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts each query at each step, one query after another", () => {
    const { layer } = runner()
    return Effect.gen(function* () {
      const seen: Array<string> = []
      yield* runOut(
        runAll(["ends-100", "fails-100", "ends-100"], {
          concurrency: 1,
          onProgress: ({ added, done, failed, running, waiting }) =>
            Effect.sync(() => void seen.push([waiting, added, running, done, failed].join(" ")))
        })
      )
      assert.deepStrictEqual(seen, [
        "2 1 0 0 0",
        "2 0 1 0 0",
        "2 0 0 1 0",
        "1 1 0 1 0",
        "1 0 1 1 0",
        "1 0 0 1 1",
        "0 1 0 1 1",
        "0 0 1 1 1",
        "0 0 0 2 1"
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts the queries in each state", () => {
    const { layer } = runner()
    return Effect.gen(function* () {
      const seen: Array<QueryRunner.Progress> = []
      yield* runOut(
        runAll(["ends-100", "fails-200"], { onProgress: (progress) => Effect.sync(() => void seen.push(progress)) })
      )
      assert.isTrue(
        seen.every(({ added, done, failed, running, waiting }) => waiting + added + running + done + failed === 2)
      )
      assert.deepInclude(seen, { waiting: 0, added: 0, running: 2, done: 0, failed: 0 })
      assert.deepStrictEqual(seen.at(-1), { waiting: 0, added: 0, running: 0, done: 1, failed: 1 })
    }).pipe(Effect.provide(layer))
  })
})

describe("QueryRunner", () => {
  it.effect("creates a query once, whoever runs it and in whatever order its keys are", () => {
    const { layer, log } = runner()
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const { fields, model, view } = query("ends-10")
      yield* runOut(
        Effect.all([runner.run({ model, view, fields }), runner.run({ fields, view, model })], { concurrency: 2 })
      )
      yield* runOut(runner.run({ view, model, fields, id: "read-only" }))
      assert.deepStrictEqual(log, ["create ends-10"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("creates the query for the others although the first who asked was interrupted", () => {
    const { layer, log } = runner()
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const first = yield* Effect.forkChild(runner.run(query("ends-10")))
      yield* pass("2 millis", "1 millis")
      const second = yield* Effect.forkChild(runner.run(query("ends-10")))
      yield* pass("2 millis", "1 millis")
      yield* Fiber.interrupt(first)
      const { taskId } = yield* runOut(Fiber.join(second))
      assert.strictEqual(taskId, "task-ends-10-1")
      assert.deepStrictEqual(log, ["create ends-10"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks again for a query that came without an id", () => {
    let asked = 0
    const layer = QueryRunner.layer.pipe(
      Layer.provide([
        Layer.mock(Queries.Queries, { createQuery: () => Effect.sync(() => (++asked === 1 ? {} : { id: "1" })) }),
        Layer.mock(QueryTasks.QueryTasks, { createQueryTask: () => Effect.succeed({ id: "t1" }) }),
        Layer.mock(QueryTaskPoller.QueryTaskPoller, {
          wait: (taskId) => Effect.succeed({ taskId, data: [], warnings: [] })
        })
      ])
    )
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      assert.strictEqual((yield* Effect.flip(runner.run(query("v"))))._tag, "UnexpectedResponse")
      assert.strictEqual((yield* runner.run(query("v"))).taskId, "t1")
    }).pipe(Effect.provide(layer))
  })

  it.effect("refuses a query that is no JSON", () => {
    const { layer } = runner()
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const error = yield* Effect.flip(runner.run({ ...query("v"), vis_config: { x: 1n } }))
      assert.strictEqual(error._tag, "BadRequest")
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not kept by an onStatus that never ends", () => {
    const { layer } = runner()
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const { millis } = yield* timed(runner.run(query("ends-100"), { onStatus: () => Effect.never }))
      assert.isAtMost(millis, 5_300)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([0, 1, 2])("starts %d more tasks for results that always expire, and no more", (recreateExpired) => {
    let started = 0
    const layer = QueryRunner.layer.pipe(
      Layer.provide([
        Layer.mock(Queries.Queries, { createQuery: () => Effect.succeed({ id: "1" }) }),
        Layer.mock(QueryTasks.QueryTasks, {
          createQueryTask: () => Effect.sync(() => ({ id: `t${++started}` }))
        }),
        Layer.mock(QueryTaskPoller.QueryTaskPoller, {
          observe: () => Stream.empty,
          wait: (taskId) => Effect.fail(new LookerError.ResultsExpired({ message: "gone", taskId }))
        })
      ]),
      Layer.provide(LookerPolicy.layer({ recreateExpired }))
    )
    return Effect.gen(function* () {
      const run = QueryRunner.QueryRunner.use((runner) => runner.run(query("v")))
      assert.strictEqual((yield* runOut(Effect.flip(run)))._tag, "ResultsExpired")
      assert.strictEqual(started, 1 + recreateExpired)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    { options: {}, format: "json", params: { fields: "id" } },
    { options: { format: "csv" }, format: "csv", params: { fields: "id" } },
    {
      options: { format: "json_bi", params: { limit: 5, cache: false } },
      format: "json_bi",
      params: { limit: 5, cache: false, fields: "id" }
    }
  ] as const)("starts a task in $format with $params and waits as its options say", ({ format, options, params }) => {
    const seen: Array<unknown> = []
    const layer = QueryRunner.layer.pipe(
      Layer.provide([
        Layer.mock(Queries.Queries, { createQuery: () => Effect.succeed({ id: "1" }) }),
        Layer.mock(QueryTasks.QueryTasks, {
          createQueryTask: (task, params) =>
            Effect.sync(() => {
              seen.push(task, params)
              return { id: "t1" }
            })
        }),
        Layer.mock(QueryTaskPoller.QueryTaskPoller, {
          observe: (_taskId, options) =>
            Stream.sync(() => {
              seen.push(options)
              return "running"
            }),
          wait: (taskId, options) =>
            Effect.suspend(() => {
              seen.push(options)
              return Effect.fail(new LookerError.QueryKilled({ message: "killed", taskId }))
            })
        })
      ])
    )
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      yield* Effect.flip(runner.run(query("v"), options))
      yield* Effect.flip(runner.run(query("v"), { ...options, timeout: "7 seconds" }))
      yield* Effect.flip(Stream.runDrain(runner.stream(query("v"), options)))
      const task = { query_id: "1", result_format: format }
      assert.deepStrictEqual(seen, [
        task,
        params,
        { timeout: undefined, statusOnly: false },
        task,
        params,
        { timeout: "7 seconds", statusOnly: false },
        task,
        params,
        { timeout: undefined, statusOnly: true }
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("starts a fresh task for results that expired, where the policy says so", () => {
    const strict = runner()
    const lenient = runner({ recreateExpired: 1 })
    const run = QueryRunner.QueryRunner.use((runner) => runner.run(query("expires-10")))
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(Effect.flip(Effect.provide(run, strict.layer))))._tag, "ResultsExpired")
      assert.strictEqual((yield* runOut(Effect.provide(run, lenient.layer))).taskId, "task-expires-10-2")
    })
  })
})

/** The runner over a task that is complete at once, with a body in the pieces given. */
const streaming = (
  pieces: ReadonlyArray<string> | Effect.Effect<never, LookerError.ReadError>,
  options: { readonly failed?: boolean; readonly cut?: boolean } = {}
) => {
  const taskId = "t1"
  const asked: Array<unknown> = []
  const tasks = Layer.mock(QueryTasks.QueryTasks, {
    createQueryTask: () => Effect.succeed({ id: taskId }),
    queryTask: () => Effect.succeed({ id: taskId, status: "error" }),
    queryTaskResults: () =>
      Effect.isEffect(pieces)
        ? pieces
        : Effect.succeedSome({
            contentType: "",
            text: Effect.succeed(pieces.join("")),
            bytes: Stream.fromIterable(pieces).pipe(
              Stream.rechunk(1),
              Stream.encodeText,
              Stream.concat(
                options.cut === true
                  ? Stream.fail(new LookerError.TruncatedResult({ message: "reset", taskId }))
                  : Stream.empty
              )
            )
          })
  })
  const finished = Layer.mock(QueryTaskPoller.QueryTaskPoller, {
    wait: (id, waitOptions) => {
      asked.push(waitOptions?.statusOnly)
      return Effect.succeed({ taskId: id, data: undefined, warnings: [] })
    }
  })
  const layer = QueryRunner.layer.pipe(
    Layer.provide([
      Layer.mock(Queries.Queries, { createQuery: () => Effect.succeed({ id: "1" }) }),
      tasks,
      options.failed === true ? QueryTaskPoller.layer.pipe(Layer.provide(tasks)) : finished
    ])
  )
  return { layer, asked }
}

const stream = <Row>(options?: QueryRunner.RunOptions<Row>) =>
  Stream.unwrap(QueryRunner.QueryRunner.use((runner) => Effect.succeed(runner.stream(query("v"), options))))

const collect = <Row>(options?: QueryRunner.RunOptions<Row>) => Stream.runCollect(stream(options))

describe("QueryRunner.stream", () => {
  it.effect("gives the rows of json as they arrive, without asking for them before", () => {
    const { asked, layer } = streaming(['[{"a":1},{"a"', ':2},\n{"a":3}', "]"])
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* Stream.runHead(stream()), Option.some({ a: 1 }))
      assert.deepStrictEqual(yield* collect(), [{ a: 1 }, { a: 2 }, { a: 3 }])
      assert.deepStrictEqual(asked, [true, true])
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives the values of json_detail, the rows of json_bi, and the records of csv", () =>
    Effect.gen(function* () {
      const detail = streaming(['{"fields":{"data":[]},"data":[{"a":{"value":1}},{"a":{"val', 'ue":2}}],"x":[1]}'])
      assert.deepStrictEqual(yield* Effect.provide(collect({ format: "json_detail" }), detail.layer), [
        { a: 1 },
        { a: 2 }
      ])
      const bi = streaming(['{"metadata":{},"rows":[{"a":1}]}'])
      assert.deepStrictEqual(yield* Effect.provide(collect({ format: "json_bi" }), bi.layer), [{ a: 1 }])
      const csv = streaming(["Name,Total\nA,", '1\n"B, ""b""', '",2\n'])
      assert.deepStrictEqual(yield* Effect.provide(collect({ format: "csv" }), csv.layer), [
        { Name: "A", Total: "1" },
        { Name: 'B, "b"', Total: "2" }
      ])
    })
  )

  it.effect("gives nothing for an empty result", () =>
    Effect.gen(function* () {
      for (const [format, body] of [
        ["json", "[]"],
        ["json_detail", '{"data":[]}'],
        ["csv", "Name,Total\n"],
        ["csv", ""]
      ] as const) {
        assert.deepStrictEqual(yield* Effect.provide(collect({ format }), streaming([body]).layer), [])
      }
    })
  )

  it.effect("keeps the digits of numbers that a double cannot hold", () => {
    const { layer } = streaming(['[{"id":12345678', "901234567890},", '{"id":1}]'])
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* collect(), [{ id: "12345678901234567890" }, { id: 1 }])
    }).pipe(Effect.provide(layer))
  })

  it.effect("types the rows by the caller's schema", () => {
    const { layer } = streaming(["Name,Total\nA,1\n"])
    const Row = Schema.Struct({ Name: Schema.String, Total: Schema.NumberFromString })
    return Effect.gen(function* () {
      const rows = yield* collect({ format: "csv", row: Row })
      assert.deepStrictEqual(rows, [{ Name: "A", Total: 1 }])
    }).pipe(Effect.provide(layer))
  })

  const truncated = [
    ["ends in the middle of a row", ['[{"a":1},{"a":']],
    ["ends without its bracket", ['[{"a":1}', "\n"]],
    ["has the text of an error at its end", ['[{"a":1}', "\nError: query interrupted"]]
  ] as const
  for (const [what, pieces] of truncated) {
    it.effect(`fails with TruncatedResult, after the rows that came, for a body that ${what}`, () => {
      const { layer } = streaming(pieces)
      return Effect.gen(function* () {
        const rows: Array<unknown> = []
        const error = yield* Effect.flip(Stream.runForEach(stream(), (row) => Effect.sync(() => void rows.push(row))))
        assert.strictEqual(error._tag, "TruncatedResult")
        assert.deepStrictEqual(rows, [{ a: 1 }])
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("fails with TruncatedResult when the connection breaks", () => {
    const { layer } = streaming(['[{"a":1},'], { cut: true })
    return Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(collect()))._tag, "TruncatedResult")
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with UnexpectedResponse for what is no JSON, or has no rows", () =>
    Effect.gen(function* () {
      for (const [format, body] of [
        ["json", "<html>maintenance</html>"],
        ["json", '{"rows":[]}'],
        ["json_bi", '{"metadata":{}}']
      ] as const) {
        const error = yield* Effect.flip(Effect.provide(collect({ format }), streaming([body]).layer))
        assert.strictEqual(error._tag, "UnexpectedResponse", body)
      }
    })
  )

  it.effect("fails with QueryFailed for looker_error rows", () => {
    const { layer } = streaming(['[{"looker_error":"no such column"}]'])
    return Effect.gen(function* () {
      const error = yield* Effect.flip(collect())
      assert.deepInclude(error, {
        _tag: "QueryFailed",
        message: "no such column (run it as json_detail to see the statement)"
      })
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with QueryFailed for errors before the rows, and behind them", () =>
    Effect.gen(function* () {
      for (const body of [
        '{"errors":[{"message":"no column x"}],"data":[]}',
        '{"data":[{"a":{"value":1}}],"errors":[{"message":"no column x"}]}'
      ]) {
        const error = yield* Effect.flip(Effect.provide(collect({ format: "json_detail" }), streaming([body]).layer))
        assert.deepInclude(error, { _tag: "QueryFailed", message: "no column x" })
      }
      const note = '{"data":[{"a":{"value":1}}],"errors":[{"message":"a note","fatal":false}]}'
      const rows = yield* Effect.provide(collect({ format: "json_detail" }), streaming([note]).layer)
      assert.deepStrictEqual(rows, [{ a: 1 }])
    })
  )

  it.effect("streams both shapes of json_bi", () =>
    Effect.gen(function* () {
      for (const body of ['{"metadata":{"data":[]},"rows":[{"a":1}]}', '{"fields":{},"data":[{"a":1}]}']) {
        assert.deepStrictEqual(yield* Effect.provide(collect({ format: "json_bi" }), streaming([body]).layer), [
          { a: 1 }
        ])
      }
    })
  )

  it.effect("fails with TruncatedResult for a csv record of another width: the text of an error at its end", () => {
    const { layer } = streaming(["Name,Total\nA,1\n", "Error: query interrupted\n"])
    return Effect.gen(function* () {
      const error = yield* Effect.flip(collect({ format: "csv" }))
      assert.strictEqual(error._tag, "TruncatedResult")
    }).pipe(Effect.provide(layer))
  })

  it.effect("says why a query failed of which it knew the status alone", () =>
    Effect.gen(function* () {
      const errors = [{ message: "The database encountered an error.", message_details: "no column x" }]
      const detail = streaming([JSON.stringify({ data: [], errors })], { failed: true })
      const first = yield* runOut(Effect.flip(Effect.provide(collect({ format: "json_detail" }), detail.layer)))
      assert.deepInclude(first, { _tag: "QueryFailed", message: "The database encountered an error. no column x" })
      const refused = streaming(Effect.fail(new LookerError.BadRequest({ message: "no column y" })), { failed: true })
      const second = yield* runOut(Effect.flip(Effect.provide(collect(), refused.layer)))
      assert.deepInclude(second, {
        _tag: "QueryFailed",
        message: "no column y (run it as json_detail to see the statement)"
      })
    })
  )

  it("has no way to ask for a format that cannot be streamed", () => {
    // @ts-expect-error: xlsx has no rows to stream
    const options: QueryRunner.RunOptions<unknown> = { format: "xlsx" }
    assert.isDefined(options)
  })

  it.effect("gives the first row long before the last has come", () => {
    const slow = QueryRunner.layer.pipe(
      Layer.provide([
        Layer.mock(Queries.Queries, { createQuery: () => Effect.succeed({ id: "1" }) }),
        Layer.mock(QueryTasks.QueryTasks, {
          createQueryTask: () => Effect.succeed({ id: "t1" }),
          queryTaskResults: () =>
            Effect.succeedSome({
              contentType: "",
              text: Effect.never,
              bytes: Stream.make('[{"a":1},', '{"a":2}]').pipe(
                Stream.rechunk(1),
                Stream.tap((piece) => (piece.startsWith("[") ? Effect.void : Effect.sleep("1 minute"))),
                Stream.encodeText
              )
            })
        }),
        Layer.mock(QueryTaskPoller.QueryTaskPoller, {
          wait: (taskId) => Effect.succeed({ taskId, data: undefined, warnings: [] })
        })
      ])
    )
    return Effect.gen(function* () {
      const { millis } = yield* timed(Stream.runHead(stream()))
      assert.isAtMost(millis, 20)
    }).pipe(Effect.provide(slow))
  })
})
