/**
 * A Looker query as SQL. What the embedded Looker cannot do is refused by name, never ignored.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { knownKeys, type QueryInput } from "../../domain/Query.ts"
import type { ValidationDetail, ValidationFailed } from "../../LookerError.ts"
import * as FilterExpression from "../language/FilterExpression.ts"
import * as LookerExpression from "../language/LookerExpression.ts"
import type { Dimension, Field, Model, Timeframe } from "../model/Model.ts"
import { detail, invalid, suggestUnlessCounted } from "../refusal/Validation.ts"
import * as DynamicFields from "./DynamicFields.ts"
import { measureSql, valueSql } from "./FieldSql.ts"
import type { Fill, Plan, Sort } from "./QueryPlan.ts"
import * as QuerySql from "./QuerySql.ts"

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

/** The rows of a query that names no limit. Looker's own default for the API is not documented; this is its UI's for exports. */
const defaultLimit = 500

const isSet = (value: unknown): boolean =>
  value !== undefined &&
  value !== null &&
  value !== false &&
  value !== "" &&
  !(Array.isArray(value) && value.length === 0)

/** Keys that would change the rows. */
const refusedKeys = ["quick_calcs", "analysis_config"] as const

/**
 * What is wrong with the keys of a query: those that no query has, and those that would change its rows and are not supported.
 *
 * @category conversions
 * @since 0.1.0
 */
export const unsupportedKeys = (query: QueryInput): ReadonlyArray<ValidationDetail> => {
  const unknown = Object.keys(query).filter((key) => !knownKeys.has(key))
  const misspelt = unknown.map((key, index) =>
    detail(
      key,
      "unknown",
      `A query has no ${JSON.stringify(key)}. ${suggestUnlessCounted(key, [...knownKeys], index, "/docs")}`
    )
  )
  const refused = refusedKeys
    .filter((key) => isSet(query[key]))
    .map((key) => detail(key, "not_supported", `${key} is not supported by the embedded Looker.`))
  return [...misspelt, ...refused]
}

const limitOf = (limit: QueryInput["limit"]): Result.Result<number | undefined, ValidationDetail> => {
  if (limit === undefined || limit === null || limit === "") return Result.succeed(defaultLimit)
  const text = String(limit).trim()
  if (text === "-1") return Result.succeed(undefined)
  if (/^\d{1,15}$/.test(text)) return Result.succeed(Number(text))
  return Result.fail(detail("limit", "invalid", `limit ${JSON.stringify(limit)} is neither a row count nor -1.`))
}

/** Looker's default (seen in the queries that its pages save) and its limit for pivot columns (documented). */
const defaultColumnLimit = 50
const mostColumns = 200

const columnLimitOf = (limit: QueryInput["column_limit"]): Result.Result<number, ValidationDetail> => {
  if (limit === undefined || limit === null || limit === "") return Result.succeed(defaultColumnLimit)
  const columns = /^\d{1,15}$/.test(String(limit).trim()) ? Number(limit) : 0
  if (columns >= 1 && columns <= mostColumns) return Result.succeed(columns)
  const message = `column_limit ${JSON.stringify(limit)} is not a number from 1 to ${mostColumns}.`
  return Result.fail(detail("column_limit", "invalid", message))
}

const rowTotalOf = (rowTotal: QueryInput["row_total"]): Result.Result<Plan["rowTotal"], ValidationDetail> => {
  if (rowTotal === undefined || rowTotal === null || rowTotal === "") return Result.succeed(undefined)
  if (rowTotal === "left" || rowTotal === "right") return Result.succeed(rowTotal)
  const message = `row_total ${JSON.stringify(rowTotal)} is neither "right" nor "left".`
  return Result.fail(detail("row_total", "invalid", message))
}

const timezoneOf = (name: QueryInput["query_timezone"]): Result.Result<string, ValidationDetail> => {
  if (name === undefined || name === null || name === "") return Result.succeed("UTC")
  // Numbers such as +02:00 are zones for JavaScript, and not for DuckDB.
  const known = /^[A-Za-z]/.test(name) && Option.isSome(DateTime.zoneMakeNamed(name))
  if (known) return Result.succeed(name === "Etc/UTC" ? "UTC" : name)
  const message = `query_timezone ${JSON.stringify(name)} is no time zone: write a name such as "America/New_York".`
  return Result.fail(detail("query_timezone", "invalid", message))
}

/** A sort by a pivot takes columns of its own, and nobody sorts by as many. */
const mostSorts = 100

/** `view.field desc 2`: the number is that of a pivot column. Looker leaves it there without pivots too. */
const sortPattern = /^(\S+?)(?:\s+(asc|desc))?(?:\s+(\d{1,6}))?$/i

/**
 * Looker's default order: by the first date, latest first; without one by the first measure, largest first; without one by the
 * first dimension.
 */
