/**
 * Who waits for which task, and which tasks are asked about together.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import type * as Tracer from "effect/Tracer"
import { tasksIn } from "../internal/series.ts"
import * as LookerMetrics from "../LookerMetrics.ts"
import type { PollRound } from "../LookerPolicy.ts"
import type { Conclusion, Finished, WaitError } from "./Conclusion.ts"

/** A span of a fiber that waits. */
export interface Trace {
  readonly span: Tracer.AnySpan
  readonly tracer: Tracer.Tracer
}

/** A task that at least one fiber waits for. */
export interface Entry {
  readonly taskId: string
  readonly statusOnly: boolean
  readonly ended: Deferred.Deferred<Finished, WaitError>
  group: Group
  waiters: number
  observers: Set<(status: string) => void> | undefined
  status: string | undefined
  /** The spans of the waits for the task, and who records them, if a tracer is installed. */
  traces: Set<Trace> | undefined
  /** When a response last said that the task had not ended, or else when the wait began. */
  unfinishedAt: number
  /** Since when all that Looker says about the task may be transient. */
  doubtfulSince: number | undefined
  /** What was last received about the task. */
  last: Conclusion | undefined
  /** The request under way that asks about the task. Until it ends the task is not asked about again. */
  request: PollRequest | undefined
}

/** Tasks that came together, and are asked about together from then on. Times are elapsed milliseconds. */
export interface Group {
  readonly since: number
  readonly entries: Set<Entry>
  /**
   * Its entries share requests with no other group: a task asked about by its status, or tasks of which one may be the reason why a request
   * failed. Each of those leaves the group when there is a response about it.
   */
  readonly separate: boolean
  schedule: ((now: number, round: PollRound) => Pull.Pull<[unknown, Duration.Duration], never, unknown>) | undefined
  due: number
  asked: boolean
  /** The entries are not asked about again, and end when the requests under way do. */
  scheduleEnded: boolean
}

/** A request under way. `entries` are those that its response has said nothing about yet. */
export interface PollRequest {
  readonly since: number
  readonly entries: Set<Entry>
  /** How many tasks it asks about. */
  asks: number
  /**
   * Since when it has waited for a part of its response: since it was sent, or since the last part. Absent before it is sent, and while the large
   * part of one task arrives.
   */
  waitingSince: number | undefined
  hasPermit: boolean
  fiber: Fiber.Fiber<unknown, unknown> | undefined
}

/** The words of Looker that are counted as they are. */
const words: ReadonlySet<string> = new Set([
  "added",
  "running",
  "pending",
  "complete",
  "error",
  "killed",
  "expired",
  "missing"
])

export class Registry {
  readonly groups = new Set<Group>()
  private readonly withRows = new Map<string, Entry>()
  private readonly withStatus = new Map<string, Entry>()
  /** The group that new entries join, until it fills a request or has been asked about. */
  private forming: Group | undefined
  /** The group that entries of separate groups join when there is a response about them, until it fills a request. */
  private rejoined: Group | undefined
  /** Groups without a due time. */
  private unplanned: Array<Group> = []
  private readonly chunkSize: number
  private readonly graceMillis: number
  private readonly now: () => number
  private readonly context: Context.Context<never>

  /** `now` is the elapsed time in milliseconds, `context` the one whose metrics are updated. */
  constructor(options: {
    readonly chunkSize: number
    readonly graceMillis: number
    readonly now: () => number
    readonly context: Context.Context<never>
  }) {
    this.context = options.context
    this.chunkSize = options.chunkSize
    this.graceMillis = options.graceMillis
    this.now = options.now
  }

  get size(): number {
    return this.withRows.size + this.withStatus.size
  }

  /** How many requests ask about every task once. */
  get requestsForAll(): number {
    return Math.ceil(this.withRows.size / this.chunkSize) + this.withStatus.size
  }

  get hasUnplanned(): boolean {
    return this.unplanned.length > 0
  }

  takeUnplanned(): ReadonlyArray<Group> {
    const groups = this.unplanned
    this.unplanned = []
    return groups
  }

  /** New entries do not join the groups of the round that begins now. */
  startRound(): void {
    this.forming = undefined
  }

  entries(): ReadonlyArray<Entry> {
    return [...this.withRows.values(), ...this.withStatus.values()]
  }

  /** Adds a waiter to the entry of the task, which is new if nothing waits for the task. */
  join(taskId: string, statusOnly: boolean): Entry {
    const entries = this.entriesOf({ statusOnly })
    let entry = entries.get(taskId)
    if (entry === undefined) {
      const group = this.groupForNew(statusOnly)
      entry = {
        taskId,
        statusOnly,
        ended: Deferred.makeUnsafe(),
        group,
        waiters: 0,
        observers: undefined,
        status: undefined,
        traces: undefined,
        unfinishedAt: this.now(),
        doubtfulSince: undefined,
        last: undefined,
        request: undefined
      }
      group.entries.add(entry)
      entries.set(taskId, entry)
      LookerMetrics.waiting.modifyUnsafe(1, this.context)
    }
    entry.waiters++
    return entry
  }

