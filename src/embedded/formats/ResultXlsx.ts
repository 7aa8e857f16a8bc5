/**
 * A table as an Excel workbook, in pieces: one sheet, with numbers as numbers and texts in the cells themselves.
 *
 * @since 0.1.0
 */
import { constants, crc32, deflateRaw } from "node:zlib"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ZipInputFile } from "fflate"
import { DatabaseError, type DuckDb } from "../database/DuckDb.ts"
import { literal } from "../database/Sql.ts"
import type { Column, ResultSet } from "../engine/ResultSet.ts"
import { concat, type Encode, headers, pages, plain, type RowSql, rendered, replaced, rowSql } from "./ResultText.ts"

/** Excel's own limits (documented). */
const mostRows = 1_048_576
const mostColumns = 16_384

/** The largest file of a zip without ZIP64. */
const mostBytes = 0xffff_ffff

/** Loaded with the first workbook, because the package is optional. */
const fflate = Effect.tryPromise({
  try: () => import("fflate"),
  catch: () => new DatabaseError({ message: "xlsx needs the package fflate: npm install fflate", line: undefined })
})

/**
 * Why a result cannot be written as a workbook, if it cannot.
 *
 * @category guards
 * @since 0.1.0
 */
export const writeError = (result: ResultSet): Effect.Effect<string | undefined> => {
  const why = tooLarge(result)
  return why === undefined
    ? Effect.match(fflate, { onSuccess: () => undefined, onFailure: ({ message }) => message })
    : Effect.succeed(why)
}

const tooLarge = (result: ResultSet): string | undefined => {
  const { columns, rows, totals } = result
  const lines = headers(result).length + rows.rowCount + (totals?.rowCount ?? 0)
  const over = (count: number, noun: string, most: number) =>
    count > most
      ? `This result has ${count} ${noun} as an xlsx, and Excel takes ${most}: set a limit, or ask for csv.`
      : undefined
  return over(lines, "rows", mostRows) ?? over(columns.length, "columns", mostColumns)
}

const letters = (index: number): string =>
  (index < 26 ? "" : letters(Math.floor(index / 26) - 1)) + String.fromCharCode(65 + (index % 26))

/** The characters that XML does not allow. */
const unwritable = [...Array(32).keys(), 0xfffe, 0xffff]
  .filter((code) => code !== 9 && code !== 10)
  .map((code) => String.fromCharCode(code))

const hexadecimal = (character: string): string => character.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()

/** OOXML escapes a character as `_x000D_`, so a text that already has this form is escaped, too. */
const xml = replaced(
  [
    ["_x", "_x005F_x"],
    ["&", "&amp;"],
    ["<", "&lt;"],
    [">", "&gt;"],
    ...unwritable.map((character) => [character, `_x${hexadecimal(character)}_`] as const)
  ],
  `[&<>${unwritable.join("")}]|_x[0-9A-Fa-f]{4}_`
)

const textCell = (reference: string, text: string): string =>
  `<c r="${reference}" t="inlineStr"><is><t xml:space="preserve">${xml.text(text)}</t></is></c>`

const headerRows = (result: ResultSet): string =>
  headers(result)
    .map((line, row) => {
      const cells = line.map((text, column) => (text === "" ? "" : textCell(`${letters(column)}${row + 1}`, text)))
      return `<row r="${row + 1}">${cells.join("")}</row>`
    })
    .join("")

/** The rest of a cell after its reference. */
const ending =
  (isFormatted: boolean): Encode =>
  (text, field) => {
    const isText = isFormatted || field.type !== "number"
    const parts = isText
      ? [literal('" t="inlineStr"><is><t xml:space="preserve">'), xml.sql(text), literal("</t></is></c>")]
      : [literal('"><v>'), text, literal("</v></c>")]
    return `CASE WHEN ${text} IS NULL THEN ${literal('"/>')} ELSE ${concat(parts)} END`
  }

/** `above` is the number of rows of the sheet above the table. */
const rowsOf = (columns: ReadonlyArray<Column>, above: number, isFormatted: boolean): RowSql => {
  const { read, row, texts } = rowSql(columns, isFormatted ? rendered : plain, ending(isFormatted), (cell) =>
    concat([
      literal('<row r="'),
      "number",
      literal('">'),
      ...columns.flatMap((column, index) => [literal(`<c r="${letters(index)}`), "number", cell(column)]),
      literal("</row>")
    ])
  )
  return { texts, read: [`CAST(rowid + ${above + 1} AS VARCHAR) AS number`, ...read], row }
}

