/**
 * POLLING: many fibers wait for query tasks, few requests go out.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { SqlError } from "./domain/SqlError.ts"
import * as TaskState from "./domain/TaskState.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy, type PollRound } from "./LookerPolicy.ts"
import { type MultiResultsPart, QueryTasks } from "./QueryTasks.ts"

/**
 * A task that ended well: `data` is the result as `multi_results` carries it (parsed), `warnings` what Looker remarked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finished {
  readonly taskId: string
  readonly data: unknown
  readonly warnings: ReadonlyArray<SqlError>
}

/**
 * How to wait.
 *
 * @category models
 * @since 0.1.0
 */
export interface WaitOptions {
  /** Ends the waiting with `PollingTimeout`, not the task. Default: none. */
  readonly timeout?: Duration.Input | undefined
  /**
   * Asks `query_task?fields=id,status`, one request for each task, so that no rows come along; `data` is then absent. For a result that is
   * too large to be part of a shared answer. Default: no.
   */
  readonly statusOnly?: boolean | undefined
}

/**
 * What waiting can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type WaitError = LookerError.ReadError | Exclude<LookerError.TaskError, LookerError.TruncatedResult>

/**
 * Waits for tasks.
 *
 * **Details**
 *
 * All waiting fibers share rounds of `multi_results`, at most `LookerPolicy.chunkSize` ids in one request; fibers that wait for the
 * same task share one entry. A result is handed over when its part of the answer is there: one large result holds up nobody. A fiber
 * that is interrupted leaves the rounds at once. While nobody waits nothing is sent.
 *
 * @category services
 * @since 0.1.0
 */
export class QueryTaskPoller extends Context.Service<
  QueryTaskPoller,
  {
    /** Succeeds when the task has ended well. */
    wait(taskId: string, options?: WaitOptions): Effect.Effect<Finished, WaitError>
    /** Looker's status words as they change; ends with the task, and fails as `wait` does. */
    observe(taskId: string, options?: Pick<WaitOptions, "statusOnly">): Stream.Stream<string, WaitError>
  }
>()("effect-looker/QueryTaskPoller") {}

/** One task that somebody waits for. */
interface Entry {
  readonly taskId: string
  readonly statusOnly: boolean
  readonly group: Group
  readonly ended: Deferred.Deferred<Finished, WaitError>
  observers: Set<(status: string) => void> | undefined
  waiters: number
  status: string | undefined
  /** Since when Looker has said nothing about the task that can be believed. */
  puzzlingSince: number | undefined
  /** The fiber that reads a large part of an answer, which will tell: there is no use in asking again. */
  arriving: Fiber.Fiber<unknown, unknown> | undefined
}

/** Tasks that came together, and are asked about together from then on. */
interface Group {
  /** Times are whole milliseconds: a timer has no less, and would wake too early for the rest. */
  readonly since: number
  readonly entries: Set<Entry>
  schedule: ((now: number, round: PollRound) => Pull.Pull<[unknown, Duration.Duration], never, unknown>) | undefined
  due: number
}

/** No schedule makes the poller spin. */
const shortestPause = 10

/** Status words an observer may fall behind. */
const statusesKept = 16

/** Requests of one round that are under way at a time. */
const concurrentRequests = 8

/** A round spends the budget of this part of a second, so that many tasks are asked about bit by bit. */
const budgetOfRound = 0.1

