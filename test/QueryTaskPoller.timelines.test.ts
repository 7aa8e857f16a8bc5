/**
 * Random timelines: tasks that change, waiters that come and go, and a Looker that is slow, refuses, and breaks off. Every waiter ends with
 * what the timeline of its task says.
 *
 * A failure names its seed; `TIMELINES_SEED=… npx vitest run test/QueryTaskPoller.timelines.test.ts` runs that one again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import { LookerError, LookerPolicy, QueryTaskPoller, QueryTasks } from "effect-looker"
import { type Random, randomFrom } from "./support/random.ts"
import { settle, timed } from "./support/time.ts"

const firstSeed = Number(process.env.TIMELINES_SEED ?? Math.floor(Math.random() * 1e9))
const seeds = Array.from({ length: process.env.TIMELINES_SEED === undefined ? 12 : 1 }, (_, index) => firstSeed + index)

const grace = 30_000
/** No response takes longer, and no outage. */
const longestResponse = 3000
const longestOutage = 5000
/** From when a task has ended to when its waiters know: a pause of the schedule, and a few responses and outages. */
const longestDelay = 5000 + 4 * (longestResponse + longestOutage)

/** From a time on the entry of a task is this; an absent one is left out of responses. */
interface Step {
  readonly at: number
  readonly entry: { readonly status: string; readonly data?: unknown } | undefined
}

interface Timeline {
  readonly taskId: string
  readonly steps: ReadonlyArray<Step>
  /** Every request about the task is refused as a whole. */
  readonly refused: boolean
  /** `Finished`, or the tag of the error. */
  readonly end: string
  readonly endsAt: number
}

const timelineOf = (random: Random, index: number): Timeline => {
  const taskId = `t${index}`
  const steps: Array<Step> = [{ at: 0, entry: { status: "added" } }]
  let at = 0
  const next = (pause: number, entry: Step["entry"]) => {
    at += random.upTo(pause)
    steps.push({ at, entry })
  }
  if (random.chance(0.8)) next(3000, { status: "running" })
  // Looker shows these words for a moment, although they are not true.
  if (random.chance(0.3)) {
    next(2000, random.pick([{ status: "expired" }, { status: "" }, undefined]))
    next(2000, { status: "running" })
  }
  const [end, entry] = random.pick<readonly [string, Step["entry"]]>([
    ["Finished", { status: "complete", data: [{ taskId }] }],
    ["Finished", { status: "Complete", data: [{ taskId }] }],
    ["QueryFailed", { status: "error", data: [{ looker_error: taskId }] }],
    ["QueryKilled", { status: "killed" }],
    ["TaskMissing", { status: "missing" }],
    ["TaskMissing", undefined],
    ["ResultsExpired", { status: "expired" }],
    ["UnknownTaskStatus", { status: "dreaming" }]
  ])
  next(20_000, entry)
  return { taskId, steps, end, endsAt: at, refused: random.chance(0.05) }
}

const stepAt = ({ steps }: Timeline, now: number): Step["entry"] => steps.findLast(({ at }) => at <= now)?.entry

interface Waiter {
  readonly timeline: Timeline
  readonly arrives: number
  readonly statusOnly: boolean
  readonly timeout: number | undefined
  readonly interruptedAfter: number | undefined
}

const outages = [
  new LookerError.TooManyRequests({ message: "an outage" }),
  new LookerError.LookerUnavailable({ message: "an outage", reached: "maybe" }),
  new LookerError.UnexpectedResponse({ message: "an outage" })
] as const

