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
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { SqlError } from "./domain/SqlError.ts"
import * as TaskState from "./domain/TaskState.ts"
import { Json } from "./domain/Wire.ts"
import { elapsedMillis } from "./internal/elapsed.ts"
import * as LookerError from "./LookerError.ts"
import { LookerPolicy, type PollRound } from "./LookerPolicy.ts"
import { type MultiResultsPart, QueryTasks } from "./QueryTasks.ts"

/**
 * A task that ended well: `data` is the result as `multi_results` carries it (parsed), `warnings` what Looker notes beside it.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Finished = Schema.Struct({
  taskId: Schema.String,
  data: Json,
  warnings: Schema.Array(SqlError)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Finished = typeof Finished.Type

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
export const WaitError = Schema.Union([
  LookerError.ReadError,
  LookerError.QueryFailed,
  LookerError.QueryKilled,
  LookerError.ResultsExpired,
  LookerError.TaskMissing,
  LookerError.UnknownTaskStatus,
  LookerError.PollingTimeout
])

/**
 * @category errors
 * @since 0.1.0
 */
export type WaitError = typeof WaitError.Type

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
  readonly ended: Deferred.Deferred<Finished, WaitError>
  group: Group
  observers: Set<(status: string) => void> | undefined
  waiters: number
  status: string | undefined
  /** Since when Looker has said nothing about the task that can be believed. */
  puzzlingSince: number | undefined
  /** The answer that will tell: while it is on its way there is no use in asking again. */
  answer: Answer | undefined
}

/** Tasks that came together, and are asked about together from then on. Times are elapsed milliseconds. */
interface Group {
  readonly since: number
  readonly entries: Set<Entry>
  /** Not to be mixed with others: a task that is asked about alone, or ids of which one is refused. */
  readonly apart: boolean
  schedule: ((now: number, round: PollRound) => Pull.Pull<[unknown, Duration.Duration], never, unknown>) | undefined
  due: number
  asked: boolean
  /** The schedule has ended: nothing more is asked, and who still waits when the last answer is there has waited in vain. */
  over: boolean
}

/** A request under way; `entries` are those it has yet to tell about. */
interface Answer {
  readonly since: number
  readonly entries: Set<Entry>
  fiber: Fiber.Fiber<unknown, unknown> | undefined
}

/** No schedule makes the poller spin. */
const shortestPause = 10

/** Status words an observer may fall behind. */
const statusesKept = 16

/** Requests under way at a time. */
const concurrentRequests = 8

/** Groups are due on a common beat of at most this, in milliseconds, so that those due at about the same time share requests. */
const commonBeat = 100

/**
 * How long a request may be without the beginning of an answer, in milliseconds, before another is sent although there are enough on
 * their way to ask about everybody.
 */
