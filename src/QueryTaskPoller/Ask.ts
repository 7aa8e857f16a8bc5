/**
 * Asks about the tasks of one request, and hands over what its response says about each as it arrives.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TaskState from "../domain/TaskState.ts"
import { elapsedMillis } from "../internal/elapsed.ts"
import { resultsEndpoint } from "../internal/httpError.ts"
import * as LookerError from "../LookerError.ts"
import type { MultiResultsPart, QueryTasks } from "../QueryTasks.ts"
import * as ResultRows from "../ResultRows.ts"
import * as Conclusion from "./Conclusion.ts"
import type { Doubts } from "./Doubts.ts"
import type { Entry, PollRequest, Registry } from "./Registry.ts"

/** What is known of requests that wait to be sent. */
export interface Sending {
  /** The one about entries of shared groups that others may join. */
  unsent: PollRequest | undefined
  /** `QueryTasks` has shown that it says when a request is sent. */
  isSeen: boolean
}

export const make = (options: {
  readonly tasks: QueryTasks["Service"]
  readonly registry: Registry
  readonly doubts: Doubts
  readonly sending: Sending
  readonly wake: Latch.Latch
  readonly clock: Clock.Clock
  readonly responseBegan: (request: PollRequest) => void
}) => {
  const { clock, doubts, registry, responseBegan, sending, tasks, wake } = options

  /** The response has said something about the entry: it may be asked about again, though others still wait for the rest. */
  const received = (request: PollRequest, entry: Entry, state: TaskState.TaskState): void => {
    request.entries.delete(entry)
    const other = entry.request
    if (other === request) entry.request = undefined
    else if (other !== undefined && sending.isSeen && other.waitingSince === undefined) {
      // Nothing of this response arrived for long, so another request waits to be sent about the task, which is not needed any more.
      other.entries.delete(entry)
      entry.request = undefined
    }
    registry.rejoin(entry)
    registry.conclude(entry, Conclusion.fromState(entry.taskId, state))
  }

  const askStatus = (request: PollRequest, [entry]: ReadonlyArray<Entry>) =>
    entry === undefined
      ? Effect.void
      : tasks.queryTask(entry.taskId, { fields: "id,status" }).pipe(
          Effect.flatMap(({ status }) => {
            const state = TaskState.fromEntry({ status })
            return state._tag === "Failed" ? stateOfFailed(tasks, entry.taskId) : Effect.succeed(state)
          }),
          Effect.map((state) => received(request, entry, state))
        )

  const askRows = (request: PollRequest, entries: ReadonlyArray<Entry>) => {
    const byId = new Map(entries.map((entry) => [entry.taskId, entry]))
    const onSend = () => {
      sending.isSeen = true
      if (sending.unsent === request) sending.unsent = undefined
      for (const entry of request.entries) byId.set(entry.taskId, entry)
      request.asks = byId.size
      request.waitingSince ??= elapsedMillis(clock)
      if (request.asks > 1) doubts.watch(request)
      return [...byId.keys()]
    }
    const onRefused = () => {
      request.waitingSince = undefined
    }
    const receivePart = (part: MultiResultsPart) => {
      const entry = byId.get(part.taskId)
      if (entry === undefined) return
      if (part._tag === "Entry") return received(request, entry, TaskState.fromEntry(part.entry))
      doubts.unwatch(request)
      // The tasks behind a large entry would wait for all of it: they are asked about again.
      for (const other of request.entries) {
        if (other === entry || other.request !== request) continue
        other.request = undefined
        other.group.due = Math.min(other.group.due, elapsedMillis(clock))
      }
      wake.openUnsafe()
    }
    return tasks.queryTaskMultiResultsStream([...byId.keys()], { onRefused, onSend }).pipe(
      Stream.runForEachArray((parts) =>
        Effect.sync(() => {
          if (request.waitingSince !== undefined) request.waitingSince = elapsedMillis(clock)
          parts.forEach(receivePart)
          responseBegan(request)
        })
      ),
      Effect.andThen(
        Effect.sync(() => {
          for (const entry of [...request.entries]) {
            if (!byId.has(entry.taskId) || entry.request !== request) continue
            const absence = Conclusion.fromAbsence(entry.taskId)
            if (request.asks > 1) doubts.doubt(request, [entry], absence.error)
            else registry.conclude(entry, absence)
          }
        })
      )
    )
  }

  return (request: PollRequest, entries: ReadonlyArray<Entry>): Effect.Effect<void, LookerError.ReadError> =>
    entries[0]?.statusOnly === true ? askStatus(request, entries) : askRows(request, entries)
}

/** Why a task failed of which only the status is known: its result says it, and may have nothing but warnings. */
const stateOfFailed = (
  tasks: QueryTasks["Service"],
  taskId: string
): Effect.Effect<TaskState.TaskState, LookerError.ReadError> => {
  const withoutReason = Effect.succeed(TaskState.fromBody(undefined, true))
  return tasks.queryTaskResults(taskId).pipe(
    Effect.flatMap((body) => (Option.isNone(body) ? withoutReason : ResultRows.stateOfFailed(body.value, taskId))),
    Effect.catchTags({
      // For every format but json_detail the response is 400 with the reason.
      BadRequest: ({ message }) => Effect.succeed(TaskState.fromBody(message, true)),
      NotFound: () => withoutReason,
      TruncatedResult: ({ message }) =>
        Effect.fail(new LookerError.UnexpectedResponse({ message, endpoint: resultsEndpoint(taskId) }))
    })
  )
}
