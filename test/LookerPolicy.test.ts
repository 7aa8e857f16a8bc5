import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Option, Pull, Schedule } from "effect"
import { LookerError, LookerPolicy } from "effect-looker"

const once: Schedule.Schedule<unknown, LookerError.HttpError> = Schedule.recurs(1)

/** What a schedule waits, in milliseconds, after each of these inputs; `undefined` when it has ended. */
const pauses = Effect.fnUntraced(function* <Input>(
  schedule: Schedule.Schedule<unknown, Input>,
  inputs: ReadonlyArray<Input>
) {
  const step = yield* Schedule.toStep(schedule)
  const found: Array<number | undefined> = []
  for (const input of inputs) {
    const pause = yield* step(0, input).pipe(
      Effect.map(([, duration]) => Duration.toMillis(duration)),
      Pull.catchDone(() => Effect.undefined)
    )
    found.push(pause)
  }
  return found
})

const unavailable = new LookerError.LookerUnavailable({ message: "no", reached: "no" })
const repeated = <A>(value: A, times: number) => Array.from({ length: times }, () => value)

describe("LookerPolicy.make", () => {
  it.effect("fills in every default", () =>
    Effect.gen(function* () {
      const { poll, retry, ...policy } = yield* LookerPolicy.make()
      assert.deepStrictEqual(policy, {
        retryAfterCap: Duration.seconds(60),
        rateLimit: undefined,
        concurrentSubmissions: 48,
        lostAnswer: "adopt",
        pollRequestsPerSecond: 25,
        chunkSize: 100,
        grace: Duration.seconds(30),
        recreateExpired: 0,
        tokenLead: Duration.seconds(60),
        cleanupTimeout: Duration.seconds(5)
      })
      const ages = [0, 55_000, 10 * 60_000].map((age) => ({ age: Duration.millis(age), waiting: 1 }))
      assert.deepStrictEqual(yield* pauses(poll, ages), [100, 1100, 5000])
      assert.strictEqual((yield* pauses(retry, repeated(unavailable, 6))).indexOf(undefined), 5)
    })
  )

  it.effect("keeps every setting that is given", () =>
    Effect.gen(function* () {
      const { poll, rateLimit, retry, ...policy } = yield* LookerPolicy.make({
        retry: once,
        retryAfterCap: "1 second",
        rateLimit: { limit: 7, window: "2 seconds" },
        concurrentSubmissions: 3,
        lostAnswer: "repeat",
        poll: Schedule.spaced("4 seconds"),
        pollRequestsPerSecond: 5,
        chunkSize: 6,
        grace: "7 seconds",
        recreateExpired: 8,
        tokenLead: "9 seconds",
        cleanupTimeout: "10 seconds"
      })
      assert.deepStrictEqual(policy, {
        retryAfterCap: Duration.seconds(1),
        concurrentSubmissions: 3,
        lostAnswer: "repeat",
        pollRequestsPerSecond: 5,
        chunkSize: 6,
        grace: Duration.seconds(7),
        recreateExpired: 8,
        tokenLead: Duration.seconds(9),
        cleanupTimeout: Duration.seconds(10)
      })
      assert.deepInclude(rateLimit, { limit: 7, window: Duration.seconds(2) })
      assert.deepStrictEqual(yield* pauses(poll, [{ age: Duration.zero, waiting: 1 }]), [4000])
      assert.deepStrictEqual(yield* pauses(retry, repeated(unavailable, 2)), [0, undefined])
    })
  )

  it.effect("makes the poll schedule of pollInterval and pollIntervalMax", () =>
    Effect.gen(function* () {
      const { poll } = yield* LookerPolicy.make({ pollInterval: "1 second", pollIntervalMax: "2 seconds" })
      const ages = [0, 27_500, 55_000, 110_000].map((age) => ({ age: Duration.millis(age), waiting: 1 }))
      assert.deepStrictEqual(yield* pauses(poll, ages), [1000, 1500, 2000, 2000])
    })
  )

  const longerThanZero = ["pollInterval", "pollIntervalMax", "grace", "cleanupTimeout", "retryAfterCap"] as const

  it.effect.each([
    ...longerThanZero.flatMap((name) => [0, -1, Number.NaN, "a while"].map((value) => [name, value] as const)),
    ...[-1, "a while"].map((value) => ["tokenLead", value] as const),
    ...[0, 0.5, 251, -1, Number.NaN, Number.POSITIVE_INFINITY].map((value) => ["chunkSize", value] as const),
    ...[0, 1.5, -1, Number.NaN, Number.POSITIVE_INFINITY].map((value) => ["concurrentSubmissions", value] as const),
    ...[-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY].map((value) => ["recreateExpired", value] as const),
    ...[0, -1, Number.NaN].map((value) => ["pollRequestsPerSecond", value] as const)
  ])("fails for a %s of %s, and names both", ([name, value]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(LookerPolicy.make({ [name]: value } as LookerPolicy.Options))
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.match(error.message, new RegExp(`^${name} is ${value}, and has to be `))
    })
  )

  it.effect.each([
    ...[...longerThanZero, "tokenLead" as const].map((name) => [name, 0.001] as const),
    ["tokenLead", 0],
    ...[1, 250].map((value) => ["chunkSize", value] as const),
    ...[1, 1000].map((value) => ["concurrentSubmissions", value] as const),
    ...[0, 1].map((value) => ["recreateExpired", value] as const),
    ...[0.001, Number.POSITIVE_INFINITY].map((value) => ["pollRequestsPerSecond", value] as const)
  ] as ReadonlyArray<readonly [keyof LookerPolicy.Options, number]>)("takes a %s of %s", ([name, value]) =>
    Effect.gen(function* () {
      const isInterval = name === "pollInterval" || name === "pollIntervalMax"
      const policy = yield* LookerPolicy.make(isInterval ? { pollInterval: value } : { [name]: value })
      if (name in policy) {
        const kept: unknown = policy[name as keyof typeof policy]
        assert.strictEqual(Duration.isDuration(kept) ? Duration.toMillis(kept) : kept, value)
      }
    })
  )

  it.effect("fails for a pollIntervalMax shorter than pollInterval, and takes one as long", () =>
    Effect.gen(function* () {
      yield* LookerPolicy.make({ pollInterval: "2 seconds", pollIntervalMax: "2 seconds" })
      const error = yield* Effect.flip(LookerPolicy.make({ pollInterval: "2 seconds", pollIntervalMax: "1999 millis" }))
      assert.include(error.message, "pollIntervalMax is 1s 999ms, and has to be pollInterval (2s) or longer")
    })
  )

  it.effect("polls every pollInterval where that is longer than the default of pollIntervalMax", () =>
    Effect.gen(function* () {
      const { poll } = yield* LookerPolicy.make({ pollInterval: "5001 millis" })
      assert.deepStrictEqual(yield* pauses(poll, [{ age: Duration.minutes(10), waiting: 1 }]), [5001])
    })
  )

  it.effect.each([
    [0.999, "1 second"],
    [Number.NaN, "1 second"],
    [1, 0],
    [1, -1],
    [1, "a while"]
  ] as ReadonlyArray<readonly [number, Duration.Input]>)("fails for a rateLimit of %s in %s", ([limit, window]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(LookerPolicy.make({ rateLimit: { limit, window } }))
      assert.include(error.message, `rateLimit is ${limit} in ${String(window)}`)
    })
  )

  it.effect("takes a rateLimit of one in the shortest time", () =>
    Effect.gen(function* () {
      const { rateLimit } = yield* LookerPolicy.make({ rateLimit: { limit: 1, window: 0.001 } })
      assert.strictEqual(rateLimit?.limit, 1)
    })
  )
})

