/**
 * A result body as rows, for each format.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Pull from "effect/Pull"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Query from "./domain/Query.ts"
import type { RowFormat } from "./domain/ResultFormat.ts"
import * as SqlError from "./domain/SqlError.ts"
import * as TaskState from "./domain/TaskState.ts"
import * as csv from "./internal/csv.ts"
import * as exactJson from "./internal/exactJson.ts"
import * as httpError from "./internal/httpError.ts"
import { JsonScanner, NoRows } from "./internal/jsonScanner.ts"
import { scan } from "./internal/scan.ts"
import * as LookerError from "./LookerError.ts"

/**
 * One row. In json, json_detail and json_bi the keys are field names (`flights.origin`); in csv they are the labels of the header,
 * and every value is text. A JSON number that a double cannot hold exactly (a large BIGINT, a long DECIMAL) is its text.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Row = Schema.Record(Schema.String, Schema.Unknown)

/**
 * @category models
 * @since 0.1.0
 */
export type Row = { readonly [field: string]: unknown }

/**
 * What Looker notes beside the rows of a result: warnings, whether json_detail is `truncated`, whether the rows end with the totals (json_bi
 * says so), and of json_detail where the rows come from and how many seconds the query took.
 *
 * @category models
 * @since 0.2.0
 */
export interface Notes {
  readonly warnings: ReadonlyArray<SqlError.SqlError>
  readonly truncated: boolean
  readonly hasTotals: boolean | undefined
  readonly fromCache: boolean | undefined
  readonly runtime: number | undefined
}

/**
 * The rows of a result, and what Looker notes beside them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rows extends Notes {
  readonly rows: ReadonlyArray<Row>
}

/**
 * Whether `data` of a `multi_results` entry can be the result in this format. What the entry has for csv and json is not
 * documented; if it is something else, the result has to be fetched.
 *
 * @category guards
 * @since 0.1.0
 */
export const isResult = (format: RowFormat, data: unknown): boolean => {
  switch (format) {
    case "json":
      return isRows(data)
    case "json_detail":
      return Predicate.isObject(data) && isRows(data.data)
    case "json_bi":
      return biRows(data) !== undefined
    case "csv":
      return typeof data === "string"
  }
}

/**
 * Reads a result: parsed, as {@link isResult} recognises it.
 *
 * **Details**
 *
 * A row of json_detail or json_bi has cells (`{value, rendered, links}`) and gives the plain values here. A pivoted measure gives one value
 * for each pivot key: `row[measure][key]`, and in json_bi `row["measure|FIELD|key"]`. Where json_bi has totals, they are its last row.
 *
 * **Gotchas**
 *
 * A result may be an error although its status is 200: `QueryFailed`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromData = Effect.fnUntraced(function* (
  format: RowFormat,
  data: unknown,
  taskId: string,
  contentType = ""
): Effect.fn.Return<Rows, LookerError.QueryFailed | LookerError.TruncatedResult | LookerError.UnexpectedResponse> {
  const state = TaskState.fromBody(data, false)
  if (state._tag === "Failed") {
    return yield* LookerError.queryFailed(taskId, state.errors, state.sql, { warnings: state.warnings, format })
  }
  const notes = notesOf(data, state._tag === "Complete" ? state.warnings : [])
  if (format === "csv" && typeof data === "string") {
    return { rows: yield* Stream.runCollect(csv.rows(Stream.succeed(data), taskId, contentType)), ...notes }
  }
  if (!isResult(format, data)) {
    return yield* new LookerError.UnexpectedResponse({
      message: `The result of task ${taskId} is not ${format}`,
      endpoint: httpError.resultsEndpoint(taskId),
      snippet: httpError.snippetOf(typeof data === "string" ? data : jsonOf(data))
    })
  }
  const rows = format === "json_detail" ? (data as { data: ReadonlyArray<Row> }).data : biRows(data)
  if (format === "json" || rows === undefined) return { rows: data as ReadonlyArray<Row>, ...notes }
  return {
    rows: yield* Effect.try({
      try: () => rows.map(plainRow),
      catch: (cause) => notRows(cause, format, taskId, jsonOf(rows))
    }),
    ...notes
  }
})

const jsonOf = (data: unknown): string => {
  try {
    return JSON.stringify(data) ?? "nothing"
  } catch {
    return "nested too deep to be shown"
  }
}

const notesOf = (body: unknown, warnings: ReadonlyArray<SqlError.SqlError>): Notes => {
  const { from_cache, metadata, runtime, truncated } = (
    Predicate.isObject(body) && !Array.isArray(body) ? body : {}
  ) as Readonly<Record<string, unknown>>
  const { has_totals } = (Predicate.isObject(metadata) ? metadata : {}) as { readonly has_totals?: unknown }
  // Recorded as a text.
  const seconds = runtime === null || runtime === "" ? Number.NaN : Number(runtime)
  return {
    warnings,
    truncated: truncated === true,
    hasTotals: typeof has_totals === "boolean" ? has_totals : undefined,
    fromCache: typeof from_cache === "boolean" ? from_cache : undefined,
    runtime: Number.isFinite(seconds) ? seconds : undefined
  }
}

/**
 * What is known of the query of a task: what Looker returned for it, and the parameters of the task.
 *
 * @category models
 * @since 0.2.0
 */
