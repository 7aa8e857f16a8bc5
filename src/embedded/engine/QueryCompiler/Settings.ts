/**
 * The settings of a query: its limits, its row total and its time zone.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { QueryInput } from "../../../domain/Query.ts"
import type { ValidationDetail } from "../../../LookerError.ts"
import { detail } from "../../refusal/Validation.ts"
import type { Plan } from "../QueryPlan.ts"

/** The limit of a query without one. Looker's default for the API is not documented; this is the default of its pages. */
const defaultLimit = 500

export const limitOf = (limit: QueryInput["limit"]): Result.Result<number | undefined, ValidationDetail> => {
  if (limit === undefined || limit === null || limit === "") return Result.succeed(defaultLimit)
  const text = String(limit).trim()
  if (text === "-1") return Result.succeed(undefined)
  if (/^\d{1,15}$/.test(text)) return Result.succeed(Number(text))
  return Result.fail(detail("limit", "invalid", `limit ${JSON.stringify(limit)} is neither a row count nor -1.`))
}

/** Looker's default (seen in the queries that its pages save) and its limit for pivot columns (documented). */
export const defaultColumnLimit = 50
const mostColumns = 200

export const columnLimitOf = (limit: QueryInput["column_limit"]): Result.Result<number, ValidationDetail> => {
  if (limit === undefined || limit === null || limit === "") return Result.succeed(defaultColumnLimit)
  const columns = /^\d{1,15}$/.test(String(limit).trim()) ? Number(limit) : 0
  if (columns >= 1 && columns <= mostColumns) return Result.succeed(columns)
  const message = `column_limit ${JSON.stringify(limit)} is not a number from 1 to ${mostColumns}.`
  return Result.fail(detail("column_limit", "invalid", message))
}

export const rowTotalOf = (rowTotal: QueryInput["row_total"]): Result.Result<Plan["rowTotal"], ValidationDetail> => {
  if (rowTotal === undefined || rowTotal === null || rowTotal === "") return Result.succeed(undefined)
  if (rowTotal === "left" || rowTotal === "right") return Result.succeed(rowTotal)
  const message = `row_total ${JSON.stringify(rowTotal)} is neither "right" nor "left".`
  return Result.fail(detail("row_total", "invalid", message))
}

export const timezoneOf = (name: QueryInput["query_timezone"]): Result.Result<string, ValidationDetail> => {
  if (name === undefined || name === null || name === "") return Result.succeed("UTC")
  // JavaScript has zones such as +02:00, and DuckDB has not.
  const known = /^[A-Za-z]/.test(name) && Option.isSome(DateTime.zoneMakeNamed(name))
  if (known) return Result.succeed(name === "Etc/UTC" ? "UTC" : name)
  const message = `query_timezone ${JSON.stringify(name)} is not a time zone: write a name such as "America/New_York".`
  return Result.fail(detail("query_timezone", "invalid", message))
}