  /** Takes a waiter off the entry, and removes it with the last one. */
  leave(entry: Entry): void {
    entry.waiters--
    if (entry.waiters === 0) this.remove(entry)
  }

  end(entry: Entry, exit: Effect.Effect<Finished, WaitError>): void {
    this.remove(entry)
    Deferred.doneUnsafe(entry.ended, exit)
  }

  endAll(entries: Iterable<Entry>, exit: Effect.Effect<Finished, WaitError>): Effect.Effect<void> {
    return Effect.sync(() => {
      for (const entry of [...entries]) this.end(entry, exit)
    })
  }

  /** From what is said about this task alone. */
  conclude(entry: Entry, conclusion: Conclusion): void {
    entry.last = conclusion
    if (conclusion.status !== undefined) this.setStatus(entry, conclusion.status)
    switch (conclusion._tag) {
      case "Unfinished": {
        entry.doubtfulSince = undefined
        entry.unfinishedAt = this.now()
        break
      }
      case "Ended": {
        if (conclusion.status === "complete" || conclusion.status === "error") {
          LookerMetrics.delivery.updateUnsafe(this.now() - entry.unfinishedAt, this.context)
        }
        this.end(entry, conclusion.exit)
        break
      }
      case "Doubtful": {
        if (this.doubtful(entry) >= this.graceMillis) this.end(entry, Effect.fail(conclusion.error))
        break
      }
    }
  }

  /** From an error about several tasks, of which nothing follows for this one but that it may be asked about alone. `since` is its beginning. */
  doubt(entry: Entry, error: WaitError, since: number): void {
    entry.last = { _tag: "Doubtful", error }
    entry.doubtfulSince ??= since
  }

  /** For how many milliseconds all that Looker says about the task may have been transient. */
  doubtful(entry: Entry): number {
    const now = this.now()
    entry.doubtfulSince ??= now
    return now - entry.doubtfulSince
  }

  /** Makes so many separate groups of the entries, all due at once. */
  split(entries: ReadonlyArray<Entry>, parts: number): void {
    const size = Math.ceil(entries.length / parts)
    for (let from = 0; from < entries.length; from += size) {
      const part = entries.slice(from, from + size)
      const group = this.newGroup(true, 0, Math.min(...part.map(({ group }) => group.since)))
      for (const entry of part) this.move(entry, group)
    }
  }

  /** There is a response about the entry, so it shares requests again. */
  rejoin(entry: Entry): void {
    if (entry.statusOnly || !entry.group.separate) return
    let group = this.rejoined
    if (group === undefined || !this.groups.has(group) || group.entries.size >= this.chunkSize) {
      group = this.newGroup(false, Number.POSITIVE_INFINITY, entry.group.since)
      this.rejoined = group
      this.unplanned.push(group)
    }
    this.move(entry, group)
  }

  private move(entry: Entry, group: Group): void {
    this.leaveGroup(entry)
    entry.group = group
    group.entries.add(entry)
  }

  private setStatus(entry: Entry, status: string): void {
    if (status === entry.status) return
    entry.status = status
    tasksIn(words.has(status) ? status : "unknown").updateUnsafe(1, this.context)
    for (const observer of entry.observers ?? []) observer(status)
  }

  private entriesOf({ statusOnly }: { readonly statusOnly: boolean }): Map<string, Entry> {
    return statusOnly ? this.withStatus : this.withRows
  }

  private groupForNew(statusOnly: boolean): Group {
    const { forming } = this
    if (!statusOnly && forming !== undefined && forming.entries.size < this.chunkSize) return forming
    const group = this.newGroup(statusOnly, Number.POSITIVE_INFINITY)
    if (!statusOnly) this.forming = group
    this.unplanned.push(group)
    return group
  }

  private newGroup(separate: boolean, due: number, since = this.now()): Group {
    const group: Group = {
      since,
      entries: new Set(),
      separate,
      schedule: undefined,
      due,
      asked: false,
      scheduleEnded: false
    }
    this.groups.add(group)
    return group
  }

  private remove(entry: Entry): void {
    const entries = this.entriesOf(entry)
    if (entries.get(entry.taskId) === entry) {
      entries.delete(entry.taskId)
      LookerMetrics.waiting.modifyUnsafe(-1, this.context)
    }
    this.leaveGroup(entry)
  }

  private leaveGroup(entry: Entry): void {
    const { group } = entry
    group.entries.delete(entry)
    if (group.entries.size > 0) return
    this.groups.delete(group)
    if (this.forming === group) this.forming = undefined
  }
}
