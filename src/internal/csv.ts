/**
 * A csv body as rows: its records under the labels of its header, once it is sure that it is csv.
 */
import * as Effect from "effect/Effect"
import * as Csv from "effect/encoding/Csv"
import * as Stream from "effect/Stream"
import * as SqlError from "../domain/SqlError.ts"
import * as LookerError from "../LookerError.ts"
import { resultsEndpoint, snippetOf } from "./httpError.ts"

type Row = { readonly [label: string]: string }

/** So much of a body tells csv from other formats. */
const enough = 64

const isHtml = (beginning: string): boolean =>
  /^\s*<(?:!|\?xml|html|head|body|title|center|script|style|meta|link|div|table|h\d|p>|pre)/i.test(beginning)

/** A csv cell that has a quote begins with one, so that no header is `[{"`. */
const isJson = (beginning: string): boolean => /^\s*(?:[[{]\s{0,9}){1,9}["\]}]/.test(beginning)

/** What a label does not have, and a compressed body does. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const binary = /[\u0000-\u0008\u000e-\u001f\ufffd]/

/**
 * Why a body is not csv, or undefined. One without a single character is an empty result, unless its content type says that it is something
 * else: Looker sends the header line also for no rows, but not where a query has no columns.
 */
const whyNot = (beginning: string, isWhole: boolean, contentType: string): string | undefined => {
  const says = (type: string) => contentType.toLowerCase().includes(type)
  if (beginning === "") {
    return says("html") || says("json") ? `it is empty, and its content type is ${contentType}` : undefined
  }
  if (isHtml(beginning) || says("html")) return "it is HTML"
  if (isJson(beginning) || (isWhole && says("json") && /^(?:null|true|false|-?[\d.]+|".*")$/.test(beginning.trim()))) {
    return "it is JSON"
  }
  return undefined
}

/** Why the first record is no header, or undefined. */
const whyNoHeader = (header: ReadonlyArray<string>): string | undefined => {
  if (header.every((label) => !binary.test(label))) {
    return header.length === 1 && header[0]?.trim() === "" ? "it has no header line" : undefined
  }
  return "its first line is not text: a content encoding may not have been undone"
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

export type Error = LookerError.QueryFailed | LookerError.TruncatedResult | LookerError.UnexpectedResponse

/** The records of a csv under the labels of its header. */
export const rows = <E>(
  text: Stream.Stream<string, E>,
  taskId: string,
  contentType: string
): Stream.Stream<Row, E | Error> => {
  const notCsv = (why: string, snippet: string) =>
    new LookerError.UnexpectedResponse({
      message: `The result of task ${taskId} is not csv: ${why}`,
      endpoint: resultsEndpoint(taskId),
      snippet: snippetOf(snippet)
    })
  const brokenOff = (why: string, snippet?: string) =>
    new LookerError.TruncatedResult({
      message: `The result of task ${taskId} broke off, or has the text of an error at its end: ${why}`,
      taskId,
      snippet
    })

  /** The same text, whose beginning is held back until it is seen to be csv. */
  const checked = Stream.suspend(() => {
    let beginning: string | undefined = ""
    const check = (isWhole: boolean): Effect.Effect<ReadonlyArray<string>, LookerError.UnexpectedResponse> => {
      if (beginning === undefined || (!isWhole && beginning.length < enough)) return Effect.succeed([])
      const seen = beginning
      beginning = undefined
      const why = whyNot(seen.slice(0, enough).replace(/^\ufeff/, ""), isWhole, contentType)
      return why === undefined ? Effect.succeed([seen]) : Effect.fail(notCsv(why, seen))
    }
    const checkPieces = (pieces: ReadonlyArray<string>) => {
      if (beginning === undefined) return Effect.succeed(pieces)
      beginning += pieces.join("")
      return check(false)
    }
    return text.pipe(
      Stream.mapAccumArrayEffect(
        () => undefined,
        (_, pieces) => Effect.map(checkPieces(pieces), (checked) => [undefined, checked] as const)
      ),
      Stream.concat(
        Stream.unwrap(
          Effect.map(
            Effect.suspend(() => check(true)),
            Stream.fromArray
          )
        )
      )
    )
  })

  const toRows = (
    labels: ReadonlyArray<string>,
    records: ReadonlyArray<ReadonlyArray<string>>
  ): Effect.Effect<ReadonlyArray<Row>, Error> => {
    const ragged = records.find((cells) => cells.length !== labels.length)
    if (ragged !== undefined) {
      const why = `a record has ${ragged.length} cells, and there are ${labels.length} columns`
      return Effect.fail(brokenOff(why, snippetOf(ragged.join(","))))
    }
    const rows = records.map(
      (cells): Row => Object.fromEntries(labels.map((label, index) => [label, cells[index] ?? ""]))
    )
    // Where the column is there, it is empty in the rows that are no errors.
    const errors = labels.includes("looker_error")
      ? SqlError.fromBody(
          rows.filter((row) => row.looker_error !== ""),
          false
        )
      : []
    return errors.length > 0 ? Effect.fail(LookerError.queryFailed(taskId, errors, undefined)) : Effect.succeed(rows)
  }

  return checked.pipe(
    Stream.pipeThroughChannelOrFail(
      Csv.decodeString<E | LookerError.UnexpectedResponse>({ maxRecordSize: Number.POSITIVE_INFINITY })
    ),
    Stream.mapError((error) => {
      if (!Csv.isCsvError(error)) return error
      const why = `${error.message} (line ${error.line})`
      return error.message.startsWith("Unterminated") ? brokenOff(why) : notCsv(why, "")
    }),
    Stream.mapAccumArrayEffect(
      (): ReadonlyArray<string> | undefined => undefined,
      (labels, records): Effect.Effect<readonly [labels: ReadonlyArray<string>, rows: ReadonlyArray<Row>], Error> => {
        if (labels !== undefined) return Effect.map(toRows(labels, records), (rows) => [labels, rows])
        const why = whyNoHeader(records[0])
        if (why !== undefined) return Effect.fail(notCsv(why, records[0].join(",")))
        const header = uniqueLabels(records[0])
        return Effect.map(toRows(header, records.slice(1)), (rows) => [header, rows])
      }
    )
  )
}