const patience = 2000

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
    const requests = yield* Semaphore.make(concurrentRequests)
    const graceMillis = Duration.toMillis(policy.grace)
    const requestsInRound = Math.max(1, Math.floor(policy.pollRequestsPerSecond * budgetOfRound))

    const groups = new Set<Group>()
    const withRows = new Map<string, Entry>()
    const withStatus = new Map<string, Entry>()
    /** The group that takes newcomers: they go together until it is a whole request, or has been asked about. */
    let forming: Group | undefined
    /** Requests whose answer has not begun, the oldest first. */
    const silent = new Set<Answer>()
    /** Groups whose schedule has yet to say when they are due. */
    let unplanned: Array<Group> = []
    let closed = false

    const registryOf = ({ statusOnly }: { readonly statusOnly: boolean }) => (statusOnly ? withStatus : withRows)

    const leaveGroup = (entry: Entry) => {
      entry.group.entries.delete(entry)
      if (entry.group.entries.size > 0) return
      groups.delete(entry.group)
      if (forming === entry.group) forming = undefined
    }

    const remove = (entry: Entry) => {
      const registry = registryOf(entry)
      if (registry.get(entry.taskId) === entry) registry.delete(entry.taskId)
      leaveGroup(entry)
    }

    const end = (entry: Entry, exit: Effect.Effect<Finished, WaitError>) => {
      remove(entry)
      Deferred.doneUnsafe(entry.ended, exit)
    }

    const endAll = (entries: Iterable<Entry>, exit: Effect.Effect<Finished, WaitError>) =>
      Effect.sync(() => {
        for (const entry of [...entries]) end(entry, exit)
      })

    const everybody = () => [...withRows.values(), ...withStatus.values()]

    const show = (entry: Entry, status: string) => {
      if (status === entry.status) return
      entry.status = status
      for (const observer of entry.observers ?? []) observer(status)
    }

    /** A puzzling answer is believed only when it has been given for the whole grace period. */
    const puzzled = (entry: Entry, error: WaitError) => {
      const now = elapsedMillis(clock)
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

    const newGroup = (apart: boolean, due: number): Group => {
      const group: Group = {
        since: elapsedMillis(clock),
        entries: new Set(),
        apart,
        schedule: undefined,
        due,
        asked: false,
        over: false
      }
      groups.add(group)
      return group
    }

    /** A request refused as a whole: its halves are asked about apart from then on, until the one bad id is alone. */
    const split = (entries: ReadonlyArray<Entry>) => {
      const middle = Math.ceil(entries.length / 2)
      for (const half of [entries.slice(0, middle), entries.slice(middle)]) {
        const group = newGroup(true, 0)
        for (const entry of half) {
          leaveGroup(entry)
          entry.group = group
          group.entries.add(entry)
        }
      }
      arrivals.openUnsafe()
    }

    /** Whether one of several tasks may be the reason: an id that is refused, or an answer that stays unreadable. */
    const mayBeOneOf = (entries: ReadonlyArray<Entry>, error: LookerError.ReadError): boolean => {
      if (entries.length === 1) return false
      if (error._tag === "NotFound" || error._tag === "BadRequest") return true
      const now = elapsedMillis(clock)
      return (
        error._tag === "UnexpectedResponse" &&
        entries.some(({ puzzlingSince }) => puzzlingSince !== undefined && now - puzzlingSince >= graceMillis / 2)
      )
    }

    /** A request failed after its retries. What time may heal is puzzling; the rest ends the waiting. */
    const failed = (entries: ReadonlyArray<Entry>, error: LookerError.ReadError) => {
      if (mayBeOneOf(entries, error)) {
        split(entries)
        return
      }
      for (const entry of entries) {
        if (error.isRetryable || error._tag === "UnexpectedResponse") puzzled(entry, error)
        else end(entry, Effect.fail(error))
      }
    }

    /** Opening the latch may let the rounds go on at once: what the answer told has to be noted before. */
    const heard = (answer: Answer) => {
      if (silent.delete(answer)) arrivals.openUnsafe()
    }

    /** The answer has told about the entry: it may be asked about again, though others still wait for the rest. */
    const told = (answer: Answer, entry: Entry, state: TaskState.TaskState) => {
      answer.entries.delete(entry)
      if (entry.answer === answer) entry.answer = undefined
      receive(entry, state)
    }

    const askStatus = (answer: Answer, [entry]: ReadonlyArray<Entry>) =>
      entry === undefined
        ? Effect.void
        : Effect.map(tasks.queryTask(entry.taskId, { fields: "id,status" }), ({ status }) =>
            told(answer, entry, TaskState.fromEntry({ status }))
          )

    const askRows = (answer: Answer, entries: ReadonlyArray<Entry>) => {
      const byId = new Map(entries.map((entry) => [entry.taskId, entry]))
      const receivePart = (part: MultiResultsPart) => {
        const entry = byId.get(part.taskId)
        if (entry === undefined) return
        if (part._tag === "Large") {
          // The ids behind it would wait for all of it: they are asked about again.
          for (const other of answer.entries) {
            if (other === entry || other.answer !== answer) continue
            other.answer = undefined
            other.group.due = Math.min(other.group.due, elapsedMillis(clock))
          }
          arrivals.openUnsafe()
          return
        }
        told(answer, entry, TaskState.fromEntry(part.entry))
      }
      return tasks.queryTaskMultiResultsStream([...byId.keys()]).pipe(
        Stream.runForEachArray((parts) =>
          Effect.sync(() => {
            parts.forEach(receivePart)
            heard(answer)
          })
        ),
        Effect.andThen(
          Effect.sync(() => {
            for (const entry of [...answer.entries]) {
              const message = "Looker leaves the task out of its answers"
              puzzled(entry, new LookerError.TaskMissing({ message, taskId: entry.taskId }))
            }
          })
        )
      )
    }

    /** One request, for those who still wait when it is its turn. */
    const ask = (entries: ReadonlyArray<Entry>, statusOnly: boolean): Effect.Effect<void> =>
      Effect.suspend(() => {
        const answer: Answer = { since: elapsedMillis(clock), entries: new Set(entries), fiber: undefined }
        silent.add(answer)
        for (const entry of entries) entry.answer = answer
        const request = Effect.withFiber((fiber) => {
          answer.fiber = fiber
          const waiting = entries.filter((entry) => entry.waiters > 0)
          if (waiting.length === 0) return Effect.void
          const asking: Effect.Effect<void, LookerError.ReadError> = statusOnly
            ? askStatus(answer, waiting)
            : askRows(answer, waiting)
          return Effect.catch(asking, (error) => Effect.sync(() => failed([...answer.entries], error)))
        })
        return requests.withPermit(request).pipe(
          // A defect must not leave anybody waiting for ever.
          Effect.catchCause((cause) =>
            Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : endAll(answer.entries, Effect.failCause(cause))
          ),
          Effect.ensuring(
            Effect.sync(() => {
              for (const entry of entries) if (entry.answer === answer) entry.answer = undefined
              heard(answer)
            })
          ),
          Effect.forkIn(scope),
          Effect.asVoid
        )
      })

    /**
     * The tasks of the groups that are due, as far as the round may go, and of others as long as there is room for them in the last
     * request.
     */
    const gather = (now: number) => {
      const planned: Array<Group> = []
      const rows: Array<Entry> = []
      const apart: Array<ReadonlyArray<Entry>> = []
      const size = policy.chunkSize
      const count = () => Math.ceil(rows.length / size) + apart.length
      const room = () => Math.ceil(rows.length / size) * size - rows.length
      for (const group of [...groups].sort((one, other) => one.due - other.due)) {
        if (room() === 0 && (group.due > now || count() >= requestsInRound)) break
        const entries = group.over ? [] : [...group.entries].filter((entry) => entry.answer === undefined)
        const isDue = group.due <= now && (count() < requestsInRound || (!group.apart && entries.length <= room()))
        if (isDue) planned.push(group)
        if (!group.apart) rows.push(...(isDue ? entries : entries.slice(0, room())))
        else if (isDue && entries.length > 0) apart.push(entries)
      }
      return { planned, chunks: [...Arr.chunksOf(rows, size), ...apart] }
    }

    const giveUp = (group: Group, now: number) => {
      group.over = true
      group.due = now + commonBeat
      const message = "The poll schedule of LookerPolicy ended before the task did"
      for (const entry of [...group.entries]) {
        if (entry.answer !== undefined) continue
        end(entry, Effect.fail(new LookerError.PollingTimeout({ message, taskId: entry.taskId })))
      }
    }

    /** When a group is due next. When its schedule ends, so does the waiting. */
    const plan = (group: Group, now: number): Effect.Effect<void> =>
      Effect.gen(function* () {
        if (group.over) return giveUp(group, now)
        group.schedule ??= yield* Schedule.toStep(policy.poll)
        const round = { age: Duration.millis(now - group.since), waiting: withRows.size + withStatus.size }
        const [, duration] = yield* group.schedule(clock.currentTimeMillisUnsafe(), round)
        const pause = Math.max(Duration.toMillis(duration), shortestPause)
        const beat = Math.min(pause, commonBeat)
        group.due = Math.round((now + pause) / beat) * beat
      }).pipe(
        Pull.catchDone(() => Effect.sync(() => giveUp(group, now))),
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : endAll(group.entries, Effect.failCause(cause))
        )
      )

    /** Asks about what is due, without waiting for answers. Gives the time before which the budget allows no further round. */
    const round = Effect.fnUntraced(function* (now: number) {
      forming = undefined
      const { chunks, planned } = gather(now)
      for (const chunk of chunks) yield* ask(chunk, chunk[0]?.statusOnly === true)
      for (const group of planned) {
        group.asked = true
        yield* plan(group, now)
      }
      return Math.ceil(now + (chunks.length / policy.pollRequestsPerSecond) * 1000)
    })

    /**
     * Until when the requests on their way are enough to ask again about everybody. Where Looker is slow or a limit holds requests back, more
     * of them would only stand in line, each with a few tasks, instead of one with all.
     */
    const heldUntil = (now: number): number => {
      for (const answer of silent) if (answer.since + patience <= now) silent.delete(answer)
      const [oldest] = silent
      const enough = Math.ceil(withRows.size / policy.chunkSize) + withStatus.size
      return oldest !== undefined && silent.size >= enough ? oldest.since + patience : 0
    }

    const polling = Effect.gen(function* () {
      let notBefore = 0
      while (true) {
        arrivals.closeUnsafe()
        if (groups.size === 0) {
          yield* arrivals.await
          continue
        }
        const now = elapsedMillis(clock)
        const newcomers = unplanned
        unplanned = []
        for (const group of newcomers) yield* plan(group, now)
        const held = heldUntil(now)
        let at = Number.POSITIVE_INFINITY
        for (const { asked, due } of groups) at = Math.min(at, asked ? Math.max(due, held) : due)
        at = Math.max(at, notBefore)
        if (at > now) yield* Effect.raceFirst(Effect.sleep(Math.ceil(at - now)), arrivals.await)
        else notBefore = yield* round(now)
      }
    })

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        return endAll(everybody(), Effect.interrupt)
      })
    )
    yield* Effect.forkScoped(polling)

    /** A task that is asked about alone is a group of its own. */
    const groupForNewcomer = (alone: boolean): Group => {
      if (!alone && forming !== undefined && forming.entries.size < policy.chunkSize) return forming
      const group = newGroup(alone, Number.POSITIVE_INFINITY)
      if (!alone) forming = group
      unplanned.push(group)
      return group
    }

    const join = (taskId: string, statusOnly: boolean): Effect.Effect<Entry> =>
      Effect.suspend(() => {
        if (closed) return Effect.interrupt
        const registry = registryOf({ statusOnly })
        let entry = registry.get(taskId)
        if (entry === undefined) {
          entry = {
            taskId,
            statusOnly,
            ended: Deferred.makeUnsafe(),
            group: groupForNewcomer(statusOnly),
            observers: undefined,
            waiters: 0,
            status: undefined,
            puzzlingSince: undefined,
            answer: undefined
          }
          entry.group.entries.add(entry)
          registry.set(taskId, entry)
        }
        entry.waiters++
        if (unplanned.length > 0) arrivals.openUnsafe()
        return Effect.succeed(entry)
      })

    const leave = (entry: Entry): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (--entry.waiters > 0) return Effect.void
        remove(entry)
        const { answer } = entry
        // Nobody waits for the rest of this answer any more.
        return answer?.fiber !== undefined &&
          [...answer.entries].every((other) => other.waiters === 0 || other.answer !== answer)
          ? Fiber.interrupt(answer.fiber)
          : Effect.void
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
