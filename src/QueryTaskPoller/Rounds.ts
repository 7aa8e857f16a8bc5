/**
 * When which tasks are asked about: groups that are due, as chunks of requests, within a budget.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Latch from "effect/Latch"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { elapsedMillis } from "../internal/elapsed.ts"
import * as LookerError from "../LookerError.ts"
import { LookerPolicy } from "../LookerPolicy.ts"
import { lastResponse } from "./Conclusion.ts"
import type { Entry, Group, Registry } from "./Registry.ts"
import type { Requests } from "./Requests.ts"

/** The shortest pause between two rounds of a group, in milliseconds, whatever its schedule says. */
const shortestPause = 10

/** Groups are due at multiples of at most this, in milliseconds, so that those due at about the same time share requests. */
const commonInterval = 100

/** A round spends the budget of this part of a second, so that many tasks are asked about little by little. */
const budgetOfRound = 0.1

/** What one round asks. */
export interface Round {
  /** The groups that were asked about, and need a new due time. */
  readonly groups: ReadonlyArray<Group>
  /** The tasks of each request. */
  readonly chunks: ReadonlyArray<ReadonlyArray<Entry>>
}

/**
 * The tasks of the groups that are due, as far as the round may go, and tasks of other groups as long as the last request has room for
 * them.
 */
export const gather = (
  groups: Iterable<Group>,
  now: number,
  limits: { readonly chunkSize: number; readonly requests: number }
): Round => {
  const planned: Array<Group> = []
  const shared: Array<Entry> = []
  const separate: Array<ReadonlyArray<Entry>> = []
  const requests = () => Math.ceil(shared.length / limits.chunkSize) + separate.length
  const room = () => Math.ceil(shared.length / limits.chunkSize) * limits.chunkSize - shared.length
  for (const group of [...groups].sort((one, other) => one.due - other.due)) {
    if (room() === 0 && (group.due > now || requests() >= limits.requests)) break
    const entries = group.scheduleEnded ? [] : [...group.entries].filter((entry) => entry.request === undefined)
    const isDue = group.due <= now && (requests() < limits.requests || (!group.separate && entries.length <= room()))
    if (isDue) planned.push(group)
    if (!group.separate) shared.push(...(isDue ? entries : entries.slice(0, room())))
    else if (isDue && entries.length > 0) separate.push(entries)
  }
  return { groups: planned, chunks: [...Arr.chunksOf(shared, limits.chunkSize), ...separate] }
}

/** Asks about all tasks of the registry, again and again, and never ends. `wake` opens when there may be more to ask. */
export const run = Effect.fnUntraced(function* (registry: Registry, requests: Requests, wake: Latch.Latch) {
  const policy = yield* LookerPolicy
  const clock = yield* Clock.Clock
  const limits = {
    chunkSize: policy.chunkSize,
    requests: Math.max(1, Math.floor(policy.pollRequestsPerSecond * budgetOfRound))
  }

  /** The schedule of a group has ended, and so does the wait for those of its tasks that no request is about. */
  const endSchedule = (group: Group, now: number) => {
    group.scheduleEnded = true
    group.due = now + commonInterval
    for (const entry of [...group.entries]) {
      if (entry.request !== undefined) continue
      const message = `The poll schedule of LookerPolicy ended before the task did; ${lastResponse(entry.last)}`
      registry.end(entry, Effect.fail(new LookerError.PollingTimeout({ message, taskId: entry.taskId })))
    }
  }

  /** Sets when a group is due next. */
  const plan = (group: Group, now: number): Effect.Effect<void> =>
    Effect.gen(function* () {
      if (group.scheduleEnded) return endSchedule(group, now)
      group.schedule ??= yield* Schedule.toStep(policy.poll)
      const round = { age: Duration.millis(now - group.since), waiting: registry.size }
      const [, duration] = yield* group.schedule(clock.currentTimeMillisUnsafe(), round)
      const pause = Math.max(Duration.toMillis(duration), shortestPause)
      const interval = Math.min(pause, commonInterval)
      group.due = Math.round((now + pause) / interval) * interval
    }).pipe(
      Pull.catchDone(() => Effect.sync(() => endSchedule(group, now))),
      // After a defect of the schedule nothing would end these entries.
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause)
          : registry.endAll(group.entries, Effect.failCause(cause))
      )
    )

  /** Sends what is due, and gives the time before which the budget allows no further round. */
  const round = Effect.fnUntraced(function* (now: number) {
    registry.startRound()
    const { chunks, groups } = gather(registry.groups, now, limits)
    for (const chunk of chunks) yield* requests.send(chunk)
    for (const group of groups) {
      group.asked = true
      yield* plan(group, now)
    }
    return Math.ceil(now + (chunks.length / policy.pollRequestsPerSecond) * 1000)
  })

  let notBefore = 0
  while (true) {
    wake.closeUnsafe()
    if (registry.groups.size === 0) {
      yield* wake.await
      continue
    }
    const now = elapsedMillis(clock)
    yield* requests.splitUnresponsive(now)
    for (const group of registry.takeUnplanned()) yield* plan(group, now)
    const sufficientUntil = requests.sufficientUntil(now)
    let at = Number.POSITIVE_INFINITY
    for (const { asked, due } of registry.groups) at = Math.min(at, asked ? Math.max(due, sufficientUntil) : due)
    at = Math.max(at, notBefore)
    if (at > now) yield* Effect.raceFirst(Effect.sleep(Math.ceil(at - now)), wake.await)
    else notBefore = yield* round(now)
  }
})
