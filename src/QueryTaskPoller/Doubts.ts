/**
 * What follows from an error of a request about several tasks, and from a request to which nothing comes: one of the tasks may be the reason, so
 * that the request is divided until that one is alone.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Latch from "effect/Latch"
import * as Endpoint from "../api/Endpoint.ts"
import * as LookerApi from "../api/LookerApi.ts"
import * as LookerError from "../LookerError.ts"
import * as Conclusion from "./Conclusion.ts"
import type { Entry, PollRequest, Registry } from "./Registry.ts"

/**
 * Into how many requests one is divided whose error lasts, or to which nothing comes: so that the one task that is the reason is soon alone. An id
 * that is refused is found in halves, with the fewest requests.
 */
const parts = 8
const halves = 2

export const make = (options: {
  readonly registry: Registry
  readonly wake: Latch.Latch
  readonly graceMillis: number
  /** The elapsed time in milliseconds. */
  readonly now: () => number
  /** Gives back the permit of a request. */
  readonly release: (request: PollRequest) => Effect.Effect<void>
}) => {
  const { graceMillis, now, registry, release, wake } = options
  /** Sent requests about several tasks, and those of them that were divided. */
  const underWay = new Set<PollRequest>()
  const divided = new Set<PollRequest>()

  const failed = (request: PollRequest, error: LookerError.ReadError): void => {
    const entries = [...request.entries].filter((entry) => entry.request === request)
    if (request.asks > 1 && Conclusion.isAboutTasks(error)) doubt(request, entries, error)
    else for (const entry of entries) registry.conclude(entry, Conclusion.fromError(error))
  }

  /** An error about several tasks ends the wait for none of them. */
  const doubt = (
    { waitingSince = now() }: PollRequest,
    entries: ReadonlyArray<Entry>,
    error: Conclusion.WaitError
  ): void => {
    for (const entry of entries) registry.doubt(entry, error, waitingSince)
    if (Conclusion.isRefusal(error)) registry.split(entries, halves)
    else if (entries.some((entry) => Conclusion.isLasting(registry.doubtful(entry), graceMillis))) {
      registry.split(entries, parts)
    } else return
    wake.openUnsafe()
  }

  const isNeeded = (request: PollRequest): boolean =>
    [...request.entries].some((entry) => entry.waiters > 0 && (entry.request === request || divided.has(request)))

  const interrupt = ({ fiber }: PollRequest): Effect.Effect<void> =>
    fiber === undefined ? Effect.void : Fiber.interrupt(fiber)

  /** Interrupts those of these requests, and of the divided ones, whose response no task needs. */
  const interruptUnneeded = (request: PollRequest | undefined): Effect.Effect<void> => {
    if (request === undefined && divided.size === 0) return Effect.void
    const requests = request === undefined ? [...divided] : [request, ...divided]
    return Effect.forEach(
      requests.filter((one) => !isNeeded(one)),
      interrupt,
      { discard: true }
    )
  }

  const splitUnresponsive = (at: number): Effect.Effect<void> =>
    Effect.forEach(
      underWay,
      (request): Effect.Effect<void> => {
        const waited = request.waitingSince === undefined ? 0 : at - request.waitingSince
        if (!Conclusion.isLasting(waited, graceMillis)) return Effect.void
        if (divided.has(request)) return waited >= graceMillis ? interrupt(request) : Effect.void
        const entries = [...request.entries].filter((entry) => entry.request === request)
        for (const entry of entries) entry.request = undefined
        divided.add(request)
        doubt(request, entries, noResponseWithin(waited))
        return release(request)
      },
      { discard: true }
    )

  /** A request about several tasks was sent. */
  const watch = (request: PollRequest): void => void underWay.add(request)

  const unwatch = (request: PollRequest): void => {
    underWay.delete(request)
    divided.delete(request)
  }

  return { doubt, failed, interruptUnneeded, splitUnresponsive, unwatch, watch }
}

export type Doubts = ReturnType<typeof make>

const noResponseWithin = (millis: number) =>
  new LookerError.LookerUnavailable({
    message: `No response within ${Math.round(millis / 1000)} s`,
    endpoint: Endpoint.requestLine(LookerApi.queryTaskMultiResults),
    reached: "maybe"
  })
