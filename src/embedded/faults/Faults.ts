/**
 * The script of faults: which fault happens to which request or task, counted rule by rule, so that a test sees the same every time.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Layer from "effect/Layer"
import type { Query } from "../../domain/Query.ts"
import * as EmbeddedApi from "../EmbeddedApi.ts"
import { EmbeddedError } from "../EmbeddedError.ts"
import { suggest } from "../refusal/Suggestion.ts"
import type { Fault, RequestFault, TaskFault } from "./Fault.ts"

/**
 * An endpoint by the name of Looker's operation: `create_query_task`, `query_task_multi_results`, …
 *
 * @category models
 * @since 0.1.0
 */
export type Endpoint = EmbeddedApi.Endpoint

/**
 * Which queries: a predicate, or some keys of a query as Looker returns it (`{ view: "orders" }`, `{ slug: "aB3" }`), all of which have to be
 * equal.
 *
 * @category models
 * @since 0.1.0
 */
export type QueryMatch = ((query: Query) => boolean) | Partial<Query>

/**
 * Which tasks: those of a query, and of them only the `nth` (from 1), or one in `every`, at most `times` times. Without any key, all.
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
 * Which requests: those to an endpoint, or to one of several, and about a query. A request about several tasks is about the query of each task.
 *
 * @category models
 * @since 0.1.0
 */
export interface OnRequest extends OnTask {
  readonly endpoint?: Endpoint | ReadonlyArray<Endpoint> | undefined
}

/**
 * A rule of the script. Where several rules apply to the same request or task, all their faults happen, in the order of the rules.
 *
 * **Example**
 *
 * ```ts
 * const faults: ReadonlyArray<Faults.Rule> = [
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
 * `add` and `clear` are for tests that change the script while the server runs. A rule counts from when it is added. A fault that has begun goes on.
 *
 * @category services
 * @since 0.1.0
 */
