/**
 * The tasks that are kept, each with what belongs to it, and when they expire.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { TooManyRequests } from "../../../LookerError.ts"
import type { DuckDb } from "../../database/DuckDb.ts"
import type { TaskFault } from "../../faults/Fault.ts"
import { release, retain, type StoredResult } from "../StoredResult.ts"
import type { Task, TaskStatus } from "../Task.ts"

/** The most tasks that are kept. */
const mostTasks = 10_000

/**
 * `polls` counts for each fault the polls that have seen it. `fiber` runs the task.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  task: Task
  readonly faults: ReadonlyArray<TaskFault>
  readonly polls: Map<TaskFault, number>
  fiber: Fiber.Fiber<void> | undefined
  stored: StoredResult | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface TaskEntries {
  get(id: string): Entry | undefined
  /** Adds a task, after {@link TaskEntries.makeRoom}. */
  add(entry: Entry): void
  /** All entries in the order of their creation. */
  values(): ReadonlyArray<Entry>
  /** Sets the state of a task. A task that has ended expires a result life later. */
  setState(entry: Entry, state: TaskStatus, now: number): void
  /** Ends a task with a result. */
  complete(
    entry: Entry,
    stored: StoredResult,
    source: "query" | "cache",
    warnings: ReadonlyArray<string>,
    now: number
  ): void
  /** Removes a task a result life from now, also if it has not ended. */
  expireLater(entry: Entry, now: number): void
  releaseResult(entry: Entry): Effect.Effect<void>
  removeExpired(now: number): Effect.Effect<void>
  /** Removes the task that ended first, if there are too many. */
  readonly makeRoom: Effect.Effect<void, TooManyRequests>
  /** Removes all tasks, and returns them. */
  removeAll(): ReadonlyArray<Entry>
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (database: DuckDb["Service"], resultLife: Duration.Duration): TaskEntries => {
  const life = Duration.toMillis(resultLife)
  const entries = new Map<string, Entry>()
  /** When each task loses its rows, or is removed. The tasks that ended first come first. */
  const expiries = new Map<string, number>()
  let nextExpiry = Number.POSITIVE_INFINITY

  const expireAt = (id: string, time: number) => {
    expiries.set(id, time)
    nextExpiry = Math.min(nextExpiry, time)
  }

  const releaseResult = (entry: Entry) =>
    Effect.suspend(() => {
      const { stored } = entry
      entry.stored = undefined
      return stored === undefined ? Effect.void : release(database, stored)
    })

  const remove = (id: string) =>
    Effect.suspend(() => {
      const entry = entries.get(id)
      expiries.delete(id)
      entries.delete(id)
      return entry === undefined ? Effect.void : releaseResult(entry)
    })

  const setState: TaskEntries["setState"] = (entry, state, now) => {
    const { id } = entry.task
    entry.task = { ...entry.task, state }
    if (state.status !== "running" && entries.has(id)) expireAt(id, now + life)
  }

  const removeExpired = Effect.fnUntraced(function* (now: number) {
    if (now < nextExpiry) return
    nextExpiry = Number.POSITIVE_INFINITY
    for (const [id, time] of expiries) {
      if (time > now) {
        nextExpiry = Math.min(nextExpiry, time)
        continue
      }
      const entry = entries.get(id)
      const state = entry?.task.state
      const hasRows = state?.status === "complete" || state?.status === "error"
      if (entry === undefined || !hasRows || time + life <= now) {
        yield* remove(id)
        continue
      }
      const { endedAt, startedAt } = state
      entry.task = { ...entry.task, state: { status: "expired", startedAt, endedAt } }
      expireAt(id, time + life)
      yield* releaseResult(entry)
    }
  })

  const makeRoom = Effect.suspend(() => {
    if (entries.size < mostTasks) return Effect.void
    const [oldest] = expiries.keys()
    if (oldest !== undefined) return remove(oldest)
    const message = `${mostTasks} tasks wait or run already, which is the most the embedded Looker takes.`
    return Effect.fail(new TooManyRequests({ message }))
  })

  return {
    get: (id) => entries.get(id),
    add: (entry) => void entries.set(entry.task.id, entry),
    values: () => [...entries.values()],
    setState,
    complete: (entry, stored, source, warnings, now) => {
      const { endedAt, result, startedAt } = stored
      entry.stored = stored
      retain(stored)
      setState(entry, { status: "complete", startedAt, endedAt, result, source, warnings }, now)
    },
    expireLater: (entry, now) => expireAt(entry.task.id, now + life),
    releaseResult,
    removeExpired,
    makeRoom,
    removeAll: () => {
      const all = [...entries.values()]
      entries.clear()
      expiries.clear()
      return all
    }
  }
}