const sheet = (result: ResultSet, isFormatted: boolean): Stream.Stream<string, DatabaseError, DuckDb> => {
  const { columns, rows, totals } = result
  const above = headers(result).length
  const table = (from: ResultSet["rows"], start: number) =>
    pages(from, rowsOf(columns, start, isFormatted), "", columns.length)
  return Stream.make(`${declaration}<worksheet xmlns="${main}"><sheetData>${headerRows(result)}`).pipe(
    Stream.concat(table(rows, above)),
    Stream.concat(totals === undefined ? Stream.empty : table(totals, above + rows.rowCount)),
    Stream.concat(Stream.make("</sheetData></worksheet>"))
  )
}

const declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
const schemas = "http://schemas.openxmlformats.org"
const main = `${schemas}/spreadsheetml/2006/main`
const sheetPath = "xl/worksheets/sheet1.xml"

const parts: ReadonlyArray<readonly [path: string, text: string]> = [
  [
    "[Content_Types].xml",
    `${declaration}<Types xmlns="${schemas}/package/2006/content-types">` +
      '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>' +
      '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>' +
      `<Override PartName="/${sheetPath}" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>` +
      "</Types>"
  ],
  [
    "_rels/.rels",
    `${declaration}<Relationships xmlns="${schemas}/package/2006/relationships">` +
      `<Relationship Id="rId1" Type="${schemas}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>` +
      "</Relationships>"
  ],
  [
    "xl/workbook.xml",
    `${declaration}<workbook xmlns="${main}" xmlns:r="${schemas}/officeDocument/2006/relationships">` +
      '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
  ],
  [
    "xl/_rels/workbook.xml.rels",
    `${declaration}<Relationships xmlns="${schemas}/package/2006/relationships">` +
      `<Relationship Id="rId1" Type="${schemas}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>` +
      "</Relationships>"
  ]
]

const deflate = (bytes: Uint8Array, flush: number): Effect.Effect<Uint8Array<ArrayBuffer>> =>
  Effect.callback((resume) =>
    deflateRaw(bytes, { level: 1, finishFlush: flush }, (error, deflated) =>
      resume(error === null ? Effect.succeed(deflated) : Effect.die(error))
    )
  )

/**
 * The workbook in pieces.
 *
 * **Details**
 *
 * `effect/encoding/Zip` needs the size of the sheet beforehand, or writes ZIP64, which Excel does not read in a streamed file. Node compresses
 * the sheet, several times as fast as fflate and outside of the thread of the server: each piece up to a flush, and together they are one
 * deflate stream.
 *
 * **Gotchas**
 *
 * Excel cuts texts of more than 32,767 characters and numbers of more than 15 digits, which are written in full here. Dates are texts.
 *
 * @category conversions
 * @since 0.1.0
 */
export const stream = (result: ResultSet, isFormatted: boolean): Stream.Stream<Uint8Array, DatabaseError, DuckDb> =>
  Stream.unwrap(
    Effect.map(fflate, ({ Zip, ZipDeflate }) => {
      let written: Array<Uint8Array> = []
      const taken = (write: () => void): ReadonlyArray<Uint8Array> => {
        written = []
        write()
        return written
      }
      const zip = new Zip((error, bytes) => {
        if (error !== null) throw error
        written.push(bytes)
      })
      // A constant time without a zone: the same result has the same bytes at any time and in any time zone.
      const mtime = "1980-01-01T00:00:00"
      const encoder = new TextEncoder()
      const file: ZipInputFile = { filename: sheetPath, mtime, compression: 8, crc: 0, size: 0 }
      const add = Effect.fnUntraced(function* (text: string, isLast: boolean) {
        const bytes = encoder.encode(text)
        const deflated = yield* deflate(bytes, isLast ? constants.Z_FINISH : constants.Z_SYNC_FLUSH)
        file.crc = crc32(bytes, file.crc)
        file.size += bytes.length
        if (file.size > mostBytes) {
          const message = "The sheet has more than 4 GB, which no xlsx can have: set a limit, or ask for csv."
          return yield* new DatabaseError({ message, line: undefined })
        }
        return taken(() => file.ondata?.(null, deflated, isLast))
      })
      const begin = Stream.sync(() =>
        taken(() => {
          for (const [path, text] of parts) {
            const part = new ZipDeflate(path)
            part.mtime = mtime
            zip.add(part)
            part.push(encoder.encode(text), true)
          }
          zip.add(file)
        })
      )
      const end = Effect.map(add("", true), (last) => [...last, ...taken(() => zip.end())])
      return begin.pipe(
        Stream.concat(Stream.mapEffect(sheet(result, isFormatted), (text) => add(text, false))),
        Stream.concat(Stream.fromEffect(end)),
        Stream.flattenIterable
      )
    })
  )
