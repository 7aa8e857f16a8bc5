/**
 * The script of faults: which request or task is struck by what, counted rule by rule, so that a test sees the same every time.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import { LookerApi } from "../../api/LookerApi.ts"
import type { Query } from "../../domain/Query.ts"
import { EmbeddedError } from "../EmbeddedError.ts"
import type { Model } from "../model/Model.ts"
import { suggest } from "../refusal/Suggestion.ts"
import type { Fault, RequestFault, TaskFault } from "./Fault.ts"

/**
 * An endpoint by the name of Looker's operation: `create_query_task`, `query_task_multi_results`, …
 *
 * @category models
 * @since 0.1.0
 */
export type Endpoint = HttpApiEndpoint.Identifier<
  HttpApiGroup.Endpoints<typeof LookerApi extends HttpApi.HttpApi<string, infer Groups> ? Groups : never>
>

/**
 * Which queries: a function that says so, or some keys of a query as Looker returns it (`{ view: "orders" }`, `{ slug: "aB3" }`), all of
 * which have to be equal.
 *
 * @category models
 * @since 0.1.0
 */
export type QueryMatch = ((query: Query) => boolean) | Partial<Query>

/**
 * Which tasks: those of a query, and of them the `nth` (from 1), every nth, at most so many `times`. Nothing said means all.
 *
 * @category models
 * @since 0.1.0
 */
export interface OnTask {
  readonly query?: QueryMatch | undefined
  readonly nth?: number | undefined
  readonly every?: number | undefined
  readonly times?: number | undefined
}

/**
 * Which requests: those to an endpoint, or to one of several, and about a query. A request about several tasks is about the query of each.
 *
 * @category models
 * @since 0.1.0
 */
export interface OnRequest extends OnTask {
  readonly endpoint?: Endpoint | ReadonlyArray<Endpoint> | undefined
}

/**
 * A line of the script. Where several rules strike the same request or task, all do, in their order.
 *
 * **Example**
 *
 * ```ts
 * const faults: ReadonlyArray<Rule> = [
 *   { on: { endpoint: "create_query_task", nth: 1 }, fault: Fault.tooManyRequests({ retryAfter: "3 seconds" }) },
 *   { on: { query: { view: "orders" }, times: 2 }, fault: Fault.error("out of disk", { line: 3 }) }
 * ]
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export type Rule =
  | { readonly on?: OnRequest | undefined; readonly fault: RequestFault }
  | { readonly on?: OnTask | undefined; readonly fault: TaskFault }

/**
 * **Details**
 *
 * `add` and `clear` are for tests that change the script on the way. A rule counts from when it is added; what has begun goes on.
 *
 * @category services
 * @since 0.1.0
 */
export class Faults extends Context.Service<
  Faults,
  {
    readonly add: (...rules: ReadonlyArray<Rule>) => Effect.Effect<void, EmbeddedError>
    readonly clear: Effect.Effect<void>
    /** Counts the request; `queries` is asked only where a rule needs it. */
    readonly onRequest: (
      endpoint: string,
      queries: Effect.Effect<ReadonlyArray<Query>>
    ) => Effect.Effect<ReadonlyArray<RequestFault>>
    /** Counts the task. */
    readonly onTask: (query: Query) => Effect.Effect<ReadonlyArray<TaskFault>>
  }
>()("effect-looker/embedded/Faults") {}

const taskFaults: ReadonlySet<Fault["_tag"]> = new Set<TaskFault["_tag"]>([
  "Slow",
  "Error",
  "Warning",
  "Killed",
  "Missing",
  "Shown",
  "LeftOut"
])

const isOfTask = (fault: Fault): fault is TaskFault => taskFaults.has(fault._tag)

/** Each time again would leave nobody a token, or a task, for ever. */
const once: ReadonlySet<Fault["_tag"]> = new Set<Fault["_tag"]>(["TokenDeath", "Restart"])

const endpoints = (): ReadonlyArray<string> => {
  const names: Array<string> = []
  HttpApi.reflect(LookerApi, { onGroup: () => {}, onEndpoint: ({ endpoint }) => names.push(endpoint.identifier) })
  return names
}

const matches = (match: QueryMatch, query: Query): boolean =>
  typeof match === "function"
    ? match(query)
    : Object.entries(match).every(([key, value]) => Equal.equals(query[key as keyof Query], value))

const asked = (on: OnRequest | undefined): ReadonlyArray<string> | undefined =>
  on?.endpoint === undefined ? undefined : typeof on.endpoint === "string" ? [on.endpoint] : on.endpoint

const isWhole = (value: number) => Number.isInteger(value) && value > 0

type Models = ReadonlyMap<string, Model>

