/**
 * The body of a result in every format, and the body of a query that failed.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Stream from "effect/Stream"
import { type DatabaseError, type DuckDb, withoutStatement } from "../database/DuckDb.ts"
import type { ResultSet } from "../engine/ResultSet.ts"
import * as ResultJson from "./ResultJson.ts"
import * as ResultText from "./ResultText.ts"
import * as ResultXlsx from "./ResultXlsx.ts"

/**
 * The formats this server writes.
 *
 * @category constants
 * @since 0.1.0
 */
export const formats = [
  "json",
  "json_detail",
  "json_bi",
  "inline_json",
  "csv",
  "txt",
  "md",
  "html",
  "xlsx",
  "sql"
] as const

/**
 * @category models
 * @since 0.1.0
 */
export type Format = (typeof formats)[number]

const types: Readonly<Record<Format, string>> = {
  json: "application/json; charset=utf-8",
  json_detail: "application/json; charset=utf-8",
  json_bi: "application/json; charset=utf-8",
  inline_json: "application/json; charset=utf-8",
  csv: "text/csv; charset=utf-8",
  txt: "text/plain; charset=utf-8",
  md: "text/markdown; charset=utf-8",
  html: "text/html; charset=utf-8",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  sql: "application/sql"
}

/**
 * The media type of a format. Documented for JSON, recorded for sql, inferred for the others.
 *
 * @category conversions
 * @since 0.1.0
 */
export const contentType = (format: Format): string => types[format]

const isJson = (format: Format): boolean => types[format] === types.json

/**
 * What a body depends on besides the result: `seesSql` is the permission of the user, `isFormatted` is `apply_formatting`, which writes
 * numbers in their value formats, and `warnings` are part of json_detail.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends ResultJson.Options {
  readonly isFormatted: boolean
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Complete extends ResultJson.Ended {
  readonly result: ResultSet
}

/**
 * Why a result cannot be written in a format, if it cannot.
 *
 * @category guards
 * @since 0.1.0
 */
export const writeError = (format: Format, result: ResultSet): Effect.Effect<string | undefined> =>
  format === "xlsx" ? ResultXlsx.writeError(result) : Effect.undefined

type Body<A> = Stream.Stream<A, DatabaseError, DuckDb>

const text = (
  run: ResultJson.Run,
  format: Exclude<Format, "xlsx">,
  ended: Complete,
  options: Options
): Body<string> => {
  const { result } = ended
  const table = (layout: typeof ResultText.csv) =>
    ResultText.stream(result, layout(result, options.isFormatted ? ResultText.rendered : ResultText.plain))
  switch (format) {
    // Not documented. By its name the same as json (inferred).
    case "inline_json":
    case "json":
      return ResultJson.json(result, options.isFormatted)
    case "json_bi":
      return ResultJson.jsonBi(run, result, options)
    case "json_detail":
      return ResultJson.jsonDetail(run, ended, options)
    case "csv":
      return table(ResultText.csv)
    case "txt":
      return table(ResultText.txt)
    case "md":
      return table(ResultText.md)
    case "html":
      return table(ResultText.html)
    case "sql":
      return Stream.make(run.plan.sql)
  }
}

/**
 * The body of a complete task, in pieces.
 *
 * @category conversions
 * @since 0.1.0
 */
export const stream = (run: ResultJson.Run, format: Format, ended: Complete, options: Options): Body<Uint8Array> =>
  format === "xlsx"
    ? ResultXlsx.stream(ended.result, options.isFormatted)
    : Stream.encodeText(text(run, format, ended, options))

const asString = (pieces: Body<string>): Body<string> =>
  Stream.make('"').pipe(
    // Each piece ends with a row, so that no surrogate pair is cut.
    Stream.concat(Stream.map(pieces, (piece) => JSON.stringify(piece).slice(1, -1))),
    Stream.concat(Stream.make('"'))
  )

/**
 * The same body as JSON, for the `data` of an entry of `multi_results`: a text as a string, a workbook as a string of base64 (inferred: only
 * JSON was recorded).
 *
 * @category conversions
 * @since 0.1.0
 */
export const data = (run: ResultJson.Run, format: Format, ended: Complete, options: Options): Body<string> => {
  if (format === "xlsx") {
    const bytes = Stream.mkUint8Array(ResultXlsx.stream(ended.result, options.isFormatted))
    return asString(Stream.fromEffect(Effect.map(bytes, Base64.encode)))
  }
  const pieces = text(run, format, ended, options)
  return isJson(format) ? pieces : asString(pieces)
}

/**
 * The sentence Looker writes for an error of the database.
 *
 * @category constants
 * @since 0.1.0
 */
export const databaseFailed = "The DuckDB database encountered an error while running this query."

/** The line and column of an error, which DuckDB marks with `^` below the quoted line. */
const location = ({ line, message }: DatabaseError): Record<string, number> => {
  if (line === undefined) return {}
  const [, shown = "", place = ""] = /^(LINE \d+: )(?!\.\.\.).*\n( *)\^/m.exec(message) ?? []
  return {
    line,
    ...(place.length < shown.length || shown === "" ? {} : { column: place.length - shown.length + 1 })
  }
}

/**
 * The `data` of a failed task in `multi_results`, and its body in json_detail: `errors` in json_detail, a `looker_error` row in the other JSON
 * formats, and a sentence in the formats that are not JSON.
 *
 * @category conversions
 * @since 0.1.0
 */
export const failure = (
  run: ResultJson.Run,
  format: Format,
  ended: ResultJson.Ended,
  error: DatabaseError,
  options: Options
): string => {
  const { message } = options.seesSql ? error : withoutStatement(error)
  const sentence = `${databaseFailed} ${message}`
  switch (format) {
    case "json":
    case "inline_json":
      return JSON.stringify([{ looker_error: sentence }])
    case "json_bi":
      return ResultJson.biFailure(run, sentence, options)
    case "json_detail":
      return ResultJson.detailFailure(
        run,
        ended,
        {
          message: databaseFailed,
          message_details: message,
          params: options.seesSql ? run.plan.sql : null,
          edit_url: null,
          error_pos: null,
          level: "error",
          sql_error_loc: location(error)
        },
        options
      )
    default:
      return JSON.stringify(sentence)
  }
}
