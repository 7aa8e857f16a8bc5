/**
 * The queries that were created: immutable, one for each distinct body, with an id made from the body.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Query, QueryInput } from "../../domain/Query.ts"
import { NotFound, type ValidationDetail, type ValidationFailed } from "../../LookerError.ts"
import * as QueryCompiler from "../engine/QueryCompiler.ts"
import type { Plan } from "../engine/QueryPlan.ts"
import type { Model } from "../model/Model.ts"
import { detail, invalid } from "../refusal/Validation.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface StoredQuery {
  readonly query: Query & { readonly id: string }
  readonly input: QueryInput
}

/**
 * `now` is the present for relative dates, in milliseconds since 1970. By default it is the time at which a query is planned.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly now: number | undefined
}

/**
 * **Details**
 *
 * `plan` compiles a query again for each task, so that relative dates are relative to the time of the task.
 *
 * @category services
 * @since 0.1.0
 */
export class QueryStore extends Context.Service<
  QueryStore,
  {
    readonly models: ReadonlyMap<string, Model>
    create(input: QueryInput): Effect.Effect<StoredQuery, ValidationFailed>
    get(id: string): Effect.Effect<StoredQuery, NotFound>
    forSlug(slug: string): Effect.Effect<StoredQuery, NotFound>
    plan(stored: StoredQuery, limit: number | undefined): Effect.Effect<Plan, ValidationFailed>
  }
>()("effect-looker/embedded/QueryStore") {}

type Body = ReturnType<typeof normalised>

/** The body as Looker stores it: every documented key, absent ones and `fields: []` as null, limits as text. */
const normalised = (input: QueryInput) => ({
  model: input.model,
  view: input.view,
  fields: input.fields?.length ? input.fields : null,
  pivots: input.pivots ?? null,
  fill_fields: input.fill_fields ?? null,
  filters: input.filters ?? null,
  filter_expression: input.filter_expression ?? null,
  sorts: input.sorts ?? null,
  limit: input.limit == null ? null : String(input.limit),
  column_limit: input.column_limit == null ? null : String(input.column_limit),
  total: input.total ?? null,
  row_total: input.row_total ?? null,
  subtotals: input.subtotals ?? null,
  vis_config: input.vis_config ?? null,
  filter_config: input.filter_config ?? null,
  visible_ui_sections: input.visible_ui_sections ?? null,
  dynamic_fields: input.dynamic_fields ?? null,
  client_id: input.client_id || null,
  query_timezone: input.query_timezone ?? null
})

/** The deepest nesting of a body. Deeper ones could overflow the stack: bodies are compared and encoded by recursion. */
const mostLevels = 100

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1)))

const sortedKeys = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/**
 * Letters and digits that depend on the text alone, so that a query has the same slug in every run.
 *
 * The hash is `node:crypto`'s because it is synchronous: nothing may run between the look-up of a body and its storage.
 */
const lettersFor = (text: string, length: number): string =>
  [...createHash("sha256").update(`${length}:${text}`).digest().subarray(0, length)]
    .map((byte) => alphabet[byte % alphabet.length])
    .join("")

/**
 * Fifteen digits that depend on the text alone, so that an id that a client kept over a restart cannot become that of another query.
 */
const digitsFor = (text: string): number =>
  1e14 + Number(createHash("sha256").update(text).digest().readBigUInt64BE() % BigInt(9e14))

/** The most characters of `vis_config` and `filter_config`, which are kept as long as the server runs and never used. */
const mostConfig = 1_000_000

/** What no query may have, whatever its model. */
const bodyErrors = (body: Body): ReadonlyArray<ValidationDetail> => {
  if (body.client_id !== null && !/^[A-Za-z0-9]{22}$/.test(body.client_id)) {
    return [detail("client_id", "invalid", "client_id must be 22 letters and digits.")]
  }
  const deep = Object.entries(body).filter(([, value]) => isDeeper(value, mostLevels))
  if (deep.length > 0) {
    return deep.map(([field]) => detail(field, "invalid", `${field} is nested more than ${mostLevels} levels deep.`))
  }
  if (JSON.stringify([body.vis_config, body.filter_config]).length <= mostConfig) return []
  const message = `vis_config and filter_config have more than ${mostConfig} characters: the embedded Looker keeps no more.`
  return [detail(body.vis_config === null ? "filter_config" : "vis_config", "invalid", message)]
}

