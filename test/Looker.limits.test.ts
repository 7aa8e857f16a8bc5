/** How fast many queries run where Looker refuses requests with 429: under a limit, and without one. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { QueryRunner } from "effect-looker"
import { looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"
import { timed } from "./support/time.ts"

interface Limits {
  /** A token bucket of one second's worth, over all requests but logins. */
  readonly perSecond?: number
  /** Whether Looker refuses a request without a limit, and for how many seconds. `requests` and `creates` count it. */
  readonly stray?: (count: { readonly requests: number; readonly creates: number }) => number | undefined
}

const latency = "2 millis"

/** The union of intervals: how many seconds in all, and of how many parts. */
const union = (intervals: ReadonlyArray<readonly [from: number, until: number]>) => {
  let seconds = 0
  let parts = 0
  let end = Number.NEGATIVE_INFINITY
  for (const [from, until] of intervals) {
    if (from > end) parts++
    seconds += Math.max(0, until - Math.max(from, end)) / 1000
    end = Math.max(end, until)
  }
  return { seconds, parts }
}

/** A Looker whose tasks last as many milliseconds as `duration` says. */
const stub = (limits: Limits, duration: (task: number) => number) => {
  const tasks = new Map<string, number>()
  const pauses: Array<readonly [number, number]> = []
  const count = { requests: 0, creates: 0, refused: 0 }
  let tokens = limits.perSecond ?? 0
  let since = 0

  const refusal = (method: string, now: number): number | undefined => {
    count.requests++
    if (method === "POST") count.creates++
    const { perSecond, stray } = limits
    if (perSecond === undefined) return stray?.(count)
    tokens = Math.min(perSecond, tokens + ((now - since) * perSecond) / 1000)
    since = now
    if (tokens < 1) return 1
    tokens--
    return undefined
  }

  const answer = (method: string, path: string, ids: string, now: number): StubLooker.Answer => {
    if (method === "POST" && path.endsWith("/queries"))
      return { json: { id: String(count.requests), model: "m", view: "v" } }
    if (method === "POST") {
      const id = `t${tasks.size}`
      tasks.set(id, now + duration(tasks.size))
      return { json: { id } }
    }
    const entries = ids.split(",").map((id): readonly [string, unknown] => {
      const isDone = (tasks.get(id) ?? Number.POSITIVE_INFINITY) <= now
      return [id, isDone ? { status: "complete", data: [{ id }] } : { status: "running" }]
    })
    return { json: Object.fromEntries(entries) }
  }

  const { layer } = StubLooker.inProcess(
    StubLooker.withLogin(({ method, path, query }) =>
      path.endsWith("/login") || path.endsWith("/logout")
        ? undefined
        : Effect.gen(function* () {
            yield* Effect.sleep(latency)
            const now = yield* Clock.currentTimeMillis
            const seconds = refusal(method, now)
            if (seconds === undefined) return answer(method, path, query.get("query_task_ids") ?? "", now)
            count.refused++
            pauses.push([now, now + seconds * 1000])
            return { status: 429, headers: { "retry-after": String(seconds) }, json: { message: "Too many requests" } }
          })
    )
  )
  return { layer, tasks, pauses, count }
}

const quantile = (values: ReadonlyArray<number>, part: number) =>
  values.toSorted((one, other) => one - other)[Math.min(values.length - 1, Math.floor(values.length * part))] ??
  Number.NaN

/** Runs the queries. Times are in seconds; a latency is the time from the end of a task to its rows. */
const run = Effect.fnUntraced(function* (
  limits: Limits,
  options: { readonly queries: number; readonly atATime?: number; readonly duration?: (task: number) => number }
) {
  const { count, layer, pauses, tasks } = stub(limits, options.duration ?? (() => 200))
  const latencies: Array<number> = []
  const program = QueryRunner.QueryRunner.use((runner) =>
    Effect.forEach(
      Array.from({ length: options.queries }, (_, index) => index),
      Effect.fnUntraced(function* (index) {
        const { taskId } = yield* runner.run({ model: "m", view: "v", fields: ["a"], filters: { a: String(index) } })
        latencies.push(((yield* Clock.currentTimeMillis) - (tasks.get(taskId) ?? Number.NaN)) / 1000)
      }),
      { concurrency: options.atATime ?? "unbounded", discard: true }
    )
  ).pipe(Effect.provide(looker(layer)))
  const { millis } = yield* timed(program, { step: "2 millis" })
  return {
    wall: millis / 1000,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    requestsPerTask: count.requests / options.queries,
    refused: count.refused,
    refusedPart: count.refused / count.requests,
    paused: union(pauses)
  }
})

