/**
 * A Looker query as SQL. What the embedded Looker cannot do is refused by name, never ignored.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { knownKeys, type QueryInput } from "../domain/Query.ts"
import { type ValidationDetail, ValidationFailed } from "../LookerError.ts"
import { dimensionSql, measureSql } from "./FieldSql.ts"
import * as FilterExpression from "./FilterExpression.ts"
import type { Dimension, Explore, Field, Measure, Model } from "./Model.ts"
import { identifier } from "./Sql.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Sort {
  readonly field: string
  readonly desc: boolean
}

/**
 * When a query is read, in milliseconds since 1970, and the limit that a task has instead of the query's own.
 *
 * @category models
 * @since 0.1.0
 */
export interface Context {
  readonly now: number
  readonly limit?: number | undefined
}

/**
 * A query that will run: what it asks for, found in the model. `sql` is the statement that gives its rows, in order, as a person reads it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan {
  readonly explore: Explore
  readonly fields: ReadonlyArray<Field>
  readonly dimensions: ReadonlyArray<Dimension>
  readonly pivotFields: ReadonlyArray<Dimension>
  readonly measures: ReadonlyArray<Measure>
  readonly filters: Readonly<Record<string, string>>
  readonly sorts: ReadonlyArray<Sort>
  readonly limit: number | undefined
  readonly timezone: string
  readonly sql: string
}

/** The rows of a query that names no limit. Looker's own default for the API is not documented; this is its UI's for exports. */
const defaultLimit = 500

/** Suggests at most this many names. */
const suggestions = 8

/** A query may have any number of mistakes, and to look for names close to a wrong one takes time: the rest is counted. */
const mostErrors = 10

const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** `told` is how many errors come before this one. */
const closeTo = (name: string, names: ReadonlyArray<string>, told: number): string => {
  if (told >= mostErrors) return ""
  const asked = name.slice(0, 100).toLowerCase()
  const close = names.filter((known) => distance(asked, known.toLowerCase()) <= Math.max(2, asked.length / 4))
  if (close.length > 0) return `Did you mean ${close.slice(0, suggestions).join(", ")}?`
  const more = names.length > suggestions ? ", ..." : ""
  return `There are ${names.slice(0, suggestions).join(", ")}${more}.`
}

const detail = (field: string, code: string, message: string): ValidationDetail => ({ field, code, message })

/**
 * A 422 with what is wrong: the first ten errors, and how many more there are.
 *
 * @category errors
 * @since 0.1.0
 */
export const invalid = (all: ReadonlyArray<ValidationDetail>): ValidationFailed => {
  const next = all[mostErrors]
  const more = `There are ${all.length - mostErrors} more errors.`
  const errors = next === undefined ? all : [...all.slice(0, mostErrors), { ...next, code: "more", message: more }]
  return new ValidationFailed({
    message: `Validation Failed: ${errors.map((error) => error.message).join(" ")}`,
    errors
  })
}

const isSet = (value: unknown): boolean =>
  value !== undefined &&
  value !== null &&
  value !== false &&
  value !== "" &&
  !(Array.isArray(value) && value.length === 0)

/** What would change the rows, and cannot be done yet. */
const refused = [
  "pivots",
  "fill_fields",
  "filter_expression",
  "total",
  "row_total",
  "subtotals",
  "dynamic_fields",
  "quick_calcs",
  "analysis_config"
] as const

const unsupported = (query: QueryInput): ReadonlyArray<ValidationDetail> => {
  const unknown = Object.keys(query).filter((key) => !knownKeys.has(key))
  const set = refused.filter((key) => isSet(query[key]) && !(key === "dynamic_fields" && query[key] === "[]"))
  const misspelt = unknown.map((key, index) =>
    detail(key, "unknown", `A query has no ${JSON.stringify(key)}. ${closeTo(key, [...knownKeys], index)}`)
  )
  const unable = set.map((key) => detail(key, "not_supported", `${key} is not supported by the embedded Looker yet.`))
  return [...misspelt, ...unable]
}

const limitOf = (limit: QueryInput["limit"]): Result.Result<number | undefined, ValidationDetail> => {
  if (limit === undefined || limit === null || limit === "") return Result.succeed(defaultLimit)
  const text = String(limit).trim()
  if (text === "-1") return Result.succeed(undefined)
  if (/^\d{1,15}$/.test(text)) return Result.succeed(Number(text))
  return Result.fail(detail("limit", "invalid", `limit ${JSON.stringify(limit)} is neither a row count nor -1.`))
}

const timezoneOf = (name: QueryInput["query_timezone"]): Result.Result<string, ValidationDetail> => {
  if (name === undefined || name === null || name === "") return Result.succeed("UTC")
  // Numbers such as +02:00 are zones for JavaScript, and not for DuckDB.
  const known = /^[A-Za-z]/.test(name) && Option.isSome(DateTime.zoneMakeNamed(name))
  if (known) return Result.succeed(name === "Etc/UTC" ? "UTC" : name)
  const message = `query_timezone ${JSON.stringify(name)} is no time zone: write a name such as "America/New_York".`
  return Result.fail(detail("query_timezone", "invalid", message))
}

const sortPattern = /^(\S+?)(?:\s+(asc|desc))?$/i

/**
 * Looker's default order: by the first date, latest first; without one by the first measure, largest first; without one by the
 * first dimension.
 */
const defaultSorts = (fields: ReadonlyArray<Field>): ReadonlyArray<Sort> => {
  const dimensions = fields.filter((field) => field.category === "dimension")
  const date = dimensions.find((field) => field.type === "date" || field.type === "time")
  const latestOrLargest = date ?? fields.find((field) => field.category === "measure")
  if (latestOrLargest !== undefined) return [{ field: latestOrLargest.name, desc: true }]
  return dimensions.slice(0, 1).map((field) => ({ field: field.name, desc: false }))
}