/** Draws a whole scene from a seed, plays it, and checks it. */
const play = Effect.fnUntraced(function* (seed: number) {
  const random = randomFrom(seed)
  const because = (what: string) => `${what} (TIMELINES_SEED=${seed})`
  const policy = {
    chunkSize: random.pick([1, 3, 10, 100]),
    pollRequestsPerSecond: random.pick([5, 25, 100]),
    grace
  }
  const timelines = Array.from({ length: 1 + random.upTo(25) }, (_, index) => timelineOf(random, index))
  const waiters = timelines.flatMap((timeline) =>
    Array.from(
      { length: random.pick([1, 1, 1, 2, 3]) },
      (): Waiter => ({
        timeline,
        arrives: random.upTo(5000),
        statusOnly: random.chance(0.2),
        timeout: random.chance(0.2) ? 1 + random.upTo(20_000) : undefined,
        interruptedAfter: random.chance(0.2) ? random.upTo(10_000) : undefined
      })
    )
  )
  const refusals = Array.from({ length: random.upTo(3) }, () => ({
    from: random.upTo(30_000),
    error: random.pick<(typeof outages)[number]>(outages)
  })).map(({ error, from }) => ({ from, until: from + random.upTo(longestOutage), error }))

  // ---- the stand-in for Looker, and what it sees ----

  /** Fibers that wait for a task just now. */
  const waiting = new Map<string, number>()
  /** The request about each id, unless the last waiter of the id has left since. */
  const underWay = new Map<string, number>()
  const restarted = new Set<string>()
  const sentAt: Array<number> = []
  let requests = 0
  let requestsUnderWay = 0
  const failures: Array<string> = []
  const expect = (holds: boolean, what: string) => {
    if (!holds) failures.push(because(what))
  }

  /** What every request has in common; succeeds with the time of its response. */
  const request = <A>(ids: ReadonlyArray<string>, kind: string, respond: (now: number) => Effect.Effect<A, never>) =>
    Effect.suspend(() => {
      const keys = ids.map((id) => `${kind} ${id}`)
      const number = ++requests
      requestsUnderWay++
      expect(requestsUnderWay <= 8, "more than 8 requests are under way")
      expect(ids.length <= policy.chunkSize, "more ids than a chunk has")
      expect(new Set(ids).size === ids.length, "an id is asked twice in one request")
      for (const key of keys) {
        expect((waiting.get(key) ?? 0) > 0, `${key} is asked although nothing waits for it`)
        expect(!underWay.has(key) || restarted.has(key), `${key} is asked while a request about it is under way`)
        underWay.set(key, number)
      }
      const response = Effect.gen(function* () {
        sentAt.push(yield* Clock.currentTimeMillis)
        yield* Effect.sleep(random.chance(0.8) ? random.upTo(200) : random.upTo(longestResponse))
        const now = yield* Clock.currentTimeMillis
        const refusal = refusals.find(({ from, until }) => from <= now && now < until)
        if (refusal !== undefined) return yield* refusal.error
        if (timelines.some(({ refused, taskId }) => refused && ids.includes(taskId))) {
          return yield* new LookerError.NotFound({ message: "an id is refused" })
        }
        return yield* respond(now)
      })
      return Effect.ensuring(
        response,
        Effect.sync(() => {
          requestsUnderWay--
          for (const key of keys) if (underWay.get(key) === number) underWay.delete(key)
        })
      )
    })

  const timelineById = new Map(timelines.map((timeline) => [timeline.taskId, timeline]))
  const entryOf = (id: string, now: number) => {
    const timeline = timelineById.get(id)
    return timeline && stepAt(timeline, now)
  }

  const tasks = Layer.mock(QueryTasks.QueryTasks, {
    queryTask: (id) =>
      request([id], "status", (now) =>
        Effect.succeed({ id, status: entryOf(id, now)?.status ?? (entryOf(id, now) === undefined ? "missing" : "") })
      ),
    queryTaskResults: () => Effect.succeed(Option.none()),
    queryTaskMultiResultsStream: (ids) =>
      Stream.unwrap(
        request(ids, "rows", (now) => {
          const parts = ids
            .flatMap((taskId): ReadonlyArray<QueryTasks.MultiResultsPart> => {
              const entry = entryOf(taskId, now)
              if (entry === undefined) return []
              const part = { _tag: "Entry", taskId, entry } as const
              if (!random.chance(0.1)) return [part]
              for (const id of ids) restarted.add(`rows ${id}`)
              return [{ _tag: "Large", taskId }, part]
            })
            .map((part) => Effect.as(random.chance(0.1) ? Effect.sleep(random.upTo(500)) : Effect.void, part))
          return Effect.succeed(Stream.fromIterable(parts).pipe(Stream.mapEffect((part) => part)))
        })
      )
  })

  // ---- the waiters ----

  const wait = ({ interruptedAfter, statusOnly, timeline, timeout }: Waiter) =>
    Effect.gen(function* () {
      const key = `${statusOnly ? "status" : "rows"} ${timeline.taskId}`
      const poller = yield* QueryTaskPoller.QueryTaskPoller
      const count = (change: number) => {
        const now = (waiting.get(key) ?? 0) + change
        waiting.set(key, now)
        if (now === 0) underWay.delete(key)
      }
      count(1)
      const fiber = yield* poller
        .wait(timeline.taskId, { statusOnly, timeout })
        .pipe(Effect.ensuring(Effect.sync(() => count(-1))), Effect.forkChild({ startImmediately: true }))
      if (interruptedAfter === undefined) return yield* Fiber.await(fiber)
      const exit = yield* Effect.timeoutOption(Fiber.await(fiber), interruptedAfter)
      if (Option.isSome(exit)) return exit.value
      yield* Fiber.interrupt(fiber)
      return yield* Fiber.await(fiber)
    })

  const check = (waiter: Waiter, exit: Exit.Exit<QueryTaskPoller.Finished, QueryTaskPoller.WaitError>, now: number) => {
    const { arrives, interruptedAfter, statusOnly, timeline, timeout } = waiter
    const { end, endsAt, refused, taskId } = timeline
    const tag = Exit.isSuccess(exit)
      ? "Finished"
      : Option.match(Exit.findErrorOption(exit), {
          onNone: () => (Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : Cause.pretty(exit.cause)),
          onSome: ({ _tag }) => _tag
        })
    const who = `${statusOnly ? "status" : "rows"} ${taskId}, waited for since ${arrives}: ${tag} at ${now}`
    if (Exit.isSuccess(exit)) {
      expect(exit.value.taskId === taskId, `${who}, with the id of another task`)
      const data = JSON.stringify(exit.value.data)
      expect(data === (statusOnly ? undefined : JSON.stringify([{ taskId }])), `${who}, with ${data}`)
    }
    if (tag === "interrupted") {
      return expect(interruptedAfter !== undefined && now === arrives + interruptedAfter, `${who}, but not by the test`)
    }
    if (tag === "PollingTimeout") {
      return expect(timeout !== undefined && Math.abs(now - arrives - timeout) <= 1, `${who}, too early or late`)
    }
    // A status alone has no absent entry.
    const isDoubtful =
      end === "ResultsExpired" ||
      end === "UnknownTaskStatus" ||
      (end === "TaskMissing" && !statusOnly && stepAt(timeline, endsAt) === undefined)
    const from = Math.max(arrives, refused ? 0 : endsAt)
    if (refused && tag === "NotFound") {
      expect(now <= from + longestDelay, `${who}, too late`)
      return
    }
    if (isDoubtful) {
      const may = new Set([end, ...(refusals.length > 0 ? outages.map(({ _tag }) => _tag) : [])])
      expect(may.has(tag), `${who}, instead of ${end}`)
      expect(now <= from + grace + longestDelay, `${who}, too late`)
      // Waiters of the same task share its grace period.
      const first = Math.min(
        ...waiters
          .filter((other) => other.timeline === timeline && other.statusOnly === statusOnly)
          .map((other) => other.arrives)
      )
      expect(now >= first + grace, `${who}, before the grace period is over`)
      return
    }
    expect(!refused && tag === end, `${who}, instead of ${refused ? "NotFound" : end}`)
    expect(now >= endsAt, `${who}, before its end at ${endsAt}`)
    expect(now <= from + longestDelay, `${who}, too late after its end at ${endsAt}`)
  }

  yield* Effect.gen(function* () {
    const exits = Effect.forEach(
      waiters,
      (waiter) =>
        Effect.gen(function* () {
          const exit = yield* Effect.delay(wait(waiter), waiter.arrives)
          check(waiter, exit, yield* Clock.currentTimeMillis)
        }),
      { concurrency: "unbounded", discard: true }
    )
    yield* timed(exits, { limit: "5 minutes", step: Duration.millis(100) })
    const before = sentAt.length
    yield* timed(Effect.sleep("1 minute"), { step: "1 second" })
    expect(sentAt.length === before, "a request is sent although nothing waits")
  }).pipe(
    Effect.provide(
      QueryTaskPoller.layer.pipe(Layer.provide(tasks), Layer.provide(LookerPolicy.layer(policy)), Layer.orDie)
    )
  )

  // A round is sent as a whole. Requests that waited for others to end may go together, but are no more in all.
  const ofRound = Math.max(1, Math.floor(policy.pollRequestsPerSecond * 0.1))
  for (const [index, at] of sentAt.entries()) {
    const most = ((at - (sentAt[0] ?? 0)) / 1000) * policy.pollRequestsPerSecond + ofRound
    expect(index + 1 <= Math.ceil(most), `${index + 1} requests until ${at}`)
  }
  assert.deepStrictEqual(failures, [])
})

describe("QueryTaskPoller on random timelines", () => {
  for (const seed of seeds) {
    it.effect(`gives every waiter the end of its task (TIMELINES_SEED=${seed})`, () =>
      Effect.andThen(settle, play(seed))
    )
  }
})
