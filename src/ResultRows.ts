/**
 * A result body as rows, whichever format it came in.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Csv from "effect/encoding/Csv"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { RowFormat } from "./domain/ResultFormat.ts"
import type { SqlError } from "./domain/SqlError.ts"
import * as TaskState from "./domain/TaskState.ts"
import * as answer from "./internal/answer.ts"
import * as LookerError from "./LookerError.ts"

/**
 * One row. In json, json_detail and json_bi the keys are field names (`flights.origin`); in csv they are the labels of the header,
 * and every value is text.
 *
 * @category models
 * @since 0.1.0
 */
export type Row = { readonly [field: string]: unknown }

/**
 * The rows of a result, and what Looker remarked about it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rows {
  readonly rows: ReadonlyArray<Row>
  readonly warnings: ReadonlyArray<SqlError>
}

/**
 * Whether `data` of a `multi_results` entry can be the result in this format. What the entry carries for csv and json is not
 * documented; where it is something else, the result has to be fetched.
 *
 * @category guards
 * @since 0.1.0
 */
export const isResult = (format: RowFormat, data: unknown): boolean => {
  switch (format) {
    case "json":
      return Array.isArray(data)
    case "json_detail":
      return Predicate.isObject(data) && Array.isArray((data as { data?: unknown }).data)
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
 * A json_detail row has cells (`{value, rendered, links}`) and gives the plain values here; a pivoted measure gives one value for
 * each pivot key.
 *
 * **Gotchas**
 *
 * A result may be an error although it came with 200: `QueryFailed`. Numbers that JSON.parse has rounded are not brought back.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromData = Effect.fnUntraced(function* (
  format: RowFormat,
  data: unknown,
  taskId: string
): Effect.fn.Return<Rows, LookerError.QueryFailed | LookerError.UnexpectedResponse> {
  const state = TaskState.fromBody(data, false)
  if (state._tag === "Failed") return yield* LookerError.queryFailed(taskId, state.errors, state.sql)
  const warnings = state._tag === "Complete" ? state.warnings : []
  if (format === "csv" && typeof data === "string") return { rows: yield* csvRows(data, taskId), warnings }
  if (!isResult(format, data)) {
    return yield* new LookerError.UnexpectedResponse({
      message: `The result of task ${taskId} is no ${format}`,
      endpoint: `GET /query_tasks/${taskId}/results`,
      snippet: answer.snippetOf(typeof data === "string" ? data : (JSON.stringify(data) ?? "nothing"))
    })
  }
  switch (format) {
    case "json_detail":
      return { rows: (data as { data: ReadonlyArray<Row> }).data.map(plainRow), warnings }
    case "json_bi":
      return { rows: biRows(data) ?? [], warnings }
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
        try: () => JSON.parse(text) as unknown,
        catch: (cause) =>
          /^\s*[[{]/.test(text)
            ? new LookerError.TruncatedResult({
                message: `The result broke off, or has the text of an error at its end: ${String(cause)}`,
                taskId,
                snippet: answer.snippetOf(text.slice(-200))
              })
            : new LookerError.UnexpectedResponse({
                message: `The result of task ${taskId} is no JSON`,
                endpoint: `GET /query_tasks/${taskId}/results`,
                snippet: answer.snippetOf(text)
              })
      })

/**
 * Rows as a caller's schema has them.
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
    Effect.mapError(
      (error) =>
        new LookerError.UnexpectedResponse({
          message: `The rows of task ${taskId} do not fit the schema: ${error.message}`,
          endpoint: `GET /query_tasks/${taskId}/results`
        })
    )
  )

/** json_bi: `{metadata, rows}` since 24.4, flat with `data` before; rows are objects although the specification says strings. */
const biRows = (data: unknown): ReadonlyArray<Row> | undefined => {
  if (!Predicate.isObject(data)) return undefined
  const { data: flat, rows } = data as { data?: unknown; rows?: unknown }
  const found = Array.isArray(rows) ? rows : flat
  return Array.isArray(found) ? (found as ReadonlyArray<Row>) : undefined
}

const plainRow = (row: Row): Row => Object.fromEntries(Object.entries(row).map(([field, cell]) => [field, plain(cell)]))

/** The value of a cell. A pivoted field has a cell for each pivot key. */
const plain = (cell: unknown): unknown => {
  if (!Predicate.isObject(cell)) return cell
  return "value" in cell ? cell.value : plainRow(cell as Row)
}

/** The records of a csv under the labels of its header; a label that comes again gets its number: `Total (2)`. */
const csvRows = (text: string, taskId: string) =>
  Stream.succeed(text).pipe(
    Stream.pipeThroughChannel(Csv.decodeString({ maxRecordSize: Infinity })),
    Stream.runCollect,
    Effect.map((records) => {
      const [header, ...rows] = records
      const seen = new Map<string, number>()
      const labels = (header ?? []).map((label) => {
        const count = (seen.get(label) ?? 0) + 1
        seen.set(label, count)
        return count === 1 ? label : `${label} (${count})`
      })
      return rows.map((cells): Row => Object.fromEntries(labels.map((label, index) => [label, cells[index] ?? ""])))
    }),
    Effect.mapError(
      (error) =>
        new LookerError.UnexpectedResponse({
          message: `The result of task ${taskId} is no csv: ${error.message}`,
          endpoint: `GET /query_tasks/${taskId}/results`,
          snippet: answer.snippetOf(text)
        })
    )
  )
