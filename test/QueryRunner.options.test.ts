import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Stream } from "effect"
import { QueryRunner, QueryTaskPoller } from "effect-looker"
import { looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"
import { runOut } from "./support/time.ts"

const query = { model: "m", view: "v", fields: ["v.a"] }

/** A Looker whose tasks are added, then running, then complete. */
const stub = () => {
  let polls = 0
  return StubLooker.inProcess(
    StubLooker.withLogin(({ method, path }) => {
      if (path === "/api/4.0/queries") return { json: { id: "1" } }
      if (path === "/api/4.0/running_queries/t1") return { status: 204 }
      if (path === "/api/4.0/query_tasks" && method === "POST") return { json: { id: "t1" } }
      if (path !== "/api/4.0/query_tasks/multi_results") return undefined
      const status = ["added", "running", "complete"][Math.min(polls++, 2)]
      return { json: { t1: { status, ...(status === "complete" ? { data: [{ "v.a": 1 }] } : {}) } } }
    })
  )
}

/** Options as a program without a compiler gives them. */
const anything = (options: object) => options as QueryRunner.RunAllOptions<never>

describe("an option of a run that is not valid", () => {
  it.effect.each([
    { options: { timeout: Number.NaN }, says: "timeout is NaN" },
    { options: { timeout: "soon" }, says: 'timeout is "soon"' },
    { options: { timeout: {} }, says: "timeout is [object Object]" },
    { options: { timeout: 0 }, says: "timeout is 0" },
    { options: { timeout: null }, says: "timeout is null" },
    { options: { row: {} }, says: "row is [object Object]" },
    { options: { whenLimited: "Fail" }, says: 'whenLimited is "Fail"' },
    { options: { onStatus: "print" }, says: 'onStatus is "print"' }
  ])("fails before the first request: $says", ({ options, says }) => {
    const { layer, received } = stub()
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const run = yield* Effect.flip(runner.run(query, anything(options)))
      assert.strictEqual(run._tag, "BadRequest")
      assert.include(run.message, says)
      const stream = yield* Effect.flip(Stream.runDrain(runner.stream(query, anything(options))))
      assert.strictEqual(stream.message, run.message)
      const [outcome] = yield* Stream.runCollect(runner.runAll([query], anything(options)))
      if (!("onStatus" in options))
        assert.include(outcome && Result.isFailure(outcome.result) && outcome.result.failure.message, says)
      assert.strictEqual(received.filter(({ path }) => path.endsWith("/queries")).length, "onStatus" in options ? 1 : 0)
    }).pipe(runOut, Effect.provide(looker(layer)))
  })

  it.effect.each([
    { options: { concurrency: Number.NaN }, says: "concurrency is NaN" },
    { options: { concurrency: "15" }, says: 'concurrency is "15"' },
    { options: { concurrency: 0 }, says: "concurrency is 0" },
    { options: { concurrency: 1.5 }, says: "concurrency is 1.5" },
    { options: { concurrency: -1 }, says: "concurrency is -1" },
    { options: { onProgress: true }, says: "onProgress is true" }
  ])("is the outcome of each of several queries: $says", ({ options, says }) => {
    const { layer, received } = stub()
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const outcomes = yield* Stream.runCollect(runner.runAll([query, query], anything(options)))
      assert.strictEqual(outcomes.length, 2)
      for (const { result } of outcomes) {
        assert.strictEqual(Result.isFailure(result) && result.failure._tag, "BadRequest")
        assert.include(Result.isFailure(result) && result.failure.message, says)
      }
      assert.strictEqual(received.length, 0)
    }).pipe(runOut, Effect.provide(looker(layer)))
  })

  it.effect.each([1, 200, Number.POSITIVE_INFINITY, "unbounded"])("is not a concurrency of %s", (concurrency) =>
    Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const [outcome] = yield* Stream.runCollect(runner.runAll([query], anything({ concurrency })))
      assert.isTrue(outcome && Result.isSuccess(outcome.result))
    }).pipe(runOut, Effect.provide(looker(stub().layer)))
  )

  const callbacks = [
    { name: "returns nothing", callback: () => undefined, says: "returned undefined" },
    { name: "returns a Promise", callback: () => Promise.resolve(), says: "returned [object Promise]" },
    {
      name: "throws",
      callback: () => {
        throw new Error("no console")
      },
      says: "threw, and has to return an Effect: Error: no console"
    }
  ]

  it.effect.each(callbacks)("is an onStatus that $name, and the task is killed", ({ callback, says }) => {
    const { layer, received } = stub()
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const error = yield* Effect.flip(runner.run(query, anything({ onStatus: callback })))
      assert.strictEqual(error._tag, "BadRequest")
      assert.include(error.message, `onStatus ${says}`)
      assert.isTrue(received.some(({ method, path }) => method === "DELETE" && path.endsWith("/t1")))
    }).pipe(runOut, Effect.provide(looker(layer)))
  })

  it.effect.each(callbacks)("is an onProgress that $name", ({ callback, says }) =>
    Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const [outcome] = yield* Stream.runCollect(runner.runAll([query], anything({ onProgress: callback })))
      assert.include(
        outcome && Result.isFailure(outcome.result) && outcome.result.failure.message,
        `onProgress ${says}`
      )
    }).pipe(runOut, Effect.provide(looker(stub().layer)))
  )

  it.effect("is a timeout of a wait", () =>
    Effect.gen(function* () {
      const poller = yield* QueryTaskPoller.QueryTaskPoller
      const error = yield* Effect.flip(poller.wait("t1", anything({ timeout: "soon" })))
      assert.strictEqual(error._tag, "BadRequest")
      assert.include(error.message, 'timeout is "soon"')
    }).pipe(Effect.provide(looker(stub().layer)))
  )
})