export class Faults extends Context.Service<
  Faults,
  {
    add(...rules: ReadonlyArray<Rule>): Effect.Effect<void, EmbeddedError>
    readonly clear: Effect.Effect<void>
    /** Counts the request, and gives the faults that happen to it. `queries` runs only where a rule needs it. */
    onRequest(
      endpoint: string,
      queries: Effect.Effect<ReadonlyArray<Query>>
    ): Effect.Effect<ReadonlyArray<RequestFault>>
    /** Counts the task, and gives the faults that happen to it. */
    onTask(query: Query): Effect.Effect<ReadonlyArray<TaskFault>>
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

/** These happen once by default: at every request, they would leave no token or no task. */
const once: ReadonlySet<Fault["_tag"]> = new Set<Fault["_tag"]>(["TokenDeath", "Restart"])

const matches = (match: QueryMatch, query: Query): boolean =>
  typeof match === "function"
    ? match(query)
    : Object.entries(match).every(([key, value]) => Equal.equals(query[key as keyof Query], value))

const endpointsOf = (on: OnRequest | undefined): ReadonlyArray<string> | undefined =>
  on?.endpoint === undefined ? undefined : typeof on.endpoint === "string" ? [on.endpoint] : on.endpoint

const isWhole = (value: number) => Number.isInteger(value) && value > 0

/** The models by their names, and in each the explores by theirs. */
type Models = ReadonlyMap<string, { readonly explores: ReadonlyMap<string, unknown> }>

/** Why no query can match the model and the explore of a rule, if none can. */
const unmatchable = (models: Models, { model, view }: Partial<Query>): string | undefined => {
  if (typeof model === "string" && !models.has(model)) {
    return `there is no model ${JSON.stringify(model)}. ${suggest(model, [...models.keys()])}`
  }
  if (typeof view !== "string") return undefined
  const candidates = [...models].filter(([name]) => typeof model !== "string" || name === model)
  const explores = new Set(candidates.flatMap(([, { explores }]) => [...explores.keys()]))
  return explores.has(view) ? undefined : `there is no explore ${JSON.stringify(view)}. ${suggest(view, [...explores])}`
}

/** What is wrong with a rule, if anything is. */
const mistakeIn = (models: Models, index: number, { fault, on }: Rule): EmbeddedError | undefined => {
  const mistake = (message: string) => new EmbeddedError({ message: `faults[${index}] (${fault._tag}): ${message}` })
  for (const key of ["nth", "every", "times"] as const) {
    const value = on?.[key]
    if (value !== undefined && !isWhole(value)) return mistake(`on.${key} is ${value}, and has to be 1, 2, …`)
  }
  const named = endpointsOf(on)
  if (named !== undefined && isOfTask(fault)) {
    return mistake("a fault of a task has no endpoint: leave out on.endpoint")
  }
  const unmatched = typeof on?.query === "object" ? unmatchable(models, on.query) : undefined
  if (unmatched !== undefined) return mistake(unmatched)
  const known: ReadonlyArray<string> = EmbeddedApi.endpoints.map(({ identifier }) => identifier)
  const unknown = named?.find((name) => !known.includes(name))
  if (unknown !== undefined) return mistake(`there is no endpoint ${unknown}, only ${known.join(", ")}`)
  switch (fault._tag) {
    case "Truncated": {
      const cut = "bytes" in fault.at ? fault.at.bytes : fault.at.fraction
      if (cut >= 0 && ("bytes" in fault.at ? Number.isInteger(cut) : cut <= 1)) return undefined
      return mistake("bytes has to be 0, 1, 2, …, and fraction from 0 to 1")
    }
    case "Slow":
    case "Delay":
      return Duration.isNegative(fault.duration) ? mistake("the time is negative") : undefined
    case "LeftOut":
    case "Shown": {
      const { polls } = fault.until
      if (polls !== undefined && !isWhole(polls)) return mistake(`polls is ${polls}, and has to be 1, 2, …`)
      return fault.until.for !== undefined && polls !== undefined
        ? mistake("for and polls exclude each other")
        : undefined
    }
    default:
      return undefined
  }
}

interface Counted {
  readonly rule: Rule
  /** Requests or tasks that matched. */
  matched: number
  /** Faults that happened. */
  happened: number
}

/** Counts a request or task that matches a rule, and gives whether the fault happens to it. */
const happens = (counted: Counted): boolean => {
  const { fault, on = {} } = counted.rule
  const { every = 1, nth, times = once.has(fault._tag) ? 1 : Number.POSITIVE_INFINITY } = on
  counted.matched++
  const isChosen = (nth === undefined || counted.matched === nth) && counted.matched % every === 0
  if (!isChosen || counted.happened >= times) return false
  counted.happened++
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
      const mistake = mistakeIn(models, index, rule)
      if (mistake !== undefined) return yield* mistake
    }
    rules = [...rules, ...added.map((rule) => ({ rule, matched: 0, happened: 0 }))]
  })

  const onRequest = Effect.fnUntraced(function* (endpoint: string, queries: Effect.Effect<ReadonlyArray<Query>>) {
    const candidates = rules.filter(({ rule: { fault, on } }) => {
      return !isOfTask(fault) && (endpointsOf(on)?.includes(endpoint) ?? true)
    })
    const about = candidates.some(({ rule }) => rule.on?.query !== undefined) ? yield* queries : []
    const happening = candidates.filter((counted) => {
      const match = counted.rule.on?.query
      return (match === undefined || about.some((query) => matches(match, query))) && happens(counted)
    })
    return happening.flatMap(({ rule: { fault } }) => (isOfTask(fault) ? [] : [fault]))
  })

  const onTask = (query: Query) =>
    Effect.sync(() =>
      rules.flatMap((counted) => {
        const { fault, on } = counted.rule
        const match = on?.query
        return isOfTask(fault) && (match === undefined || matches(match, query)) && happens(counted) ? [fault] : []
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