describe("LookerPolicy.defaultRetry", () => {
  it.effect("tries five more times, from a quarter of a second and twice as long each time, with jitter", () =>
    Effect.gen(function* () {
      const found = yield* pauses(LookerPolicy.defaultRetry, repeated(unavailable, 6))
      for (const [index, expected] of [250, 500, 1000, 2000, 4000].entries()) {
        const pause = found[index] ?? 0
        assert.isTrue(pause >= expected * 0.8 && pause <= expected * 1.2, `${pause} is not about ${expected}`)
      }
      assert.notDeepEqual(found.slice(0, 5), [250, 500, 1000, 2000, 4000])
      assert.strictEqual(found.length, 6)
      assert.isUndefined(found[5])
    })
  )

  it.effect("does not retry what is not retryable", () =>
    Effect.gen(function* () {
      const found = yield* pauses<LookerError.HttpError>(LookerPolicy.defaultRetry, [
        new LookerError.BadRequest({ message: "no" })
      ])
      assert.deepStrictEqual(found, [undefined])
    })
  )
})

describe("LookerPolicy.respectRetryAfter", () => {
  const refused = (seconds: number | undefined) =>
    new LookerError.TooManyRequests({
      message: "no",
      retryAfter: seconds === undefined ? undefined : { _tag: "Duration", duration: Duration.seconds(seconds) }
    })
  const schedule: Schedule.Schedule<unknown, LookerError.HttpError> = Schedule.spaced("2 seconds")

  it.effect("waits for the longer of the schedule and Retry-After, and no longer than the cap", () =>
    Effect.gen(function* () {
      const respectful = LookerPolicy.respectRetryAfter(schedule, "10 seconds")
      assert.deepStrictEqual(
        yield* pauses<LookerError.HttpError>(respectful, [
          refused(undefined),
          refused(1),
          refused(3),
          refused(10),
          refused(11),
          unavailable
        ]),
        [2000, 2000, 3000, 10_000, 10_000, 2000]
      )
    })
  )

  it.effect("never waits for less than the schedule, however low the cap", () =>
    Effect.gen(function* () {
      const respectful = LookerPolicy.respectRetryAfter(schedule, "1 second")
      assert.deepStrictEqual(yield* pauses<LookerError.HttpError>(respectful, [refused(60)]), [2000])
    })
  )

  it.effect("reads a date, and Retry-After of LookerUnavailable", () =>
    Effect.gen(function* () {
      const error = new LookerError.LookerUnavailable({
        message: "no",
        reached: "no",
        retryAfter: { _tag: "DateTime", dateTime: DateTime.makeUnsafe(7000) }
      })
      assert.deepStrictEqual(
        yield* pauses<LookerError.HttpError>(LookerPolicy.respectRetryAfter(schedule, "1 minute"), [error]),
        [7000]
      )
    })
  )
})

describe("LookerPolicy.adaptivePoll", () => {
  it.effect("costs a task of ten minutes about 280 requests with the defaults", () =>
    Effect.gen(function* () {
      const { poll } = yield* LookerPolicy.make()
      const step = yield* Schedule.toStep(poll)
      let requests = 0
      for (let age = 0; age < 10 * 60_000; requests++) {
        const found = yield* Effect.option(step(0, { age: Duration.millis(age), waiting: 1 }))
        age += Duration.toMillis(Option.getOrThrow(found)[1])
      }
      assert.isTrue(requests > 270 && requests < 290, String(requests))
    })
  )
})