export interface LimitOptions {
  readonly query?: Pick<Query.Query, "limit" | "total"> | undefined
  readonly params?: { readonly limit?: number | undefined } | undefined
}

/**
 * Fails with `LimitReached` if there may be more rows than came: there are as many as the limit of the query, totals and subtotals not
 * counted, or Looker says that they are truncated. A query with `limit: 0` asks for no rows, and is never limited.
 *
 * **Gotchas**
 *
 * Looker does not say whether the limit has cut anything: a result that has as many rows by chance fails, too.
 *
 * @category decoding
 * @since 0.2.0
 */
export const checkLimit = (
  format: RowFormat,
  result: { readonly count: number; readonly truncated: boolean; readonly hasTotals: boolean | undefined },
  taskId: string,
  { params, query }: LimitOptions
): Effect.Effect<void, LookerError.LimitReached> => {
  const taskLimit = params?.limit
  const limit = query === undefined && taskLimit === undefined ? undefined : Query.rowLimit(query ?? {}, taskLimit)
  const totals = (format === "json_bi" || format === "csv") && (result.hasTotals ?? query?.total === true) ? 1 : 0
  if (limit === 0 || !(result.truncated || result.count - totals === limit)) return Effect.void
  const message =
    result.count - totals === limit
      ? `There are ${limit} rows, which is the limit of the query: there may be more`
      : "Looker says that the rows are truncated: there are more"
  return Effect.fail(new LookerError.LimitReached({ message, taskId, limit }))
}

/**
 * Parses the text of a result body for {@link fromData}.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (
  format: RowFormat,
  text: string,
  taskId: string
): Effect.Effect<unknown, LookerError.TruncatedResult | LookerError.UnexpectedResponse> =>
  format === "csv"
    ? Effect.succeed(text)
    : Effect.try({
        try: () => exactJson.parse(text),
        catch: (cause) =>
          /^\s*[[{]/.test(text)
            ? new LookerError.TruncatedResult({
                message: `The result broke off, or has the text of an error at its end: ${String(cause)}`,
                taskId,
                snippet: httpError.snippetOf(text.slice(-200))
              })
            : new LookerError.UnexpectedResponse({
                message: `The result of task ${taskId} is not JSON`,
                endpoint: httpError.resultsEndpoint(taskId),
                snippet: httpError.snippetOf(text)
              })
      })

/** The keys that have the rows; in json the whole body is the rows. In json_bi it was `data` until Looker 24.2. */
const rowsAt = { json: [], json_detail: ["data"], json_bi: ["rows", "data"] } as const

/** Members that are more than validated. */
const noted: ReadonlySet<string> = new Set([
  "errors",
  "error",
  "error_detail",
  "sql",
  "metadata",
  "truncated",
  "from_cache",
  "runtime"
])

/** Errors in rows that are kept: a row for each of them would fill the memory. */
const errorsKept = 100

/**
 * What came of a result that was read as it arrived.
 *
 * @category models
 * @since 0.2.0
 */
export interface End extends Notes {
  /** How many rows came, the totals of json_bi and csv among them. */
  readonly count: number
}

