/**
 * Compiles queries. What the embedded Looker does not support is refused by name, never ignored.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { knownKeys, type QueryInput } from "../../domain/Query.ts"
import type { ValidationDetail, ValidationFailed } from "../../LookerError.ts"
import type { Explore, Field, Model } from "../model/Model.ts"
import { detail, invalid, suggestUnlessCounted } from "../refusal/Validation.ts"
import * as DynamicFields from "./DynamicFields.ts"
import { fieldsOf, pivotsOf, subtotalsOf } from "./QueryCompiler/Fields.ts"
import { fillsOf } from "./QueryCompiler/Fills.ts"
import { filterExpressionOf, filtersOf } from "./QueryCompiler/Filters.ts"
import * as Scope from "./QueryCompiler/Scope.ts"
import * as Settings from "./QueryCompiler/Settings.ts"
import { defaultSorts, sortsOf } from "./QueryCompiler/Sorts.ts"
import type { Clauses, Plan } from "./QueryPlan.ts"
import * as QuerySql from "./QuerySql.ts"

/**
 * The present, in milliseconds since 1970, for relative dates, and the limit of a task, which replaces the limit of the query.
 *
 * @category models
 * @since 0.1.0
 */
export interface Context {
  readonly now: number
  readonly limit?: number | undefined
}

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

const findExplore = (
  models: ReadonlyMap<string, Model>,
  query: QueryInput,
  suggest: Scope.Options["suggest"]
): Result.Result<{ readonly model: Model; readonly explore: Explore }, ValidationDetail> => {
  const unknown = (key: "model" | "view", kind: string, names: Iterable<string>) =>
    detail(key, "not_found", `Unknown ${kind} ${JSON.stringify(query[key])}. ${suggest(query[key], [...names])}`)
  const model = models.get(query.model)
  if (model === undefined) return Result.fail(unknown("model", "model", models.keys()))
  const explore = model.explores.get(query.view)
  return explore === undefined
    ? Result.fail(unknown("view", "explore", model.explores.keys()))
    : Result.succeed({ model, explore })
}

/**
 * The plan of a query, or a 422 with all that is wrong with it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const compile = (
  models: ReadonlyMap<string, Model>,
  query: QueryInput,
  context: Context
): Effect.Effect<Plan, ValidationFailed> =>
  Effect.suspend(() => {
    // A clause that is wrong adds its errors and is left out, so that the other clauses are checked too.
    const errors = [...unsupportedKeys(query)]
    const take = <A>(result: Result.Result<A, ValidationDetail>): A | undefined => {
      if (Result.isSuccess(result)) return result.success
      errors.push(result.failure)
      return undefined
    }
    const takeAll = <A>(results: ReadonlyArray<Result.Result<A, ValidationDetail>>): ReadonlyArray<A> => {
      const values: Array<A> = []
      for (const result of results) {
        if (Result.isSuccess(result)) values.push(result.success)
        else errors.push(result.failure)
      }
      return values
    }
    // Every suggestion is part of an error, so there are at least as many errors as suggestions.
    let suggestions = errors.length
    const suggest = (name: string, names: ReadonlyArray<string>) =>
      suggestUnlessCounted(name, names, suggestions++, "/")

    const found = take(findExplore(models, query, suggest))
    if (found === undefined) return Effect.fail(invalid(errors))
    const { model } = found

    const { now } = context
    const timezone = take(Settings.timezoneOf(query.query_timezone)) ?? "UTC"
    const limit = take(Settings.limitOf(context.limit ?? query.limit))
    const columnLimit = take(Settings.columnLimitOf(query.column_limit)) ?? Settings.defaultColumnLimit
    const rowTotal = take(Settings.rowTotalOf(query.row_total))

    const dynamic = DynamicFields.compile(query.dynamic_fields || "[]", { explore: found.explore, now, timezone })
    errors.push(...dynamic.errors.map((message) => detail("dynamic_fields", "invalid", message)))
    const explore = { ...found.explore, fields: new Map([...found.explore.fields, ...dynamic.fields]) }
    const scope = Scope.make({ model, explore, now, timezone, suggest })

    const selected = takeAll(fieldsOf(scope, query))
    const measures = selected.filter((field) => field.category === "measure")
    const pivotFields = takeAll(pivotsOf(scope, query, selected))
    // Dimensions come before measures in Looker's results (inferred from its tables), each in the order of the query.
    const dimensions = selected
      .filter((field) => field.category === "dimension")
      .filter((dimension) => !pivotFields.includes(dimension))
    const subtotals = takeAll(subtotalsOf(scope, query, selected, dimensions))
    const filters = takeAll(filtersOf(scope, query)).filter(({ condition }) => condition !== "")
    const filterExpression = take(filterExpressionOf(scope, query))
    const fills = takeAll(fillsOf(scope, query, { fields: selected, dimensions, pivotFields, filters }))
    const sorts = takeAll(sortsOf(scope, query, selected))
    if (errors.length > 0) return Effect.fail(invalid(errors))

    const conditionsOn = (category: Field["category"]) =>
      filters.filter(({ field }) => field.category === category).map(({ condition }) => `(${condition})`)
    const clauses: Clauses = {
      explore,
      fields: [...dimensions, ...pivotFields, ...measures],
      dimensions,
      pivotFields,
      measures,
      filters: query.filters ?? {},
      where: [...conditionsOn("dimension"), ...(filterExpression === undefined ? [] : [`(${filterExpression})`])],
      having: conditionsOn("measure"),
      sorts: query.sorts?.length ? sorts : defaultSorts([...dimensions, ...measures]),
      limit,
      columnLimit,
      // Without measures there is nothing to total.
      total: query.total === true && measures.length > 0,
      rowTotal,
      subtotals,
      fills,
      timezone
    }
    return Effect.succeed({ ...clauses, sql: QuerySql.shown(clauses) })
  })
