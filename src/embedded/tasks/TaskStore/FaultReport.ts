/**
 * What the faults of a task report in place of the truth.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { TaskFault, Until } from "../../faults/Fault.ts"
import type { Entry } from "./TaskEntries.ts"

/** The first fault that has not ended. A fault lasts for a time after `since`, for a number of polls, or forever. */
const active = <F extends Extract<TaskFault, { readonly until: Until }>>(
  { polls }: Entry,
  faults: ReadonlyArray<F>,
  since: number,
  now: number,
  isPoll: boolean
): F | undefined => {
  const fault = faults.find((fault) => {
    const { for: time, polls: mostPolls } = fault.until
    return (
      (time === undefined || now < since + Duration.toMillis(Duration.fromInputUnsafe(time))) &&
      (mostPolls === undefined || (polls.get(fault) ?? 0) < mostPolls)
    )
  })
  if (isPoll && fault !== undefined) polls.set(fault, (polls.get(fault) ?? 0) + 1)
  return fault
}

/**
 * The status that a fault reports for a task that has ended.
 *
 * @category getters
 * @since 0.1.0
 */
export const statusOverride = (entry: Entry, now: number, isPoll: boolean): string | undefined => {
  const { state } = entry.task
  if (state.status === "added" || state.status === "running" || state.status === "expired") return undefined
  const faults = entry.faults.filter((fault) => fault._tag === "Shown")
  return active(entry, faults, state.endedAt, now, isPoll)?.status
}

/**
 * Whether a fault omits the task from `multi_results`.
 *
 * @category getters
 * @since 0.1.0
 */
export const isLeftOut = (entry: Entry, now: number, isPoll: boolean): boolean => {
  const faults = entry.faults.filter((fault) => fault._tag === "LeftOut")
  return active(entry, faults, entry.task.createdAt, now, isPoll) !== undefined
}
