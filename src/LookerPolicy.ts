/**
 * All timing of the library, as schedules and durations that a program can replace.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Schedule from "effect/Schedule"
import * as LookerError from "./LookerError.ts"

/**
 * The input of the poll schedule, each time a group of tasks has been asked about: the time since they were first waited for, and the
 * number of all tasks that are waited for.
 *
 * @category models
 * @since 0.1.0
 */
export interface PollRound {
  readonly age: Duration.Duration
  readonly waiting: number
}

/**
 * A rate limit in force, and how an HTTP client keeps it. `key` names the bucket in the store of the limiter.
 *
 * @category models
 * @since 0.2.0
 */
export interface RateLimit {
  readonly limit: number
  readonly window: Duration.Duration
  applyTo<E, R>(
    httpClient: HttpClient.HttpClient.With<E, R>,
    key: string
  ): Effect.Effect<HttpClient.HttpClient.With<E | RateLimiter.RateLimiterError, R>>
}

/**
 * What follows when the response to `create_query_task` is lost (502, 503, a broken connection, a timeout), so that a task may run whose id no
 * program has.
 *
 * **Details**
 *
 * - `adopt`: the task is looked for among the running queries. If it is not found, another one is started, once
 * - `repeat`: another one is started, as often as `retry` says
 * - `fail`: the run fails, except after a 503, which is sent again as `retry` says
 *
 * No second task is started for `rebuild_pdts`. Whatever may run without being waited for is logged as a warning. `QueryTaskRun` and `QueryRunner`
 * adopt; with `adopt`, `QueryTasks.createQueryTask` alone does the same as with `fail`.
 *
 * **Gotchas**
 *
 * A task of the same user for the same query, that another process started in the same seconds, cannot be told from the lost one. Looker does
 * not show `limit`, `apply_formatting` and `apply_vis` of a task, so no task is adopted where one of them is set.
 *
 * @category models
 * @since 0.2.0
 */
export type LostAnswer = "adopt" | "repeat" | "fail"

const lostAnswers: ReadonlyArray<LostAnswer> = ["adopt", "repeat", "fail"]

/**
 * The policy in force: {@link Options} with every default filled in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy {
  readonly retry: Schedule.Schedule<unknown, LookerError.HttpError>
  readonly retryAfterCap: Duration.Duration
  readonly rateLimit: RateLimit | undefined
  readonly concurrentSubmissions: number
  readonly lostAnswer: LostAnswer
  readonly poll: Schedule.Schedule<unknown, PollRound>
  readonly pollRequestsPerSecond: number
  readonly chunkSize: number
  readonly grace: Duration.Duration
  readonly recreateExpired: number
  readonly tokenLead: Duration.Duration
  readonly cleanupTimeout: Duration.Duration
}

/**
 * What can be set.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * When a failed request is sent again. Its input is the error. Only requests that are safe to repeat get here. Default:
   * {@link defaultRetry}.
   */
  readonly retry?: Schedule.Schedule<unknown, LookerError.HttpError>
  /** The longest pause for a server's `Retry-After`. Default: 60 seconds. */
  readonly retryAfterCap?: Duration.Input
  /**
   * Requests in a window of time that are known to be allowed. They go through the `RateLimiter` of `effect/persistence`, as a token
   * bucket under the base URL: the one a layer provides (with the Redis store, one allowance for many processes), or one in memory.
   * Default: none; the library finds the limit by itself.
   */
  readonly rateLimit?: { readonly limit: number; readonly window: Duration.Input }
  /** The most requests that create something at a time. Default: 48. */
  readonly concurrentSubmissions?: number
  /** What follows when `create_query_task` may have started a task whose id is lost. Default: `"adopt"`. */
  readonly lostAnswer?: LostAnswer
  /**
   * The pause between two polls of a task. It runs once for each group of tasks that came together. When it ends, waiting for them fails
   * with `PollingTimeout`. Default: {@link adaptivePoll} from `pollInterval` to `pollIntervalMax`.
   */
  readonly poll?: Schedule.Schedule<unknown, PollRound>
  /** The shortest pause of the default `poll`. Default: 100 milliseconds. */
  readonly pollInterval?: Duration.Input
  /** The longest pause of the default `poll`. Default: 5 seconds. */
  readonly pollIntervalMax?: Duration.Input
  /** The most polls in a second, however many tasks are due. Default: 25. */
  readonly pollRequestsPerSecond?: number
  /** Ids in one `multi_results` request, 1 to 250: 250 ids are an 8 kB request line, the usual limit. Default: 100. */
  readonly chunkSize?: number
  /**
   * How long `expired`, an id left out of a response, an unknown status word, or an outage is taken to be transient. Recorded `expired`
   * words turned into the true one within 2 seconds. Default: 30 seconds.
   */
  readonly grace?: Duration.Input
  /** How many more tasks `QueryRunner` starts for a query whose results expired before they were read. Default: 0. */
  readonly recreateExpired?: number
  /** How long before its end a token is renewed, but no more than a tenth of its lifetime. Default: 60 seconds. */
  readonly tokenLead?: Duration.Input
  /** The time a kill or a logout may take. Default: 5 seconds. */
  readonly cleanupTimeout?: Duration.Input
}