const defaultSorts = (fields: ReadonlyArray<Field>): ReadonlyArray<Sort> => {
  const dimensions = fields.filter((field) => field.category === "dimension")
  // Years are numbers, and dates all the same.
  const date = dimensions.find(
    (field) => field.type === "date" || field.type === "time" || field.timeframe !== undefined
  )
  const latestOrLargest = date ?? fields.find((field) => field.category === "measure")
  if (latestOrLargest !== undefined) return [{ field: latestOrLargest.name, desc: true }]
  return dimensions.slice(0, 1).map((field) => ({ field: field.name, desc: false }))
}

const unsorted = "__UNSORTED__"

interface Where {
  readonly field: Field
  readonly expression: string
  readonly condition: string
}

const isFillable = (timeframe: Timeframe | undefined) => timeframe !== undefined && timeframe !== "time"

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
    const errors: Array<ValidationDetail> = [...unsupportedKeys(query)]
    const model = models.get(query.model)
    if (model === undefined) {
      const known = suggestUnlessCounted(query.model, [...models.keys()], errors.length, "/")
      errors.push(detail("model", "not_found", `Unknown model ${JSON.stringify(query.model)}. ${known}`))
      return Effect.fail(invalid(errors))
    }
    const modelled = model.explores.get(query.view)
    if (modelled === undefined) {
      const known = suggestUnlessCounted(query.view, [...model.explores.keys()], errors.length, "/")
      errors.push(detail("view", "not_found", `Unknown explore ${JSON.stringify(query.view)}. ${known}`))
      return Effect.fail(invalid(errors))
    }

    /** What is right; what is wrong is remembered. */
    const orError = <A>(result: Result.Result<A, ValidationDetail>): A | undefined => {
      if (Result.isSuccess(result)) return result.success
      errors.push(result.failure)
      return undefined
    }
    const timezone = orError(timezoneOf(query.query_timezone)) ?? "UTC"
    const limit = orError(limitOf(context.limit ?? query.limit))
    const columnLimit = orError(columnLimitOf(query.column_limit)) ?? defaultColumnLimit
    const rowTotal = orError(rowTotalOf(query.row_total))

    const condition = (field: Field, expression: string, column?: string) => {
      const [type, own] =
        field.category === "dimension" ? [field.columnType, field.column] : [field.type, measureSql(field, explore)]
      return FilterExpression.toSql(type, column ?? own, expression, { now: context.now, timezone })
    }

    const expression = (text: string, find: DynamicFields.Find) =>
      LookerExpression.compile(text, (name) => Result.map(find(name), (dimension) => valueSql(dimension, timezone)), {
        now: context.now,
        timezone
      })

    const dynamic = DynamicFields.compile(query.dynamic_fields || "[]", {
      explore: modelled,
      timezone,
      condition,
      expression
    })
    for (const message of dynamic.errors) errors.push(detail("dynamic_fields", "invalid", message))
    const explore = { ...modelled, fields: new Map([...modelled.fields, ...dynamic.fields]) }

    /** In Looker itself, an explore may have the fields of several views. */
    const known = (name: string): string => {
      const view = name.slice(0, Math.max(0, name.indexOf(".")))
      return view !== query.view && model.explores.has(view)
        ? `${view} is another explore: an explore of the embedded Looker is one file, and there are no joins.`
        : suggestUnlessCounted(name, [...explore.fields.keys()], errors.length, "/")
    }

    const find = (name: string, where: string): Field | undefined => {
      const field = explore.fields.get(name)
      if (field === undefined) {
        errors.push(detail(where, "not_found", `Unknown field ${JSON.stringify(name)}. ${known(name)}`))
      }
      return field
    }

    const asked = query.fields ?? []
    if (asked.length === 0) {
      errors.push(detail("fields", "missing_field", "Must query at least one dimension or measure."))
    }
    const fields = [...new Set(asked)].map((name) => find(name, "fields")).filter((field) => field !== undefined)
    const grouping = fields.filter((field) => field.category === "dimension")
    const measures = fields.filter((field) => field.category === "measure")

    /** The dimensions of the query that one of its lists names. */
    const dimensionsOf = (key: "pivots" | "subtotals" | "fill_fields"): ReadonlyArray<Dimension> =>
      [...new Set(query[key] ?? [])].flatMap((name) => {
        const field = find(name, key)
        if (field === undefined) return []
        const dimension = grouping.find((dimension) => dimension.name === name)
        if (dimension !== undefined) return [dimension]
        const why = field.category === "measure" ? "is no dimension" : "is not one of the fields of the query"
        errors.push(detail(key, "invalid", `${key}: ${name} ${why}.`))
        return []
      })

    // Their order is that of `pivots`: the first one is the outermost.
    const pivotFields = dimensionsOf("pivots")
    if (pivotFields.length > 0 && measures.length === 0) {
      errors.push(detail("pivots", "invalid", "A query with pivots has to have a measure."))
    }
    // Dimensions come before measures in Looker's results (inferred from its tables), each in the order asked for.
    const dimensions = grouping.filter((dimension) => !pivotFields.includes(dimension))

    const subtotals = dimensionsOf("subtotals").flatMap((dimension) => {
      if (!pivotFields.includes(dimension)) return [dimensions.indexOf(dimension) + 1]
      errors.push(detail("subtotals", "invalid", `subtotals: ${dimension.name} is pivoted.`))
      return []
    })

    const conditions: Array<Where> = []
    for (const [name, expression] of Object.entries(query.filters ?? {})) {
      const field = find(name, "filters")
      if (field === undefined) continue
      const read = condition(field, expression)
      if (Result.isFailure(read)) {
        const why = `Filter ${JSON.stringify(expression)} on ${name}: ${read.failure}.`
        errors.push(detail("filters", "invalid", why))
      } else if (read.success !== "") {
        conditions.push({ field, expression, condition: `(${read.success})` })
      }
    }
    const among = (category: Field["category"]) => conditions.filter(({ field }) => field.category === category)
    const custom = query.filter_expression || undefined
    const read =
      custom === undefined
        ? undefined
        : expression(custom, (name) => {
            const field = explore.fields.get(name)
            if (field === undefined) return Result.fail(`unknown field ${JSON.stringify(name)}. ${known(name)}`)
            return field.category === "dimension" ? Result.succeed(field) : Result.fail(`${name} is no dimension`)
          })
    if (read !== undefined && Result.isFailure(read)) {
      errors.push(detail("filter_expression", "invalid", `filter_expression: ${read.failure}.`))
    } else if (read !== undefined && read.success.type !== "yesno") {
      errors.push(detail("filter_expression", "invalid", "filter_expression is neither true nor false."))
    }
    const where = [
      ...among("dimension").map((where) => where.condition),
      ...(read !== undefined && Result.isSuccess(read) ? [`(${read.success.sql})`] : [])
    ]
    const having = among("measure").map((where) => where.condition)

    const fills = dimensionsOf("fill_fields").flatMap((dimension): ReadonlyArray<Fill> => {
      const { name, timeframe } = dimension
      const refuse = (why: string) => {
        errors.push(detail("fill_fields", "not_supported", `fill_fields: ${name} cannot be filled: ${why}.`))
        return []
      }
      if (timeframe === undefined || !isFillable(timeframe)) {
        return refuse("the embedded Looker fills dates, weeks, months, quarters and years")
      }
      if ((pivotFields.includes(dimension) ? pivotFields : dimensions).length > 1) {
        return refuse("it has to be the only dimension, or the only pivot")
      }
      // As Looker, which would otherwise bring back what the filter took away.
      if (having.length > 0) return refuse("the query filters a measure")
      const filters = among("dimension").filter(
        ({ field }) => field.category === "dimension" && field.column === dimension.column
      )
      const within = (column: string) =>
        filters.flatMap(({ expression, field }) => {
          const read = condition(field, expression, column)
          return Result.isSuccess(read) ? [read.success] : []
        })
      return [{ dimension, timeframe, within }]
    })

    const sorts: Array<Sort> = []
    const wanted = query.sorts ?? []
    for (const text of wanted.includes(unsorted) ? [] : wanted) {
      const [, name = "", direction, pivot] = sortPattern.exec(text.trim()) ?? []
      if (name === "") {
        const why = `Sort ${JSON.stringify(text)} cannot be read: write "view.field", "view.field desc" or, with pivots, "view.field desc 0".`
        errors.push(detail("sorts", "invalid", why))
      } else if (find(name, "sorts") !== undefined && !fields.some((field) => field.name === name)) {
        errors.push(detail("sorts", "invalid", `Sort field ${name} is not one of the fields of the query.`))
      } else {
        const desc = direction?.toLowerCase() === "desc"
        sorts.push({ field: name, desc, ...(pivot === undefined ? {} : { pivot: Number(pivot) }) })
      }
    }
    if (sorts.length > mostSorts) {
      errors.push(detail("sorts", "invalid", `There are ${sorts.length} sorts: ${mostSorts} are the most.`))
    }
    if (errors.length > 0) return Effect.fail(invalid(errors))

    const plan = {
      explore,
      fields: [...dimensions, ...pivotFields, ...measures],
      dimensions,
      pivotFields,
      measures,
      filters: query.filters ?? {},
      filterExpression: custom,
      where,
      having,
      sorts: wanted.length === 0 ? defaultSorts([...dimensions, ...measures]) : sorts,
      limit,
      columnLimit,
      // Without measures there is nothing to total.
      total: query.total === true && measures.length > 0,
      rowTotal,
      subtotals,
      fills,
      timezone
    }
    return Effect.succeed({ ...plan, sql: QuerySql.shown(plan) })
  })