const unsorted = "__UNSORTED__"

interface Where {
  readonly field: Field
  readonly condition: string
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const compile = (
  models: ReadonlyMap<string, Model>,
  query: QueryInput,
  context: Context
): Effect.Effect<Plan, ValidationFailed> =>
  Effect.suspend(() => {
    const errors: Array<ValidationDetail> = [...unsupported(query)]
    const model = models.get(query.model)
    if (model === undefined) {
      const known = closeTo(query.model, [...models.keys()], errors.length)
      errors.push(detail("model", "not_found", `Unknown model ${JSON.stringify(query.model)}. ${known}`))
      return Effect.fail(invalid(errors))
    }
    const explore = model.explores.get(query.view)
    if (explore === undefined) {
      const known = closeTo(query.view, [...model.explores.keys()], errors.length)
      errors.push(detail("view", "not_found", `Unknown explore ${JSON.stringify(query.view)}. ${known}`))
      return Effect.fail(invalid(errors))
    }

    /** What is right; what is wrong is remembered. */
    const orError = <A>(result: Result.Result<A, ValidationDetail>): A | undefined => {
      if (Result.isSuccess(result)) return result.success
      errors.push(result.failure)
      return undefined
    }

    const find = (name: string, where: string): Field | undefined => {
      const field = explore.fields.get(name)
      if (field === undefined) {
        const known = closeTo(name, [...explore.fields.keys()], errors.length)
        errors.push(detail(where, "not_found", `Unknown field ${JSON.stringify(name)}. ${known}`))
      }
      return field
    }

    const asked = query.fields ?? []
    if (asked.length === 0) {
      errors.push(detail("fields", "missing_field", "Must query at least one dimension or measure."))
    }
    const found = [...new Set(asked)].map((name) => find(name, "fields")).filter((field) => field !== undefined)
    // Dimensions come before measures in Looker's results (inferred from its tables), each in the order asked for.
    const dimensions = found.filter((field) => field.category === "dimension")
    const measures = found.filter((field) => field.category === "measure")
    const fields = [...dimensions, ...measures]

    const timezone = orError(timezoneOf(query.query_timezone)) ?? "UTC"
    const conditions: Array<Where> = []
    for (const [name, expression] of Object.entries(query.filters ?? {})) {
      const field = find(name, "filters")
      if (field === undefined) continue
      const [type, column] =
        field.category === "dimension" ? [field.columnType, field.column] : [field.type, measureSql(field)]
      const condition = FilterExpression.toSql(type, column, expression, { now: context.now, timezone })
      if (Result.isFailure(condition)) {
        const why = `Filter ${JSON.stringify(expression)} on ${name}: ${condition.failure}.`
        errors.push(detail("filters", "invalid", why))
      } else if (condition.success !== "") {
        conditions.push({ field, condition: condition.success })
      }
    }

    const sorts: Array<Sort> = []
    const wanted = query.sorts ?? []
    for (const text of wanted.includes(unsorted) ? [] : wanted) {
      const [, name = "", direction] = sortPattern.exec(text.trim()) ?? []
      if (name === "") {
        const why = `Sort ${JSON.stringify(text)} is not supported by the embedded Looker: write "view.field" or "view.field desc".`
        errors.push(detail("sorts", "invalid", why))
      } else if (find(name, "sorts") !== undefined && !fields.some((field) => field.name === name)) {
        errors.push(detail("sorts", "invalid", `Sort field ${name} is not one of the fields of the query.`))
      } else {
        sorts.push({ field: name, desc: direction?.toLowerCase() === "desc" })
      }
    }
    const limit = orError(limitOf(context.limit ?? query.limit))
    if (errors.length > 0) return Effect.fail(invalid(errors))

    const ordered = wanted.length === 0 ? defaultSorts(fields) : sorts
    // All dimensions break ties, so that the same query always gives the same bytes.
    const ties = dimensions
      .filter((field) => !ordered.some((sort) => sort.field === field.name))
      .map((field) => ({ field: field.name, desc: false }))
    const by = [...ordered, ...ties].map(
      ({ desc, field }) => `${identifier(field)} ${desc ? "DESC" : "ASC"} NULLS LAST`
    )
    const among = (category: Field["category"]) =>
      conditions.filter((where) => where.field.category === category).map((where) => `(${where.condition})`)
    const where = among("dimension")
    const having = among("measure")
    const columns = fields.map((field) => {
      const sql = field.category === "dimension" ? dimensionSql(field, timezone) : measureSql(field)
      return `    ${sql} AS ${identifier(field.name)}`
    })
    const sql = [
      `SELECT\n${columns.join(",\n")}`,
      `FROM ${explore.view.sqlTable}`,
      ...(where.length > 0 ? [`WHERE ${where.join(" AND ")}`] : []),
      ...(dimensions.length > 0 ? [`GROUP BY ${dimensions.map((_, index) => index + 1).join(", ")}`] : []),
      ...(having.length > 0 ? [`HAVING ${having.join(" AND ")}`] : []),
      ...(by.length > 0 ? [`ORDER BY ${by.join(", ")}`] : []),
      ...(limit === undefined ? [] : [`LIMIT ${limit}`])
    ].join("\n")
    return Effect.succeed({
      explore,
      fields,
      dimensions,
      pivotFields: [],
      measures,
      filters: query.filters ?? {},
      sorts: ordered,
      limit,
      timezone,
      sql
    })
  })
