/** A task for which Looker fails speaks for no other that is asked about in the same request. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Result } from "effect"
import { QueryRunner, QueryTaskPoller } from "effect-looker"
import { looker } from "./support/layers.ts"
import type { Answer } from "./support/StubLooker.ts"
import * as TaskLooker from "./support/TaskLooker.ts"
import { runOut, timed } from "./support/time.ts"

const page = "<html><head><title>Sign in</title></head></html>"

const idsOf = (request: string, { query }: { readonly query: URLSearchParams }) =>
  request === "GET /query_tasks/multi_results" ? (query.get("query_task_ids") ?? "").split(",") : []

/** A Looker in which every request about the task t7 has this answer, or none. */
const poisoned = (answer: Answer | undefined, options: Partial<TaskLooker.Options> = {}) => {
  const server = TaskLooker.make({
    duration: 2000,
    fault: (request, received) =>
      answer !== undefined && idsOf(request, received).includes("t7") ? { answer, after: false } : undefined,
    isHung: (request, received) => answer === undefined && idsOf(request, received).includes("t7"),
    ...options
  })
  return { server, layer: looker(server.layer) }
}

const runs = (count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => ({ model: "m", view: String(index), fields: ["a"] })),
    (query) =>
      QueryRunner.QueryRunner.use((runner) => runner.run(query)).pipe(
        Effect.result,
        Effect.flatMap((result) =>
          Effect.clockWith((clock) => Effect.map(clock.currentTimeMillis, (at) => ({ result, at })))
        )
      ),
    { concurrency: "unbounded" }
  )

const answers: ReadonlyArray<readonly [string, Answer | undefined, string]> = [
  ["500", { status: 500, json: { message: "oops" } }, "LookerUnavailable"],
  ["504", { status: 504, text: page }, "LookerUnavailable"],
  ["a broken connection", { reset: "before" }, "LookerUnavailable"],
  ["half of a body", { json: { t7: { status: "running" } }, reset: "midway" }, "LookerUnavailable"],
  ["200 with HTML", { text: page }, "UnexpectedResponse"],
  ["200 with half of a JSON", { text: '{"t7":{"sta' }, "UnexpectedResponse"],
  ["401", { status: 401, json: { message: "no" } }, "Unauthorized"],
  ["403", { status: 403, json: { message: "no" } }, "UnexpectedResponse"],
  ["404", { status: 404, json: { message: "no" } }, "NotFound"],
  ["418", { status: 418 }, "UnexpectedResponse"]
]

describe("an error about several tasks", () => {
  for (const [name, answer, tag] of answers) {
    it.effect(`that is due to one of them fails that one alone: ${name}`, () => {
      const { layer, server } = poisoned(answer)
      return Effect.gen(function* () {
        const ended = yield* runOut(runs(41))
        const failures = ended.flatMap(({ result }) => (Result.isFailure(result) ? [result.failure._tag] : []))
        assert.deepStrictEqual(failures, [tag])
        assert.isTrue(server.tasks.every(({ delivered, id }) => delivered || id === "t7"))
        assert.isTrue(server.tasks.every(({ id, killed }) => !killed || id === "t7"))
        const slowest = Math.max(...ended.filter(({ result }) => Result.isSuccess(result)).map(({ at }) => at))
        assert.isAtMost(slowest, 45_000)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("is also one that never comes, and 59 of 60 get their results", () => {
    const { layer } = poisoned(undefined, {})
    return Effect.gen(function* () {
      const started = yield* Clock.currentTimeMillis
      const all = runs(60).pipe(
        Effect.tap((ended) =>
          Effect.sync(() => {
            const healthy = ended.filter(({ result }) => Result.isSuccess(result))
            assert.strictEqual(healthy.length, 59)
            assert.isAtMost(Math.max(...healthy.map(({ at }) => at)) - started, 60_000)
          })
        )
      )
      yield* runOut(all, { step: "50 millis" })
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails no task while it passes within the grace, and then the tasks share requests again", () => {
    const until = 25_000
    const down = TaskLooker.make({
      duration: 60_000,
      fault: (request, _received, now) =>
        request === "GET /query_tasks/multi_results" && now < until
          ? { answer: { status: 500 }, after: false }
          : undefined
    })
    return Effect.gen(function* () {
      const ended = yield* runOut(runs(100))
      assert.isTrue(ended.every(({ result }) => Result.isSuccess(result)))
      const polls = down.received.filter(({ path }) => path.endsWith("multi_results"))
      assert.strictEqual(
        new Set(polls.slice(-3).flatMap((poll) => idsOf("GET /query_tasks/multi_results", poll))).size,
        100
      )
      assert.isAtMost(polls.length, 150)
    }).pipe(Effect.provide(looker(down.layer)))
  })

  it.effect("is not made of a response that is slow, which still counts", () => {
    const { layer, server } = poisoned(
      { status: 200 },
      {
        fault: () => undefined,
        latency: () => (server.received.at(-1)?.path.endsWith("multi_results") ? 20_000 : 1)
      }
    )
    return Effect.gen(function* () {
      const { millis, value } = yield* timed(runs(20), { step: "50 millis" })
      assert.isTrue(value.every(({ result }) => Result.isSuccess(result)))
      assert.isAtMost(millis, 25_000)
    }).pipe(Effect.provide(layer))
  })
})

describe("PollingTimeout", () => {
  const late = (layer: ReturnType<typeof looker>) =>
    Effect.gen(function* () {
      const wait = QueryTaskPoller.QueryTaskPoller.use((poller) => poller.wait("t1", { timeout: "10 seconds" }))
      return (yield* runOut(Effect.flip(wait))).message
    }).pipe(Effect.provide(layer))

  const always = (answer: Answer) =>
    looker(
      TaskLooker.make({
        duration: 60_000,
        fault: (request) => (request === "GET /query_tasks/multi_results" ? { answer, after: false } : undefined)
      }).layer
    )

  for (const [name, answer, last] of [
    ["a status", { json: { t1: { status: "running" } } }, "the last response was: running"],
    ["HTML", { text: page }, 'the last response was: 200 with HTML "Sign in"'],
    ["an error", { status: 500, json: { message: "oops" } }, "oops"],
    ["an answer without the task", { json: {} }, "Looker leaves the task out of its responses"],
    ["nothing", { status: 429, headers: { "retry-after": "60" } }, "no response has mentioned it"]
  ] as const) {
    it.effect(`says what the last answer was: ${name}`, () =>
      Effect.gen(function* () {
        assert.include(yield* late(always(answer)), `The task did not end within 10s; `)
        assert.include(yield* late(always(answer)), last)
      })
    )
  }
})