/** The model or the explore that a rule names and that there is not: it would wait for its query for ever. */
const nowhere = (models: Models, { model, view }: Partial<Query>): string | undefined => {
  if (typeof model === "string" && !models.has(model)) {
    return `there is no model ${JSON.stringify(model)}. ${suggest(model, [...models.keys()])}`
  }
  if (typeof view !== "string") return undefined
  const named = [...models.values()].filter(({ name }) => typeof model !== "string" || name === model)
  const explores = new Set(named.flatMap((known) => [...known.explores.keys()]))
  return explores.has(view) ? undefined : `there is no explore ${JSON.stringify(view)}. ${suggest(view, [...explores])}`
}

/** Why a rule cannot be, if it cannot. */
const refusal = (models: Models, index: number, { fault, on }: Rule): EmbeddedError | undefined => {
  const refuse = (message: string) => new EmbeddedError({ message: `faults[${index}] (${fault._tag}): ${message}` })
  for (const key of ["nth", "every", "times"] as const) {
    const value = on?.[key]
    if (value !== undefined && !isWhole(value)) return refuse(`on.${key} is ${value}, and has to be 1, 2, …`)
  }
  const named = asked(on)
  if (named !== undefined && isOfTask(fault)) {
    return refuse("a task is struck whatever endpoint it is asked about at: leave out on.endpoint")
  }
  const known = named === undefined ? [] : endpoints()
  const absent = typeof on?.query === "object" ? nowhere(models, on.query) : undefined
  if (absent !== undefined) return refuse(absent)
  const unknown = named?.find((name) => !known.includes(name))
  if (unknown !== undefined) return refuse(`there is no endpoint ${unknown}, only ${known.join(", ")}`)
  switch (fault._tag) {
    case "Truncated": {
      const cut = "bytes" in fault.at ? fault.at.bytes : fault.at.fraction
      if (cut >= 0 && ("bytes" in fault.at ? Number.isInteger(cut) : cut <= 1)) return undefined
      return refuse("bytes has to be 0, 1, 2, …, and fraction from 0 to 1")
    }
    case "Slow":
    case "Delay":
      return Duration.isNegative(fault.duration) ? refuse("the time is negative") : undefined
    case "LeftOut":
    case "Shown": {
      const { polls } = fault.until
      if (polls !== undefined && !isWhole(polls)) return refuse(`polls is ${polls}, and has to be 1, 2, …`)
      return fault.until.for !== undefined && polls !== undefined
        ? refuse("for and polls exclude each other")
        : undefined
    }
    default:
      return undefined
  }
}

interface Counted {
  readonly rule: Rule
  seen: number
  struck: number
}

/** Counts what fits a rule, and says whether it is struck. */
const strikes = (counted: Counted): boolean => {
  const { fault, on = {} } = counted.rule
  const { every = 1, nth, times = once.has(fault._tag) ? 1 : Number.POSITIVE_INFINITY } = on
  counted.seen++
  if ((nth !== undefined && counted.seen !== nth) || counted.seen % every !== 0 || counted.struck >= times) return false
  counted.struck++
  return true
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  script: ReadonlyArray<Rule>,
  models: Models
): Effect.fn.Return<Faults["Service"], EmbeddedError> {
  let rules: ReadonlyArray<Counted> = []

  const add = Effect.fnUntraced(function* (...added: ReadonlyArray<Rule>) {
    for (const [index, rule] of added.entries()) {
      const refused = refusal(models, index, rule)
      if (refused !== undefined) return yield* refused
    }
    rules = [...rules, ...added.map((rule) => ({ rule, seen: 0, struck: 0 }))]
  })

  const onRequest = Effect.fnUntraced(function* (endpoint: string, queries: Effect.Effect<ReadonlyArray<Query>>) {
    const concerned = rules.filter(({ rule: { fault, on } }) => {
      return !isOfTask(fault) && (asked(on)?.includes(endpoint) ?? true)
    })
    const about = concerned.some(({ rule }) => rule.on?.query !== undefined) ? yield* queries : []
    const struck = concerned.filter((counted) => {
      const match = counted.rule.on?.query
      return (match === undefined || about.some((query) => matches(match, query))) && strikes(counted)
    })
    return struck.flatMap(({ rule: { fault } }) => (isOfTask(fault) ? [] : [fault]))
  })

  const onTask = (query: Query) =>
    Effect.sync(() =>
      rules.flatMap((counted) => {
        const { fault, on } = counted.rule
        const match = on?.query
        return isOfTask(fault) && (match === undefined || matches(match, query)) && strikes(counted) ? [fault] : []
      })
    )

  yield* add(...script)
  const clear = Effect.sync(() => {
    rules = []
  })
  return Faults.of({ add, clear, onRequest, onTask })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (script: ReadonlyArray<Rule>, models: Models): Layer.Layer<Faults, EmbeddedError> =>
  Layer.effect(Faults, make(script, models))
