/**
 * A Looker in process that runs tasks by the test's clock, lists them as running queries, and fails as a test says: before it carries out a
 * request, or after.
 */
import { Clock, Effect } from "effect"
import * as StubLooker from "./StubLooker.ts"

export interface Task {
  readonly id: string
  readonly queryId: string
  readonly userId: string
  readonly createdAt: number
  readonly endsAt: number
  readonly shown: Readonly<Record<string, unknown>>
  readonly fails: boolean
  killed: boolean
  /** A client has received its rows. */
  delivered: boolean
}

/** In place of the response of Looker; `after` it has carried out the request, or before. */
export interface Fault {
  readonly answer: StubLooker.Answer
  readonly after: boolean
}

export interface Options {
  /** How long a task runs, in milliseconds. */
  readonly duration: number | (() => number)
  readonly fault?: (request: string, received: StubLooker.Received, now: number) => Fault | undefined
  /** Whether a query fails when its task ends. */
  readonly isFailing?: () => boolean
  /** A request that is never answered. */
  readonly isHung?: (request: string, received: StubLooker.Received) => boolean
  /** How far the clock of the server is ahead, in milliseconds. */
  readonly ahead?: number
  /** The time until a response is there, in milliseconds. */
  readonly latency?: number | (() => number)
  /** An answer in place of that of a request that has no fault. */
  readonly script?: (request: string, received: StubLooker.Received) => StubLooker.Answer | undefined
  /** Without it, the responses have no `Date`. */
  readonly hasDate?: boolean
}

const userId = "7"

export const make = (options: Options) => {
  const {
    ahead = 0,
    duration,
    fault,
    hasDate = true,
    isFailing = () => false,
    isHung = () => false,
    latency = 1,
    script
  } = options
  const queries = new Map<string, string>()
  const tasks: Array<Task> = []
  /** Requests that started a task whose id was not sent. */
  let lost = 0
  let logins = 0
  const resolved = (value: number | (() => number)) => (typeof value === "number" ? value : value())

  const add = (queryId: string, now: number, fields: Partial<Task> = {}): Task => {
    const task: Task = {
      id: `t${tasks.length + 1}`,
      queryId,
      userId,
      createdAt: now,
      endsAt: now + resolved(duration),
      shown: {},
      fails: isFailing(),
      killed: false,
      delivered: false,
      ...fields
    }
    tasks.push(task)
    return task
  }

  const isRunning = (task: Task, now: number) => !task.killed && now < task.endsAt

  const entryOf = (id: string, now: number) => {
    const task = tasks.find((task) => task.id === id)
    if (task === undefined) return { status: "missing" }
    if (task.killed) return { status: "killed" }
    if (isRunning(task, now)) return { status: "running" }
    if (task.fails) return { status: "error", data: [{ looker_error: "the query failed" }] }
    task.delivered = true
    return { status: "complete", data: [{ task: id }] }
  }

  const respond = (request: string, received: StubLooker.Received, now: number): StubLooker.Answer => {
    const id = received.path.replace("/results", "").split("/").at(-1) ?? ""
    const task = tasks.find((task) => task.id === id)
    if (request === "POST /login") {
      return { json: { access_token: `token-${++logins}`, token_type: "Bearer", expires_in: 3600 } }
    }
    if (request === "DELETE /logout") return { status: 204 }
    if (request === "GET /user") return { json: { id: userId } }
    if (request === "POST /queries") {
      const queryId = queries.get(received.body) ?? String(queries.size + 1)
      queries.set(received.body, queryId)
      return { json: { id: queryId } }
    }
    if (request === "POST /query_tasks") {
      const { query_id, result_format } = JSON.parse(received.body)
      const params = Object.fromEntries(
        [...received.query].map(([key, value]) => [
          key === "generate_drill_links" ? "generate_links" : key,
          value === "true" ? true : value === "false" ? false : value
        ])
      )
      const { fields: _, limit: __, apply_formatting: ___, apply_vis: ____, ...shown } = params
      return { json: { id: add(query_id, now, { shown: { result_format, query_id, ...shown } }).id } }
    }
    if (request === "GET /running_queries") {
      return {
        json: tasks
          .filter((task) => isRunning(task, now))
          .map((task) => ({
            id: task.id,
            query_task_id: task.id,
            query_id: task.queryId,
            user: { id: task.userId },
            created_at: new Date(task.createdAt + ahead).toISOString()
          }))
      }
    }
    if (request === "GET /query_tasks/multi_results") {
      const ids = (received.query.get("query_task_ids") ?? "").split(",")
      return { json: Object.fromEntries(ids.map((id) => [id, entryOf(id, now)])) }
    }
    if (task === undefined) return { status: 404, json: { message: "Not found" } }
    if (request.startsWith("DELETE /running_queries/")) {
      if (!isRunning(task, now)) return { status: 404, json: { message: "Not found" } }
      task.killed = true
      return { status: 204 }
    }
    if (received.path.endsWith("/results")) return { json: entryOf(id, now).data ?? [] }
    return { json: { id, status: entryOf(id, now).status, ...task.shown } }
  }

  const stub = StubLooker.inProcess((received) =>
    Effect.gen(function* () {
      const request = `${received.method} ${received.path.replace("/api/4.0", "")}`
      // The logout is sent when the test is over, and no time passes any more.
      if (request !== "DELETE /logout") yield* Effect.sleep(resolved(latency))
      if (isHung(request, received)) return yield* Effect.never
      const now = yield* Clock.currentTimeMillis
      const happening = fault?.(request, received, now)
      const answered =
        happening?.after === false ? undefined : (script?.(request, received) ?? respond(request, received, now))
      if (happening !== undefined && answered !== undefined && request === "POST /query_tasks") lost++
      const answer = happening?.answer ?? answered ?? {}
      return {
        ...answer,
        headers: { ...(hasDate ? { date: new Date(now + ahead).toUTCString() } : {}), ...answer.headers }
      }
    })
  )

  return {
    layer: stub.layer,
    received: stub.received,
    tasks,
    add,
    /** The requests of this kind: `GET /running_queries`. */
    sent: (request: string) =>
      stub.received.filter(({ method, path }) => `${method} ${path.replace("/api/4.0", "")}` === request),
    counts: () => ({ lost, logins }),
    stillRunning: (now: number) => tasks.filter((task) => isRunning(task, now))
  }
}

export const faults = {
  "502": { status: 502, text: "<html><title>502 Bad Gateway</title></html>" },
  "503": { status: 503, text: "<html><title>503 Service Unavailable</title></html>" },
  "504": { status: 504, text: "<html><title>504 Gateway Timeout</title></html>" },
  reset: { reset: "before" }
} as const satisfies Readonly<Record<string, StubLooker.Answer>>
