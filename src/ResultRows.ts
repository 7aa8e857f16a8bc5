/**
 * A result body as rows, for each format.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Csv from "effect/encoding/Csv"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { RowFormat } from "./domain/ResultFormat.ts"
import type { SqlError } from "./domain/SqlError.ts"
import * as SqlErrors from "./domain/SqlError.ts"
import * as TaskState from "./domain/TaskState.ts"
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
 * The rows of a result, and what Looker notes beside them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rows {
  readonly rows: ReadonlyArray<Row>
  readonly warnings: ReadonlyArray<SqlError>
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
  taskId: string
): Effect.fn.Return<Rows, LookerError.QueryFailed | LookerError.TruncatedResult | LookerError.UnexpectedResponse> {
  const state = TaskState.fromBody(data, false)
  if (state._tag === "Failed") return yield* LookerError.queryFailed(taskId, state.errors, state.sql)
  const warnings = state._tag === "Complete" ? state.warnings : []
  if (format === "csv" && typeof data === "string") {
    return { rows: yield* Stream.runCollect(csvRows(Stream.succeed(data), taskId)), warnings }
  }
  if (!isResult(format, data)) {
    return yield* new LookerError.UnexpectedResponse({
      message: `The result of task ${taskId} is no ${format}`,
      endpoint: httpError.resultsEndpoint(taskId),
      snippet: httpError.snippetOf(typeof data === "string" ? data : (JSON.stringify(data) ?? "nothing"))
    })
  }
  switch (format) {
    case "json_detail":
      return { rows: (data as { data: ReadonlyArray<Row> }).data.map(plainRow), warnings }
    case "json_bi":
      return { rows: (biRows(data) ?? []).map(plainRow), warnings }
    default:
      return { rows: data as ReadonlyArray<Row>, warnings }
  }
})

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
                message: `The result of task ${taskId} is no JSON`,
                endpoint: httpError.resultsEndpoint(taskId),
                snippet: httpError.snippetOf(text)
              })
      })

/** The keys that have the rows; in json the whole body is the rows. In json_bi it was `data` until Looker 24.2. */
const rowsAt = { json: [], json_detail: ["data"], json_bi: ["rows", "data"] } as const

/**
 * The rows of a body while it arrives, in chunks, in memory that does not grow with the result.
 *
 * **Gotchas**
 *
 * A body that ends too early, or with the text of an error, fails with `TruncatedResult` after the rows before it; one with
 * `errors` behind its rows fails with `QueryFailed`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromStream = <E>(
  format: RowFormat,
  bytes: Stream.Stream<Uint8Array, E>,
  taskId: string
): Stream.Stream<Row, E | LookerError.QueryFailed | LookerError.TruncatedResult | LookerError.UnexpectedResponse> => {
  const text = Stream.decodeText(bytes)
  if (format === "csv") return csvRows(text, taskId)
  return Stream.suspend(() => {
    let rows: ReadonlyArray<Row> = []
    let errors: ReadonlyArray<SqlError> = []
    let isFirst = true
    const scanner = new JsonScanner({
      rowsAt: rowsAt[format],
      onRows: (text) => {
        const batch = exactJson.parse(text) as ReadonlyArray<Row>
        if (isFirst) errors = [...errors, ...fatalErrors(batch)]
        isFirst = false
        rows = rows.length === 0 ? batch : [...rows, ...batch]
      },
      onMember: (key, text) => {
        if (key === "errors" || key === "error") errors = fatalErrors({ [key]: exactJson.parse(text) })
      }
    })
    return scan(text, {
      scanner,
      take: () => {
        const taken = rows
        rows = []
        return errors.length > 0
          ? Effect.fail(LookerError.queryFailed(taskId, errors, undefined))
          : Effect.succeed(format === "json" ? taken : taken.map(plainRow))
      },
      malformed: (cause, beginning) => notRows(cause, format, taskId, beginning)
    })
  })
}

const fatalErrors = (body: unknown): ReadonlyArray<SqlError> =>
  SqlErrors.fromBody(body, false).filter(({ fatal }) => fatal)

const notRows = (cause: unknown, format: RowFormat, taskId: string, beginning: string) =>
  cause instanceof NoRows || beginning === ""
    ? new LookerError.UnexpectedResponse({
        message: `The result of task ${taskId} is no ${format}: ${String(cause)}`,
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
  const found = Array.isArray(rows) ? rows : flat
  return isRows(found) ? found : undefined
}

const plainRow = (row: Row): Row => Object.fromEntries(Object.entries(row).map(([field, cell]) => [field, plain(cell)]))

/** The value of a cell. A pivoted field has a cell for each pivot key, and `value` may be such a key. */
const plain = (cell: unknown): unknown => {
  if (!Predicate.isObject(cell)) return cell
  const isCell = "value" in cell && !(Predicate.isObject(cell.value) && "value" in cell.value)
  return isCell ? cell.value : plainRow(cell as Row)
}

/** Keys for the labels of a header. A label that is there already gets a number: `Total (2)`. */
const uniqueLabels = (header: ReadonlyArray<string>): ReadonlyArray<string> => {
  const taken = new Set<string>()
  return header.map((label) => {
    let key = label
    for (let count = 2; taken.has(key); count++) key = `${label} (${count})`
    taken.add(key)
    return key
  })
}

/** The records of a csv under the labels of its header. */
const csvRows = <E>(
  text: Stream.Stream<string, E>,
  taskId: string
): Stream.Stream<Row, E | LookerError.TruncatedResult | LookerError.UnexpectedResponse> =>
  text.pipe(
    Stream.pipeThroughChannelOrFail(Csv.decodeString<E>({ maxRecordSize: Number.POSITIVE_INFINITY })),
    Stream.mapError((error) =>
      Csv.isCsvError(error)
        ? new LookerError.UnexpectedResponse({
            message: `The result of task ${taskId} is no csv: ${error.message} (line ${error.line})`,
            endpoint: httpError.resultsEndpoint(taskId)
          })
        : error
    ),
    Stream.mapAccumArrayEffect(
      (): ReadonlyArray<string> | undefined => undefined,
      (header, records) => {
        const labels = header ?? uniqueLabels(records[0])
        const rows = header === undefined ? records.slice(1) : records
        const ragged = rows.find((cells) => cells.length !== labels.length)
        if (ragged !== undefined) return Effect.fail(notARecord(ragged, labels.length, taskId))
        return Effect.succeed([
          labels,
          rows.map((cells): Row => Object.fromEntries(labels.map((label, index) => [label, cells[index]])))
        ] as const)
      }
    )
  )

const notARecord = (cells: ReadonlyArray<string>, columns: number, taskId: string) =>
  new LookerError.TruncatedResult({
    message: `The result broke off, or has the text of an error at its end: a record has ${cells.length} cells, and there are ${columns} columns`,
    taskId,
    snippet: httpError.snippetOf(cells.join(","))
  })