/**
 * Five retries: after 0.25 s, then twice as long each time, at most 10 s, with jitter.
 *
 * @category schedules
 * @since 0.1.0
 */
export const defaultRetry: Schedule.Schedule<unknown, LookerError.HttpError> = Schedule.exponential("250 millis").pipe(
  Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, Duration.seconds(10)))),
  Schedule.jittered,
  Schedule.setInputType<LookerError.HttpError>(),
  Schedule.while(({ attempt, input }) => attempt <= 5 && input.isRetryable)
)

/**
 * Makes a schedule wait at least as long as the server's `Retry-After`, up to `cap`. It gets no jitter.
 *
 * @category schedules
 * @since 0.1.0
 */
export const respectRetryAfter = <Output>(
  schedule: Schedule.Schedule<Output, LookerError.HttpError>,
  cap: Duration.Input
): Schedule.Schedule<Output, LookerError.HttpError> => {
  const most = Duration.fromInputUnsafe(cap)
  return Schedule.modifyDelay(schedule, ({ duration, input, now }) => {
    const asked = "retryAfter" in input && input.retryAfter ? Headers.retryAfterDelay(input.retryAfter, now) : undefined
    return Effect.succeed(asked === undefined ? duration : Duration.max(duration, Duration.min(asked, most)))
  })
}

const defaultPollMax = Duration.seconds(5)

/** The pause grows by a fifty-fifth of the age of a task: an old one rarely ends just now. */
const agePart = 55

/**
 * The default poll schedule: `from` and a fifty-fifth of the age of the tasks, at most `to`. With the defaults one task of ten minutes
 * costs about 280 requests.
 *
 * @category schedules
 * @since 0.1.0
 */
export const adaptivePoll = (options: {
  readonly from: Duration.Input
  readonly to: Duration.Input
}): Schedule.Schedule<unknown, PollRound> =>
  Schedule.forever.pipe(
    Schedule.setInputType<PollRound>(),
    Schedule.modifyDelay(({ input }) => {
      const pause = Duration.sum(Duration.fromInputUnsafe(options.from), Duration.divideUnsafe(input.age, agePart))
      return Effect.succeed(Duration.min(pause, Duration.fromInputUnsafe(options.to)))
    })
  )

const invalid = (message: string) => new LookerError.ConfigurationError({ message, missing: [] })

const pollIntervalsOf = (options: Options) => {
  const from = Duration.fromInputUnsafe(options.pollInterval ?? "100 millis")
  return { from, to: Duration.fromInputUnsafe(options.pollIntervalMax ?? Duration.max(from, defaultPollMax)) }
}

/**
 * The policy of options that are known to be valid, without its rate limit. The bundle of a program that sets no policy has neither a rate
 * limiter nor the checks.
 */
const fillIn = (options: Options): Policy => {
  const retryAfterCap = Duration.fromInputUnsafe(options.retryAfterCap ?? "60 seconds")
  return {
    retry: respectRetryAfter(options.retry ?? defaultRetry, retryAfterCap),
    retryAfterCap,
    rateLimit: undefined,
    concurrentSubmissions: options.concurrentSubmissions ?? 48,
    lostAnswer: options.lostAnswer ?? "adopt",
    poll: options.poll ?? adaptivePoll(pollIntervalsOf(options)),
    pollRequestsPerSecond: options.pollRequestsPerSecond ?? 25,
    chunkSize: options.chunkSize ?? 100,
    grace: Duration.fromInputUnsafe(options.grace ?? "30 seconds"),
    recreateExpired: options.recreateExpired ?? 0,
    tokenLead: Duration.fromInputUnsafe(options.tokenLead ?? "60 seconds"),
    cleanupTimeout: Duration.fromInputUnsafe(options.cleanupTimeout ?? "5 seconds")
  }
}