/** The host of `share_url`. The embedded Looker has no such pages. */
const pages = "http://embedded.looker"

const urlsOf = (body: Body, clientId: string) => {
  const parameters = new URLSearchParams()
  const set = (name: string, value: string | null) => {
    if (value !== null && value !== "") parameters.set(name, value)
  }
  const list = (names: ReadonlyArray<string> | null) => names?.join(",") ?? null
  set("fields", list(body.fields))
  set("pivots", list(body.pivots))
  set("fill_fields", list(body.fill_fields))
  for (const [field, expression] of Object.entries(body.filters ?? {})) parameters.set(`f[${field}]`, expression)
  set("filter_expression", body.filter_expression)
  set("sorts", list(body.sorts))
  set("limit", body.limit)
  set("column_limit", body.column_limit)
  set("total", body.total === true ? "on" : null)
  set("row_total", body.row_total)
  set("subtotals", list(body.subtotals))
  set("query_timezone", body.query_timezone)
  set("dynamic_fields", body.dynamic_fields)
  set("vis", body.vis_config === null ? null : JSON.stringify(body.vis_config))
  const explore = `/explore/${body.model}/${body.view}`
  return {
    share_url: `${pages}/x/${clientId}`,
    expanded_share_url: `${pages}${explore}?${parameters}`,
    url: `${explore}?${parameters}`
  }
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (models: ReadonlyMap<string, Model>, options: Options): QueryStore["Service"] => {
  const byBody = new Map<string, StoredQuery>()
  const byId = new Map<string, StoredQuery>()
  const bySlug = new Map<string, StoredQuery>()

  const now = options.now === undefined ? Clock.currentTimeMillis : Effect.succeed(options.now)
  const compile = (input: QueryInput, limit?: number) =>
    Effect.flatMap(now, (now) => QueryCompiler.compile(models, input, { now, limit }))

  const unusedLetters = (text: string, length: number): string => {
    const letters = lettersFor(text, length)
    return bySlug.has(letters) ? unusedLetters(`${text} `, length) : letters
  }

  /** The query with this body, which is stored if no query has it. It is synchronous, so that a body is stored once. */
  const store = (input: QueryInput, body: Body, key: string): Result.Result<StoredQuery, ValidationFailed> => {
    const known = byBody.get(key)
    if (known !== undefined) return Result.succeed(known)
    if (body.client_id !== null && bySlug.has(body.client_id)) {
      const message = `client_id ${body.client_id} is that of another query: leave it out, or make up another one.`
      return Result.fail(invalid([detail("client_id", "taken", message)]))
    }
    const client_id = body.client_id ?? unusedLetters(key, 22)
    const slug = unusedLetters(key, 7)
    let id = digitsFor(key)
    while (byId.has(String(id))) id++
    const query = {
      can: { run: true, see_results: true, explore: true, create: true, show: true, download: true },
      id: String(id),
      ...body,
      client_id,
      slug,
      ...urlsOf(body, client_id),
      has_table_calculations: false
    }
    const stored = { query, input }
    byBody.set(key, stored)
    byId.set(query.id, stored)
    bySlug.set(slug, stored).set(client_id, stored)
    return Result.succeed(stored)
  }

  const create = Effect.fn("QueryStore.create")(function* (input: QueryInput) {
    const body = normalised(input)
    const errors = bodyErrors(body)
    if (errors.length > 0) return yield* invalid(errors)
    const key = JSON.stringify(body, sortedKeys)
    if (byBody.has(key)) {
      // The stored body has only the keys that are supported, so a body with other keys can be equal to it.
      const unsupported = QueryCompiler.unsupportedKeys(input)
      if (unsupported.length > 0) return yield* invalid(unsupported)
    } else {
      yield* compile(input)
    }
    return yield* Effect.fromResult(store(input, body, key))
  })
  const lookUp = (queries: ReadonlyMap<string, StoredQuery>) => (key: string) =>
    Effect.suspend(() => {
      const stored = queries.get(key)
      return stored === undefined ? Effect.fail(new NotFound({ message: "Not found" })) : Effect.succeed(stored)
    })
  return QueryStore.of({
    models,
    create,
    get: lookUp(byId),
    forSlug: lookUp(bySlug),
    plan: ({ input }, limit) => compile(input, limit)
  })
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (models: ReadonlyMap<string, Model>, options: Options): Layer.Layer<QueryStore> =>
  Layer.sync(QueryStore, () => make(models, options))