/**
 * How to read a body while it arrives.
 *
 * @category models
 * @since 0.2.0
 */
export interface StreamOptions<E> {
  /** The content type of the body. Default: not known. */
  readonly contentType?: string | undefined
  /** Runs behind the last row. */
  readonly onEnd?: ((end: End) => Effect.Effect<void, E>) | undefined
}

/**
 * The rows of a body while it arrives, in chunks, in memory that does not grow with the result.
 *
 * **Gotchas**
 *
 * A body that ends too early, or with the text of an error, fails with `TruncatedResult` after the rows before it; one with `errors`, or with a
 * row that is an error, fails with `QueryFailed` after the rows before it. Where `errors` come first there are no rows.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromStream = <E, E2 = never>(
  format: RowFormat,
  bytes: Stream.Stream<Uint8Array, E>,
  taskId: string,
  options: StreamOptions<E2> = {}
): Stream.Stream<
  Row,
  E | E2 | LookerError.QueryFailed | LookerError.TruncatedResult | LookerError.UnexpectedResponse
> => {
  const { contentType = "", onEnd = () => Effect.void } = options
  const text = Stream.decodeText(bytes)
  return Stream.suspend(() => {
    let count = 0
    if (format === "csv") {
      return csv.rows(text, taskId, contentType).pipe(
        Stream.mapArray((rows) => {
          count += rows.length
          return rows
        }),
        Stream.concat(
          Stream.unwrap(Effect.suspend(() => Effect.as(onEnd({ ...notesOf({}, []), count }), Stream.empty)))
        )
      )
    }
    let rows: ReadonlyArray<Row> = []
    const members: Record<string, unknown> = {}
    const errorRows: Array<Row> = []
    /** After an error no further rows are handed over. The rest is read for the other errors, and for the statement. */
    let hasFailed = false
    const fails = (body: unknown) => SqlError.fromBody(body, false).some(({ fatal }) => fatal)
    const state = () => TaskState.fromBody({ ...members, rows: errorRows }, false)
    const failure = ({ errors, sql, warnings }: Extract<TaskState.TaskState, { readonly _tag: "Failed" }>) =>
      LookerError.queryFailed(taskId, errors, sql, { warnings, format })
    const scanner = new JsonScanner({
      rowsAt: rowsAt[format],
      onRows: (text) => {
        const batch = exactJson.parse(text) as ReadonlyArray<Row>
        count += batch.length
        const errors = batch.filter((row) => "looker_error" in row)
        errorRows.push(...errors.slice(0, errorsKept - errorRows.length))
        hasFailed ||= fails(errors)
        const plainRows = format === "json" ? batch : batch.map(plainRow)
        rows = rows.length === 0 ? plainRows : [...rows, ...plainRows]
      },
      onMember: (key, text) => {
        if (!noted.has(key)) return void JSON.parse(text)
        if (key in members) throw new SyntaxError(`${JSON.stringify(key)} comes twice`)
        members[key] = exactJson.parse(text)
        hasFailed ||= fails(members)
      }
    })
    return scan(text, {
      scanner,
      take: (isEnd): Effect.Effect<ReadonlyArray<Row>, E2 | LookerError.QueryFailed> => {
        const taken = hasFailed ? [] : rows
        rows = []
        if (!isEnd) return Effect.succeed(taken)
        const ended = state()
        return ended._tag === "Failed"
          ? Effect.fail(failure(ended))
          : Effect.as(onEnd({ ...notesOf(members, ended._tag === "Complete" ? ended.warnings : []), count }), taken)
      },
      malformed: (cause, beginning) => {
        const found = state()
        return found._tag === "Failed" ? failure(found) : notRows(cause, format, taskId, beginning)
      }
    })
  })
}

/**
 * The state of a task that ended as `error`, where nothing but this word is known: from the body of its result, in whatever format. It is
 * `Complete` if Looker only warns. No rows are kept.
 *
 * @category decoding
 * @since 0.2.0
 */