/** Lognormal with a median of 2 s, at most 20 s: the quantiles of so many tasks, in an order that looks random. */
const lognormal = (tasks: number) => (task: number) => {
  const part = (((task * 61) % tasks) + 0.5) / tasks
  // The inverse of a logistic distribution is near enough to that of a normal one.
  return Math.min(20_000, 2000 * Math.exp(Math.log(part / (1 - part)) / 1.702))
}

describe("queries under a limit", () => {
  for (const atATime of [undefined, 15]) {
    it.effect(`of 20 requests a second have their rows early, ${atATime ?? "all"} at a time`, () =>
      Effect.gen(function* () {
        const result = yield* run({ perSecond: 20 }, { queries: 200, ...(atATime && { atATime }) })
        // 380 requests cannot be sent before 19 seconds have passed, nor the polls.
        assert.isAtMost(result.wall, 22.6)
        assert.isAtMost(result.p50, 0.28)
        assert.isAtMost(result.p99, 0.85)
        assert.isAtMost(result.requestsPerTask, 2.5)
        assert.isAtMost(result.refused, 16)
      })
    )
  }

  it.effect("of 100 requests a second take no more than 2.5 requests each, and have their rows early", () =>
    Effect.gen(function* () {
      const result = yield* run({ perSecond: 100 }, { queries: 100, duration: lognormal(100) })
      assert.isAtMost(result.p50, 0.22)
      // A task that ends early in the pause of the first refusal waits for the rest of it.
      assert.isAtMost(result.p99, 1)
      assert.isAtMost(result.requestsPerTask, 2.52)
      assert.isAtMost(result.refusedPart, 0.05)
    })
  )

  it.effect("of 100 requests a second are submitted as fast as it allows, 500 at once", () =>
    Effect.gen(function* () {
      const result = yield* run({ perSecond: 100 }, { queries: 500, duration: () => 2000 })
      // 900 requests in 9 seconds, the polls, and the last task.
      assert.isAtMost(result.wall, 9 * 1.05 + 2.6)
      assert.isAtMost(result.p50, 0.3)
      assert.isAtMost(result.p99, 0.8)
      assert.isAtMost(result.refused, 34)
    })
  )
})

describe("a stray 429", () => {
  /** The same without refusals. */
  const calm = (queries: number, atATime?: number) => run({}, { queries, ...(atATime && { atATime }) })

  for (const every of [60, 97, 150]) {
    it.effect(`costs its pause and half a second at most, one in ${every} requests`, () =>
      Effect.gen(function* () {
        const stray: Limits["stray"] = ({ requests }) => (requests % every === 0 ? 1 : undefined)
        const result = yield* run({ stray }, { queries: 200, atATime: 15 })
        const { wall } = yield* calm(200, 15)
        assert.isAtLeast(result.paused.parts, 2)
        assert.isAtMost(result.wall, wall + result.paused.seconds + 0.5 * result.paused.parts)
      })
    )
  }

  it.effect("costs its pause and half a second at most when it is among the first requests", () =>
    Effect.gen(function* () {
      const stray: Limits["stray"] = ({ creates }) => (creates === 3 ? 1 : undefined)
      const result = yield* run({ stray }, { queries: 200, atATime: 40 })
      const { wall } = yield* calm(200, 40)
      assert.strictEqual(result.paused.parts, 1)
      assert.isAtMost(result.wall, wall + 1.5)
    })
  )

  it.effect("for every tenth submission costs little more than the pauses", () =>
    Effect.gen(function* () {
      const stray: Limits["stray"] = ({ creates }) => (creates % 10 === 0 ? 2 : undefined)
      const result = yield* run({ stray }, { queries: 40 })
      const { wall } = yield* calm(40)
      assert.isAtLeast(result.paused.parts, 5)
      assert.isAtMost(result.wall, wall + 1.3 * result.paused.seconds)
    })
  )
})
