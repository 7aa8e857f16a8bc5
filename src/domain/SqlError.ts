/**
 * The errors and warnings of a query, in one shape for all of Looker's.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { Json } from "./Wire.ts"

/**
 * One error or warning of a query.
 *
 * **Details**
 *
 * `message` is Looker's sentence, `details` the database's own text, `sql` the statement, `line`, `column` and `character`
 * (1-based) where in it. `fatal: false` marks a warning: Looker reports development-mode notes with status `error` and level
 * `error`, and only this key distinguishes them (Looker support, spectacles issue 164). `raw` is the object as Looker sent it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SqlError = Schema.Struct({
  message: Schema.String,
  fatal: Schema.Boolean,
  details: Schema.optional(Schema.String),
  sql: Schema.optional(Schema.String),
  line: Schema.optional(Schema.Number),
  column: Schema.optional(Schema.Number),
  character: Schema.optional(Schema.Number),
  level: Schema.optional(Schema.String),
  raw: Json
})

/**
 * @category models
 * @since 0.1.0
 */
export type SqlError = typeof SqlError.Type

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)

const position = (value: unknown): number | undefined => {
  const parsed = text(value) === undefined ? value : Number(value)
  return typeof parsed === "number" && Number.isFinite(parsed) ? parsed : undefined
}

/**
 * Reads one entry of an `errors` list: an object, or only a sentence.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromUnknown = (raw: unknown): SqlError => {
  if (!Predicate.isObject(raw)) {
    return { message: text(raw) ?? "Looker gave no reason", fatal: true, raw }
  }
  const error = raw as Readonly<Record<string, unknown>>
  const location = (Predicate.isObject(error.sql_error_loc) ? error.sql_error_loc : {}) as Readonly<
    Record<string, unknown>
  >
  return {
    message: text(error.message) ?? text(error.message_details) ?? "Looker gave no reason",
    fatal: error.fatal !== false,
    details: text(error.message_details),
    sql: text(error.params),
    line: position(location.line),
    column: position(location.column),
    character: position(location.character),
    level: text(error.level),
    raw
  }
}

/** The rows of a result that are errors: those with the key `looker_error`. */
const lookerErrors = (rows: unknown): ReadonlyArray<SqlError> => {
  if (!Array.isArray(rows)) return []
  const errors: Array<SqlError> = []
  for (const row of rows) {
    if (Predicate.isObject(row) && "looker_error" in row) errors.push({ ...fromUnknown(row.looker_error), raw: row })
  }
  return errors
}

/** The entries of `errors`: a list, one sentence or object, or an object of them by field. */
const entriesOf = (errors: unknown): ReadonlyArray<unknown> => {
  if (Array.isArray(errors)) return errors
  if (text(errors) !== undefined) return [errors]
  if (!Predicate.isObject(errors)) return []
  return "message" in errors || "message_details" in errors ? [errors] : Object.values(errors).flat()
}

/** `error`, a sentence or an object, and beside it `error_detail`, the words of the database. */
const errorOf = (error: unknown, detail: unknown): ReadonlyArray<SqlError> => {
  if (Predicate.isObject(error)) return [fromUnknown(error)]
  if (text(error) === undefined) return []
  const details = entriesOf(detail).map((entry) => fromUnknown(entry).message)
  return details.length === 0
    ? [fromUnknown(error)]
    : [{ ...fromUnknown(error), details: details.join(" "), raw: { error, error_detail: detail } }]
}

/**
 * Finds the errors in a result body, in every shape that Looker uses: `errors` (a list in json_detail; also a sentence or an object), one
 * `error` (the newer LookML runtime) with or without `error_detail`, rows with `looker_error` (json, and json_bi under `rows`), and a list of
 * bare strings (very old json).
 *
 * **Gotchas**
 *
 * `looker_error` counts in any row, whatever its value. A bare list of strings is an error only when the task's status says so, which is why
 * `failed` has to be given.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromBody = (body: unknown, failed: boolean): ReadonlyArray<SqlError> => {
  if (Array.isArray(body)) {
    const rows = lookerErrors(body)
    return rows.length === 0 && failed ? body.filter(Predicate.isString).map(fromUnknown) : rows
  }
  if (Predicate.isObject(body)) {
    const { data, error, error_detail, errors, rows } = body as Readonly<Record<string, unknown>>
    return [
      ...entriesOf(errors).map(fromUnknown),
      ...errorOf(error, error_detail),
      ...lookerErrors(rows),
      ...lookerErrors(data)
    ]
  }
  return failed && text(body) !== undefined ? [fromUnknown(body)] : []
}

/**
 * The SQL of a result body, where it carries it and the user may see it.
 *
 * @category conversions
 * @since 0.1.0
 */
export const sqlOf = (body: unknown): string | undefined => {
  if (!Predicate.isObject(body)) return undefined
  const { metadata, sql } = body as Readonly<Record<string, unknown>>
  return (
    text(sql) ?? (Predicate.isObject(metadata) ? text((metadata as Readonly<Record<string, unknown>>).sql) : undefined)
  )
}