/**
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<QueryTaskPoller["Service"], never, QueryTasks | Scope.Scope> = Effect.gen(
  function* () {
    const tasks = yield* QueryTasks
    const policy = yield* LookerPolicy
    const clock = yield* Clock.Clock
    const scope = yield* Effect.scope
    const arrivals = yield* Latch.make()
    const graceMillis = Duration.toMillis(policy.grace)

    const requestsInRound = Math.max(1, Math.floor(policy.pollRequestsPerSecond * budgetOfRound))

    const groups = new Set<Group>()
    const withRows = new Map<string, Entry>()
    const withStatus = new Map<string, Entry>()
    /** The group that takes newcomers: they go together until it is a whole request, or has been asked about. */
    let forming: Group | undefined
    /** Groups whose schedule has yet to say when they are due. */
    let unplanned: Array<Group> = []

    const registryOf = ({ statusOnly }: { readonly statusOnly: boolean }) => (statusOnly ? withStatus : withRows)

    const remove = (entry: Entry) => {
      const registry = registryOf(entry)
      if (registry.get(entry.taskId) === entry) registry.delete(entry.taskId)
      entry.group.entries.delete(entry)
      if (entry.group.entries.size > 0) return
      groups.delete(entry.group)
      if (forming === entry.group) forming = undefined
    }

    const end = (entry: Entry, exit: Effect.Effect<Finished, WaitError>) => {
      remove(entry)
      Deferred.doneUnsafe(entry.ended, exit)
    }

    const endAll = (entries: Iterable<Entry>, exit: Effect.Effect<Finished, WaitError>) =>
      Effect.sync(() => {
        for (const entry of [...entries]) end(entry, exit)
      })

    const show = (entry: Entry, status: string) => {
      if (status === entry.status) return
      entry.status = status
      for (const observer of entry.observers ?? []) observer(status)
    }

    /** A puzzling answer is believed only when it has been given for the whole grace period. */
    const puzzled = (entry: Entry, error: WaitError) => {
      const now = clock.currentTimeMillisUnsafe()
      entry.puzzlingSince ??= now
      if (now - entry.puzzlingSince >= graceMillis) end(entry, Effect.fail(error))
    }

    const receive = (entry: Entry, state: TaskState.TaskState): void => {
      const { taskId } = entry
      switch (state._tag) {
        case "Pending": {
          entry.puzzlingSince = undefined
          show(entry, state.status)
          break
        }
        case "Complete": {
          show(entry, "complete")
          end(entry, Effect.succeed({ taskId, data: state.data, warnings: state.warnings }))
          break
        }
        case "Failed": {
          show(entry, "error")
          end(entry, Effect.fail(LookerError.queryFailed(taskId, state.errors, state.sql)))
          break
        }
        case "Killed": {
          show(entry, "killed")
          end(entry, Effect.fail(new LookerError.QueryKilled({ message: "The query was killed", taskId })))
          break
        }
        case "Missing": {
          show(entry, "missing")
          const message = "Looker has no such task, or it is not yours"
          end(entry, Effect.fail(new LookerError.TaskMissing({ message, taskId })))
          break
        }
        case "Expired": {
          show(entry, "expired")
          const message = "The results of the task have expired: run the query again"
          puzzled(entry, new LookerError.ResultsExpired({ message, taskId }))
          break
        }
        case "Unrecognised": {
          const { status } = state
          show(entry, status)
          const message = `Looker gives the task a status this library does not know: "${status}"`
          puzzled(entry, new LookerError.UnknownTaskStatus({ message, taskId, status }))
          break
        }
      }
    }

    /** A request failed after its retries. What time may heal is puzzling; the rest ends the waiting. */
    const failed = (entries: Iterable<Entry>, error: LookerError.ReadError) =>
      error.isRetryable
        ? Effect.sync(() => {
            for (const entry of [...entries]) puzzled(entry, error)
          })
        : endAll(entries, Effect.fail(error))

    /** A defect must not leave anybody waiting for ever. */
    const orDefect = (entries: Iterable<Entry>) =>
      Effect.catchCause((cause: Cause.Cause<never>) =>
        Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : endAll(entries, Effect.failCause(cause))
      )

    const askStatus = (entry: Entry): Effect.Effect<void> =>
      tasks.queryTask(entry.taskId, { fields: "id,status" }).pipe(
        Effect.map(({ status }) => receive(entry, TaskState.fromEntry({ status }))),
        Effect.catch((error) => failed([entry], error)),
        orDefect([entry])
      )

    /** Reads one answer to its end. `released` is called once the ids that are still unseen may be asked about again. */
    const readAnswer = (entries: ReadonlyArray<Entry>, released: Effect.Effect<unknown>): Effect.Effect<void> =>
      Effect.withFiber((fiber) => {
        const unseen = new Map(entries.map((entry) => [entry.taskId, entry]))
        const receivePart = (part: MultiResultsPart): boolean => {
          const entry = unseen.get(part.taskId)
          if (entry === undefined) return false
          if (part._tag === "Large") {
            entry.arriving = fiber
            return true
          }
          unseen.delete(part.taskId)
          entry.arriving = undefined
          receive(entry, TaskState.fromEntry(part.entry))
          return false
        }
        return tasks.queryTaskMultiResultsStream(entries.map((entry) => entry.taskId)).pipe(
          Stream.runForEachArray((parts) =>
            parts.map(receivePart).includes(true) ? Effect.asVoid(released) : Effect.void
          ),
          Effect.andThen(
            Effect.sync(() => {
              for (const entry of [...unseen.values()]) {
                const message = "Looker leaves the task out of its answers"
                puzzled(entry, new LookerError.TaskMissing({ message, taskId: entry.taskId }))
              }
            })
          ),
          Effect.catch((error) => {
            // A request refused as a whole is split, so that one bad id fails alone.
            if (entries.length > 1 && (error._tag === "NotFound" || error._tag === "BadRequest")) {
              const middle = Math.ceil(entries.length / 2)
              return Effect.andThen(
                readAnswer(entries.slice(0, middle), Effect.void),
                readAnswer(entries.slice(middle), Effect.void)
              )
            }
            return failed(unseen.values(), error)
          }),
          orDefect(entries),
          Effect.ensuring(
            Effect.sync(() => {
              for (const entry of unseen.values()) if (entry.arriving === fiber) entry.arriving = undefined
            })
          )
        )
      })

    const askRows = Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
      const released = yield* Deferred.make<void>()
      const release = Deferred.succeed(released, undefined)
      yield* Effect.forkIn(Effect.ensuring(readAnswer(entries, release), release), scope)
      yield* Deferred.await(released)
    })

    /**
     * The tasks of the groups that are due, as far as the round may go, and of others as long as there is room for them in the last
     * request.
     */
    const gather = (now: number) => {
      const asked: Array<Group> = []
      const rows: Array<Entry> = []
      const statuses: Array<Entry> = []
      const requests = () => Math.ceil(rows.length / policy.chunkSize) + statuses.length
      const room = () => Math.ceil(rows.length / policy.chunkSize) * policy.chunkSize - rows.length
      for (const group of [...groups].sort((one, other) => one.due - other.due)) {
        if (room() === 0 && (group.due > now || requests() >= requestsInRound)) break
        const entries = [...group.entries].filter((entry) => entry.arriving === undefined)
        const [first] = entries
        const alone = first?.statusOnly === true
        const isDue = group.due <= now && (requests() < requestsInRound || (!alone && entries.length <= room()))
        if (isDue) asked.push(group)
        if (!alone) rows.push(...(isDue ? entries : entries.slice(0, room())))
        else if (isDue) statuses.push(first)
      }
      return { asked, rows, statuses }
    }

    /** When a group is due next. `undefined` when the schedule has ended. */
    const nextPause = Effect.fnUntraced(function* (group: Group, now: number) {
      group.schedule ??= yield* Schedule.toStep(policy.poll)
      const round = { age: Duration.millis(now - group.since), waiting: withRows.size + withStatus.size }
      return yield* Pull.matchEffect(group.schedule(now, round), {
        onSuccess: ([, pause]) => Effect.succeed(Math.max(Duration.toMillis(pause), shortestPause)),
        onFailure: (cause) => Effect.failCause(cause),
        onDone: () => Effect.succeed(undefined)
      })
    })

    const plan = Effect.fnUntraced(function* (group: Group, now: number) {
      const pause = yield* nextPause(group, now)
      if (pause !== undefined) {
        group.due = Math.ceil(now + pause)
        return
      }
      const message = "The poll schedule of LookerPolicy ended before the task did"
      for (const entry of [...group.entries]) {
        end(entry, Effect.fail(new LookerError.PollingTimeout({ message, taskId: entry.taskId })))
      }
    })

    /** Asks about what is due. Gives the time before which the budget allows no further round. */
    const round = Effect.fnUntraced(function* (now: number) {
      forming = undefined
      const { asked, rows, statuses } = gather(now)
      const chunks = Arr.chunksOf(rows, policy.chunkSize)
      const asks = [...chunks.map(askRows), ...statuses.map(askStatus)]
      yield* Effect.all(asks, { concurrency: concurrentRequests, discard: true })
      for (const group of asked) if (groups.has(group)) yield* plan(group, now)
      return Math.ceil(now + (asks.length / policy.pollRequestsPerSecond) * 1000)
    })

    const polling = Effect.gen(function* () {
      let notBefore = 0
      while (true) {
        arrivals.closeUnsafe()
        if (groups.size === 0) {
          yield* arrivals.await
          continue
        }
        const now = clock.currentTimeMillisUnsafe()
        const newcomers = unplanned
        unplanned = []
        for (const group of newcomers) yield* plan(group, now)
        let at = Number.POSITIVE_INFINITY
        for (const { due } of groups) at = Math.min(at, due)
        at = Math.max(at, notBefore)
        if (at > now) yield* Effect.raceFirst(Effect.sleep(at - now), arrivals.await)
        else notBefore = yield* round(now)
      }
    })

    yield* Effect.addFinalizer(() => endAll([...withRows.values(), ...withStatus.values()], Effect.interrupt))
    yield* Effect.forkScoped(polling)

    /** A task that is asked about alone is a group of its own. */
    const groupForNewcomer = (alone: boolean): Group => {
      if (!alone && forming !== undefined && forming.entries.size < policy.chunkSize) return forming
      const group: Group = {
        since: clock.currentTimeMillisUnsafe(),
        entries: new Set(),
        schedule: undefined,
        due: Number.POSITIVE_INFINITY
      }
      if (!alone) forming = group
      groups.add(group)
      unplanned.push(group)
      arrivals.openUnsafe()
      return group
    }

    const join = (taskId: string, statusOnly: boolean): Effect.Effect<Entry> =>
      Effect.sync(() => {
        const registry = registryOf({ statusOnly })
        let entry = registry.get(taskId)
        if (entry === undefined) {
          const group = groupForNewcomer(statusOnly)
          entry = {
            taskId,
            statusOnly,
            group,
            ended: Deferred.makeUnsafe(),
            observers: undefined,
            waiters: 0,
            status: undefined,
            puzzlingSince: undefined,
            arriving: undefined
          }
          group.entries.add(entry)
          registry.set(taskId, entry)
        }
        entry.waiters++
        return entry
      })

    const leave = (entry: Entry): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (--entry.waiters > 0) return Effect.void
        remove(entry)
        return entry.arriving === undefined ? Effect.void : Fiber.interrupt(entry.arriving)
      })

    const wait = Effect.fnUntraced(function* (
      taskId: string,
      options: WaitOptions = {}
    ): Effect.fn.Return<Finished, WaitError> {
      const waiting = Effect.acquireUseRelease(
        join(taskId, options.statusOnly ?? false),
        (entry) => Deferred.await(entry.ended),
        leave
      )
      if (options.timeout === undefined) return yield* waiting
      const timeout = Duration.fromInputUnsafe(options.timeout)
      const message = `The task did not end within ${Duration.format(timeout)}`
      return yield* Effect.timeoutOrElse(waiting, {
        duration: timeout,
        orElse: () => Effect.fail(new LookerError.PollingTimeout({ message, taskId }))
      })
    })

    const observe = (taskId: string, options: Pick<WaitOptions, "statusOnly"> = {}): Stream.Stream<string, WaitError> =>
      Stream.callback<string, WaitError>(
        Effect.fnUntraced(function* (queue) {
          const entry = yield* Effect.acquireRelease(join(taskId, options.statusOnly ?? false), leave)
          const observer = (status: string) => void Queue.offerUnsafe(queue, status)
          if (entry.status !== undefined) observer(entry.status)
          yield* Effect.acquireRelease(
            Effect.sync(() => {
              entry.observers ??= new Set()
              return entry.observers.add(observer)
            }),
            (observers) => Effect.sync(() => observers.delete(observer))
          )
          yield* Deferred.await(entry.ended)
          yield* Queue.end(queue)
        }),
        { bufferSize: statusesKept, strategy: "sliding" }
      )

    return QueryTaskPoller.of({ wait, observe })
  }
)

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<QueryTaskPoller, never, QueryTasks> = Layer.effect(QueryTaskPoller, make)
