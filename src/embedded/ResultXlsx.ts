/**
 * A table as an Excel workbook, streamed: one sheet, numbers as numbers, text in the cells themselves.
 *
 * @since 0.1.0
 */
import * as Stream from "effect/Stream"
import { Zip, ZipDeflate } from "fflate"
import type { DatabaseError, DuckDb } from "./DuckDb.ts"
import type { Column, ResultSet } from "./ResultSet.ts"
import { concat, type Encode, headers, pages, plain, type RowSql, rendered, replaced, rowSql } from "./ResultText.ts"
import { literal } from "./Sql.ts"

/** Excel's own limits (documented). */
const mostRows = 1_048_576
const mostColumns = 16_384

/**
 * Why a result is no workbook.
 *
 * @category guards
 * @since 0.1.0
 */
export const tooLarge = (result: ResultSet): string | undefined => {
  const { columns, rows, totals } = result
  const lines = headers(result).length + rows.rowCount + (totals?.rowCount ?? 0)
  const is = lines > mostRows ? [lines, "rows", mostRows] : [columns.length, "columns", mostColumns]
  const [count, noun, most] = lines > mostRows || columns.length > mostColumns ? is : []
  return count === undefined
    ? undefined
    : `This result has ${count} ${noun} as an xlsx, and Excel takes ${most}: set a limit, or ask for csv.`
}

const letters = (index: number): string =>
  (index < 26 ? "" : letters(Math.floor(index / 26) - 1)) + String.fromCharCode(65 + (index % 26))

const entities = replaced([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"]
])

/** What XML cannot have in it, as OOXML writes it, and what would be taken for that. */
const codes = [...Array(32).keys(), 0xfffe, 0xffff].filter((code) => code !== 0 && code !== 9 && code !== 10)
const unwritable = replaced(
  codes.map((code) => [String.fromCharCode(code), `_x${code.toString(16).padStart(4, "0").toUpperCase()}_`])
)

const xmlSql = (text: string): string => {
  const escaped = `CASE WHEN regexp_matches(${text}, '_x[0-9A-Fa-f]{4}_') THEN replace(${text}, '_x', '_x005F_x') ELSE ${text} END`
  return unwritable.sql(entities.sql(escaped))
}

const textCell = (reference: string, text: string): string =>
  `<c r="${reference}" t="inlineStr"><is><t xml:space="preserve">${entities.text(text)}</t></is></c>`

const headerRows = (result: ResultSet): string =>
  headers(result)
    .map((line, row) => {
      const cells = line.map((text, column) => (text === "" ? "" : textCell(`${letters(column)}${row + 1}`, text)))
      return `<row r="${row + 1}">${cells.join("")}</row>`
    })
    .join("")

/** The end of a cell, behind its reference. */
const ending =
  (isFormatted: boolean): Encode =>
  (text, field) => {
    const isText = isFormatted || field.type !== "number"
    const parts = isText
      ? [literal('" t="inlineStr"><is><t xml:space="preserve">'), xmlSql(text), literal("</t></is></c>")]
      : [literal('"><v>'), text, literal("</v></c>")]
    return `CASE WHEN ${text} IS NULL THEN ${literal('"/>')} ELSE ${concat(parts)} END`
  }

/** `above` is how many rows the sheet has before the table's first. */
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

/**
 * The workbook in pieces.
 *
 * **Details**
 *
 * `effect/encoding/Zip` would need the size of the sheet beforehand, or write ZIP64, which Excel does not read in a streamed file.
 *
 * @category conversions
 * @since 0.1.0
 */
export const stream = (result: ResultSet, isFormatted: boolean): Stream.Stream<Uint8Array, DatabaseError, DuckDb> =>
  Stream.suspend(() => {
    let written: Array<Uint8Array> = []
    const zip = new Zip((error, bytes) => {
      if (error !== null) throw error
      written.push(bytes)
    })
    const add = (path: string) => {
      const file = new ZipDeflate(path, { level: 1 })
      // A time without a zone, or the same result would have other bytes in another place and at another time.
      file.mtime = "1980-01-01T00:00:00"
      zip.add(file)
      return file
    }
    const taken = (write: () => void): ReadonlyArray<Uint8Array> => {
      written = []
      write()
      return written
    }
    const encoder = new TextEncoder()
    const begin = Stream.suspend(() =>
      Stream.fromIterable(
        taken(() => {
          for (const [path, text] of parts) add(path).push(encoder.encode(text), true)
        })
      )
    )
    const rows = Stream.suspend(() => {
      const file = add(sheetPath)
      return sheet(result, isFormatted).pipe(
        Stream.mapArray((texts) => texts),
        Stream.map((text) => taken(() => file.push(encoder.encode(text)))),
        Stream.concat(
          Stream.sync(() =>
            taken(() => {
              file.push(new Uint8Array(), true)
              zip.end()
            })
          )
        ),
        Stream.flattenIterable
      )
    })
    return Stream.concat(begin, rows)
  })
