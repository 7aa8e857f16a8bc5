/**
 * All timing of the library, as Schedules and durations that a caller can replace. Nothing else mentions a delay.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as LookerError from "./LookerError.ts"

/**
 * What the poll schedule is told before each pause: how many tasks wait, how many requests the next round costs, and the time
 * since the youngest of them was asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface PollRound {
  readonly waiting: number
  readonly requests: number
  readonly age: Duration.Duration
}

/**
 * The policy in force.
 *
 * **Details**
 *
 * - `retry`: when a failed request is sent again; its input is the error. Only what is safe to repeat ever gets here
 * - `repeatCreateQueryTask`: send `create_query_task` again even if the first one may have started a task (default no)
 * - `poll`: the pause between two rounds of `multi_results`; when this schedule ends, waiting ends with `PollingTimeout`
 * - `chunkSize`: ids in one `multi_results` request
 * - `grace`: how long `expired`, an id left out of an answer, or an unknown status word is taken for passing
 * - `tokenLead`: how long before its end a token is renewed, but never more than a tenth of its life
 * - `cleanupTimeout`: the time a kill or a logout may take
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy {
  readonly retry: Schedule.Schedule<unknown, LookerError.HttpError>
  readonly repeatCreateQueryTask: boolean
  readonly poll: Schedule.Schedule<unknown, PollRound>
  readonly chunkSize: number
  readonly grace: Duration.Duration
  readonly tokenLead: Duration.Duration
  readonly cleanupTimeout: Duration.Duration
}

/**
 * What can be set, each with its default:
 *
 * - `retry`: {@link defaultRetry}; `retryAfterCap`: `"60 seconds"`, the most that a server's `Retry-After` is obeyed
 * - `repeatCreateQueryTask`: `false`
 * - `poll`: {@link adaptivePoll} of `pollInterval` (`"100 millis"`), `pollIntervalMax` (`"5 seconds"`) and
 *   `pollRequestsPerSecond` (`10`)
 * - `chunkSize`: `100` (1 to 250: 250 ids are an 8 kB request line, the usual limit)
 * - `grace`: `"30 seconds"`; recorded `expired` words turned into the true one within 2
 * - `tokenLead`: `"60 seconds"`
 * - `cleanupTimeout`: `"5 seconds"`
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly retry?: Schedule.Schedule<unknown, LookerError.HttpError>
  readonly retryAfterCap?: Duration.Input
  readonly repeatCreateQueryTask?: boolean
  readonly poll?: Schedule.Schedule<unknown, PollRound>
  readonly pollInterval?: Duration.Input
  readonly pollIntervalMax?: Duration.Input
  readonly pollRequestsPerSecond?: number
  readonly chunkSize?: number
  readonly grace?: Duration.Input
  readonly tokenLead?: Duration.Input
  readonly cleanupTimeout?: Duration.Input
}

/**
 * Five more tries: after 0.25 s, then twice as long each time, at most 10 s, with jitter.
 *
 * @category schedules
 * @since 0.1.0
 */
export const defaultRetry: Schedule.Schedule<unknown, LookerError.HttpError> = Schedule.min([
  Schedule.exponential("250 millis"),
  Schedule.spaced("10 seconds")
]).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 5 }),
  Schedule.setInputType<LookerError.HttpError>(),
  Schedule.while(({ input }) => input.isRetryable)
)

/**
 * Makes a schedule wait at least as long as the server asked for, up to `cap`. The wish is a floor and gets no jitter.
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
    const wish = "retryAfter" in input && input.retryAfter ? Headers.retryAfterDelay(input.retryAfter, now) : undefined
    return Effect.succeed(wish === undefined ? duration : Duration.max(duration, Duration.min(wish, most)))
  })
}

/** A task is asked about again after this part of its age: an old one rarely ends just now. */
const agePart = 20

/**
 * The default poll schedule: a twentieth of the age of the youngest task, at least `from`, at most `to`, and never faster than
 * `requestsPerSecond` over all chunks of a round.
 *
 * **Details**
 *
 * One task of ten minutes costs about 210 requests with the defaults; a thousand tasks at once wait one second per round.
 *
 * @category schedules
 * @since 0.1.0
 */
export const adaptivePoll = (options: {
  readonly from: Duration.Input
  readonly to: Duration.Input
  readonly requestsPerSecond: number
}): Schedule.Schedule<unknown, PollRound> =>
  Schedule.forever.pipe(
    Schedule.setInputType<PollRound>(),
    Schedule.modifyDelay(({ input }) => {
      const byAge = Duration.clamp(Duration.divideUnsafe(input.age, agePart), {
        minimum: Duration.fromInputUnsafe(options.from),
        maximum: Duration.fromInputUnsafe(options.to)
      })
      return Effect.succeed(Duration.max(byAge, Duration.seconds(input.requests / options.requestsPerSecond)))
    })
  )

/**
 * Checks the options and fills in the defaults.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Policy, LookerError.ConfigurationError> {
  const refuse = (message: string) => new LookerError.ConfigurationError({ message, missing: [] })
  for (const name of ["pollInterval", "pollIntervalMax", "grace", "cleanupTimeout", "retryAfterCap"] as const) {
    const value = options[name]
    if (value !== undefined && !(Duration.toMillis(Duration.fromInputUnsafe(value)) > 0)) {
      return yield* refuse(
        `${name} has to be longer than zero: without a pause the library would never let go of the CPU`
      )
    }
  }
  const chunkSize = options.chunkSize ?? 100
  if (!Number.isInteger(chunkSize) || chunkSize < 1 || chunkSize > 250) {
    return yield* refuse(`chunkSize is ${chunkSize}, and has to be a whole number from 1 to 250 (what a URL holds)`)
  }
  const requestsPerSecond = options.pollRequestsPerSecond ?? 10
  if (!(requestsPerSecond > 0)) {
    return yield* refuse(`pollRequestsPerSecond is ${requestsPerSecond}, and has to be more than zero`)
  }
  return {
    retry: respectRetryAfter(options.retry ?? defaultRetry, options.retryAfterCap ?? "60 seconds"),
    repeatCreateQueryTask: options.repeatCreateQueryTask ?? false,
    poll:
      options.poll ??
      adaptivePoll({
        from: options.pollInterval ?? "100 millis",
        to: options.pollIntervalMax ?? "5 seconds",
        requestsPerSecond
      }),
    chunkSize,
    grace: Duration.fromInputUnsafe(options.grace ?? "30 seconds"),
    tokenLead: Duration.fromInputUnsafe(options.tokenLead ?? "60 seconds"),
    cleanupTimeout: Duration.fromInputUnsafe(options.cleanupTimeout ?? "5 seconds")
  }
})

/**
 * The policy every service reads. Without a layer the defaults apply.
 *
 * @category services
 * @since 0.1.0
 */
export const LookerPolicy = Context.Reference<Policy>("effect-looker/LookerPolicy", {
  defaultValue: () => Effect.runSync(make())
})

/**
 * A policy with some settings changed; fails when a setting makes no sense.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never, LookerError.ConfigurationError> =>
  Layer.effect(LookerPolicy, make(options))