export const stateOfFailed = (
  body: { readonly contentType: string; readonly bytes: Stream.Stream<Uint8Array, LookerError.TruncatedResult> },
  taskId: string
): Effect.Effect<TaskState.TaskState, LookerError.TruncatedResult> =>
  Effect.gen(function* () {
    const { contentType } = body
    const pull = yield* Stream.toPull(body.bytes)
    const first = yield* Pull.catchDone(pull, () => Effect.succeed([]))
    const bytes = Stream.concat(Stream.fromArray(first), Stream.fromPull(Effect.succeed(pull)))
    const beginning = new TextDecoder().decode(first[0]).trimStart().charAt(0)
    // With `rows` or `data`, json_bi has what json_detail has.
    const format = beginning === "[" ? "json" : beginning === "{" ? "json_bi" : "csv"
    let warnings: ReadonlyArray<SqlError.SqlError> = []
    const onEnd = (end: End) =>
      Effect.sync(() => {
        warnings = end.warnings
      })
    yield* Stream.runDrain(fromStream(format, bytes, taskId, { contentType, onEnd }))
    return warnings.length === 0
      ? TaskState.fromBody(undefined, true)
      : TaskState.TaskState.Complete({ data: undefined, warnings })
  }).pipe(
    Effect.scoped,
    Effect.catchTags({
      QueryFailed: ({ errors, sql, warnings }) => Effect.succeed(TaskState.TaskState.Failed({ errors, sql, warnings })),
      UnexpectedResponse: () => Effect.succeed(TaskState.fromBody(undefined, true))
    })
  )

const notRows = (cause: unknown, format: RowFormat, taskId: string, beginning: string) =>
  cause instanceof NoRows || beginning === ""
    ? new LookerError.UnexpectedResponse({
        message: `The result of task ${taskId} is not ${format}: ${String(cause)}`,
        endpoint: httpError.resultsEndpoint(taskId),
        snippet: httpError.snippetOf(beginning)
      })
    : new LookerError.TruncatedResult({
        message: `The result broke off, or has the text of an error at its end: ${String(cause)}`,
        taskId
      })

/**
 * Rows decoded by the caller's schema.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = <A>(
  row: Schema.ConstraintDecoder<A>,
  rows: ReadonlyArray<Row>,
  taskId: string
): Effect.Effect<ReadonlyArray<A>, LookerError.UnexpectedResponse> =>
  Schema.decodeUnknownEffect(Schema.Array(row))(rows).pipe(
    Effect.mapError((error) => {
      const misfit = rows.find((one) => Option.isNone(Schema.decodeUnknownOption(row)(one)))
      return new LookerError.UnexpectedResponse({
        message: `The rows of task ${taskId} do not fit the schema: ${error.message}`,
        endpoint: httpError.resultsEndpoint(taskId),
        snippet: httpError.snippetOf(JSON.stringify(misfit) ?? "")
      })
    })
  )

const isRows = (rows: unknown): rows is ReadonlyArray<Row> => Array.isArray(rows) && rows.every(Predicate.isObject)

/**
 * json_bi: `{metadata, rows}` since 24.4, flat with `data` before; rows are objects of cells, although the specification says strings.
 */
const biRows = (data: unknown): ReadonlyArray<Row> | undefined => {
  if (!Predicate.isObject(data)) return undefined
  const { data: flat, rows } = data as { data?: unknown; rows?: unknown }
  if (Array.isArray(rows) && Array.isArray(flat)) return undefined
  const found = Array.isArray(rows) ? rows : flat
  return isRows(found) ? found : undefined
}

/** Cells are not nested deeper: a pivoted one has two levels. */
const deepest = 100

const plainRow = (row: Row): Row => plainCells(row, 0)

const plainCells = (cells: Row, depth: number): Row => {
  if (depth > deepest) throw new NoRows(`a cell is nested more than ${deepest} deep`)
  return Object.fromEntries(Object.entries(cells).map(([field, cell]) => [field, plain(cell, depth)]))
}

/** The value of a cell. A pivoted field has a cell for each pivot key, and `value` may be such a key. */
const plain = (cell: unknown, depth: number): unknown => {
  if (!Predicate.isObject(cell)) return cell
  const isCell = "value" in cell && !(Predicate.isObject(cell.value) && "value" in cell.value)
  return isCell ? cell.value : plainCells(cell as Row, depth + 1)
}
