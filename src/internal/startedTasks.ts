/**
 * The tasks that a client has started, and its requests that may start one: so that a task whose id was lost can be told from the others.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as QueryTask from "../domain/QueryTask.ts"

/** Whether parameters are set that Looker does not show of a task. */
export const hasHiddenParameters = (params: QueryTask.CreateQueryTaskParams): boolean =>
  params.limit !== undefined || params.apply_formatting !== undefined || params.apply_vis !== undefined

/** Ids that are remembered. Those of older tasks are not needed: a lost task is a new one. */
const idsKept = 10_000

export class StartedTasks {
  private readonly ids = new Set<string>()
  private readonly requests = new Map<string, Set<Deferred.Deferred<void>>>()
  /** Queries of which a task may run whose parameters Looker does not show. */
  readonly withHiddenParameters = new Set<string>()

  isKnown(taskId: string): boolean {
    return this.ids.has(taskId)
  }

  add(taskId: string): void {
    this.ids.add(taskId)
    if (this.ids.size <= idsKept) return
    for (const oldest of this.ids) {
      this.ids.delete(oldest)
      return
    }
  }

  /** Notes a request that starts a task, and the task. */
  track<A extends { readonly id: string }, E, R>(
    queryId: string,
    starting: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const ended = Deferred.makeUnsafe<void>()
      const requests = this.requests.get(queryId) ?? new Set()
      this.requests.set(queryId, requests.add(ended))
      return Effect.onExit(starting, (exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit)) this.add(exit.value.id)
          requests.delete(ended)
          if (requests.size === 0 && this.requests.get(queryId) === requests) this.requests.delete(queryId)
          Deferred.doneUnsafe(ended, Effect.void)
        })
      )
    })
  }

  /** Waits for the end of the requests for this query that are under way. */
  untilEnded(queryId: string): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach([...(this.requests.get(queryId) ?? [])], (ended) => Deferred.await(ended), { discard: true })
    )
  }
}

const clients = new WeakMap<object, StartedTasks>()

/** What is known of the tasks of a client, by its `LookerHttp`. */
export const of = (http: object): StartedTasks => {
  let started = clients.get(http)
  if (started === undefined) {
    started = new StartedTasks()
    clients.set(http, started)
  }
  return started
}
