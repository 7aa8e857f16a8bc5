/**
 * What an endpoint is to a client, which Looker's HTTP does not say: whether a request may be repeated, how urgent it is, and which quota it
 * counts against.
 *
 * @since 0.2.0
 */
import * as Context from "effect/Context"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"

/**
 * Where the paths of the contract begin.
 *
 * @category constants
 * @since 0.2.0
 */
export const prefix = "/api/4.0"

/**
 * Whether a request may be sent again although the first one may have been carried out. Default: yes, unless it is a POST.
 *
 * @category annotations
 * @since 0.1.0
 */
export const Repeatable = Context.Reference<boolean | undefined>("effect-looker/api/Repeatable", {
  defaultValue: () => undefined
})

/**
 * The order in which waiting requests are sent: `urgent`, `poll`, `start`, `submission`. A `submission` creates something, a `start` starts a task
 * for a query that exists, a `poll` asks again what was asked before. `none` does not wait: it ends something, and so makes room.
 *
 * @category models
 * @since 0.2.0
 */
export type Priority = "urgent" | "poll" | "start" | "submission" | "none"

/**
 * The priority of an endpoint. Default: `none` for a DELETE, `submission` for a POST, `urgent` for the others.
 *
 * @category annotations
 * @since 0.2.0
 */
export const RequestPriority = Context.Reference<Priority | undefined>("effect-looker/api/RequestPriority", {
  defaultValue: () => undefined
})

/**
 * The monthly allowance a request counts against, `x-looker-activity-type` in Looker's document: that of queries, that of administration, or none.
 *
 * @category models
 * @since 0.2.0
 */
export type Quota = "db_query" | "non_query" | "none"

/**
 * The quota of an endpoint. Default: `non_query`, as for most of Looker's endpoints.
 *
 * @category annotations
 * @since 0.2.0
 */
export const RequestQuota = Context.Reference<Quota>("effect-looker/api/RequestQuota", {
  defaultValue: () => "non_query"
})

/**
 * The annotations of an endpoint: the name of Looker's operation, and what differs from the defaults.
 *
 * @category annotations
 * @since 0.2.0
 */
export const annotations = (
  operation: string,
  options: { readonly repeatable?: boolean; readonly priority?: Priority; readonly quota?: Quota } = {}
): Context.Context<OpenApi.Identifier | OpenApi.Summary> =>
  Context.make(OpenApi.Identifier, operation).pipe(
    Context.add(OpenApi.Summary, operation),
    Context.add(Repeatable, options.repeatable),
    Context.add(RequestPriority, options.priority),
    Context.add(RequestQuota, options.quota ?? "non_query")
  )

/**
 * What an endpoint declares, whatever its types.
 *
 * @category models
 * @since 0.2.0
 */
export type Declaration = Pick<
  HttpApiEndpoint.Top,
  "identifier" | "method" | "path" | "params" | "query" | "payload" | "success" | "error" | "annotations"
>

/**
 * An entry of the table of endpoints.
 *
 * @category models
 * @since 0.2.0
 */
export interface Entry {
  /** The name of Looker's operation. */
  readonly name: string
  readonly method: Declaration["method"]
  /** Without {@link prefix}. */
  readonly path: string
  readonly isRepeatable: boolean
  readonly priority: Priority
  readonly quota: Quota
  /** The statuses of the errors that the endpoint declares. */
  readonly errorStatuses: ReadonlySet<number>
}

const entries = new WeakMap<Declaration, Entry>()

/**
 * The table of endpoints. An entry is made when it is first asked for, so that a program holds only the endpoints that it calls.
 *
 * @category models
 * @since 0.2.0
 */
export const entryOf = (endpoint: Declaration): Entry => {
  const known = entries.get(endpoint)
  if (known !== undefined) return known
  const { annotations, identifier, method, path } = endpoint
  const priority = method === "DELETE" ? "none" : method === "POST" ? "submission" : "urgent"
  const entry: Entry = {
    name: identifier,
    method,
    path: path.startsWith(prefix) ? path.slice(prefix.length) : path,
    isRepeatable: Context.get(annotations, Repeatable) ?? method !== "POST",
    priority: Context.get(annotations, RequestPriority) ?? priority,
    quota: Context.get(annotations, RequestQuota),
    errorStatuses: new Set([...endpoint.error].map((schema) => statusOf(schema) ?? 500))
  }
  entries.set(endpoint, entry)
  return entry
}

/**
 * A request as errors name it: `GET /query_tasks/3f2a/results`.
 *
 * @category accessors
 * @since 0.2.0
 */
export const requestLine = (
  endpoint: Declaration,
  params: Readonly<Record<string, string | undefined>> = {}
): string => {
  const { method, path } = entryOf(endpoint)
  return `${method} ${pathOf(path, (name) => params[name] ?? `{${name}}`)}`
}

/**
 * A path with its parameters filled in.
 *
 * @category accessors
 * @since 0.2.0
 */
export const pathOf = (path: string, segmentOf: (parameter: string) => string): string =>
  path.replace(/:(\w+)/g, (_, name: string) => segmentOf(name))

/**
 * The HTTP status that a schema of a response declares.
 *
 * @category accessors
 * @since 0.2.0
 */
export const statusOf = (schema: Schema.Top): number | undefined =>
  Schema.resolveAnnotations(schema)?.httpApiStatus ?? Schema.resolveAnnotationsKey(schema)?.httpApiStatus