const checked = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Policy, LookerError.ConfigurationError> {
  const durations = [
    "pollInterval",
    "pollIntervalMax",
    "grace",
    "cleanupTimeout",
    "retryAfterCap",
    "tokenLead"
  ] as const
  for (const name of durations) {
    const value = options[name]
    const millis =
      value === undefined ? 1 : Option.match(Duration.fromInput(value), { onNone: () => -1, onSome: Duration.toMillis })
    if (!(millis > 0 || (millis === 0 && name === "tokenLead"))) {
      return yield* invalid(`${name} is ${String(value)}, and has to be a duration longer than zero`)
    }
  }
  const { from, to } = pollIntervalsOf(options)
  if (Duration.isLessThan(to, from)) {
    return yield* invalid(
      `pollIntervalMax is ${Duration.format(to)}, and has to be pollInterval (${Duration.format(from)}) or longer`
    )
  }
  for (const name of ["retry", "poll"] as const) {
    if (options[name] !== undefined && !Schedule.isSchedule(options[name])) {
      return yield* invalid(`${name} has to be a Schedule`)
    }
  }
  const policy = fillIn(options)
  const { chunkSize, concurrentSubmissions, lostAnswer, pollRequestsPerSecond, recreateExpired } = policy
  if (!Number.isInteger(chunkSize) || chunkSize < 1 || chunkSize > 250) {
    return yield* invalid(`chunkSize is ${chunkSize}, and has to be a whole number from 1 to 250 (what a URL holds)`)
  }
  if (!(typeof pollRequestsPerSecond === "number" && pollRequestsPerSecond > 0)) {
    return yield* invalid(`pollRequestsPerSecond is ${pollRequestsPerSecond}, and has to be a number more than zero`)
  }
  if (!Number.isInteger(concurrentSubmissions) || concurrentSubmissions < 1) {
    return yield* invalid(`concurrentSubmissions is ${concurrentSubmissions}, and has to be a whole number, 1 or more`)
  }
  if (!lostAnswers.includes(lostAnswer)) {
    return yield* invalid(`lostAnswer is ${String(lostAnswer)}, and has to be one of ${lostAnswers.join(", ")}`)
  }
  if (!Number.isInteger(recreateExpired) || recreateExpired < 0) {
    return yield* invalid(`recreateExpired is ${recreateExpired}, and has to be a whole number, 0 or more`)
  }
  return policy
})

const rateLimitOf = Effect.fnUntraced(function* ({
  limit,
  window: input
}: Required<Options>["rateLimit"]): Effect.fn.Return<RateLimit, LookerError.ConfigurationError> {
  const window = Option.getOrUndefined(Duration.fromInput(input))
  if (!(typeof limit === "number" && limit >= 1 && window !== undefined && Duration.toMillis(window) > 0)) {
    return yield* invalid(
      `rateLimit is ${limit} in ${String(input)}, and has to be 1 or more in a time longer than zero`
    )
  }
  return {
    limit,
    window,
    applyTo: Effect.fnUntraced(function* (httpClient, key) {
      const provided = yield* Effect.serviceOption(RateLimiter.RateLimiter)
      const limiter = Option.isSome(provided)
        ? provided.value
        : yield* RateLimiter.make.pipe(Effect.provide(RateLimiter.layerStoreMemory))
      // A 429 is left to the retry of the policy.
      const options = { limiter, key, algorithm: "token-bucket", times: 0, limit, window } as const
      return HttpClient.withRateLimiter(httpClient, options)
    })
  }
})

/**
 * Checks the options and fills in the defaults.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Policy, LookerError.ConfigurationError> {
  const policy = yield* checked(options)
  return options.rateLimit === undefined ? policy : { ...policy, rateLimit: yield* rateLimitOf(options.rateLimit) }
})

/**
 * The policy of every service. Without a layer it is the defaults.
 *
 * @category services
 * @since 0.1.0
 */
export const LookerPolicy = Context.Reference<Policy>("effect-looker/LookerPolicy", {
  defaultValue: () => fillIn({})
})

/**
 * A policy with some settings changed. Fails if a setting is not valid.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never, LookerError.ConfigurationError> =>
  Layer.effect(LookerPolicy, make(options))
