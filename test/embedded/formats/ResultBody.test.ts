/**
 * Bodies written from results made by hand over a real DuckDB, and read back by other programs: JSON.parse, the csv and XML parsers of
 * Effect, fflate's unzip.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { Base64, Csv, Xml } from "effect/encoding"
import { strFromU8, unzipSync } from "fflate"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import { identifier, literal } from "../../../src/embedded/database/Sql.ts"
import type { Column, Pivot, ResultSet } from "../../../src/embedded/engine/ResultSet.ts"
import * as ResultBody from "../../../src/embedded/formats/ResultBody.ts"
import type * as ResultJson from "../../../src/embedded/formats/ResultJson.ts"
import type { Dimension, Field, FieldType, Measure } from "../../../src/embedded/model/Model.ts"
import * as ResultRows from "../../../src/ResultRows.ts"

const info = (name: string, type: FieldType, valueFormat?: string) => ({
  name: `orders.${name}`,
  label: `Orders ${name}`,
  labelShort: name,
  type,
  lookerType: type,
  view: "orders",
  viewLabel: "Orders",
  dimensionGroup: null,
  fieldGroupLabel: null,
  fieldGroupVariant: name,
  sql: name,
  valueFormat,
  column: name,
  isDouble: false
})

const dimension = (name: string, type: FieldType = "string"): Dimension => ({
  ...info(name, type),
  category: "dimension",
  columnType: type,
  timeframe: undefined
})

const measure = (name: string, valueFormat?: string): Measure => ({
  ...info(name, "number", valueFormat),
  category: "measure",
  aggregate: "sum",
  conditions: []
})

const isDimension = (field: Field): field is Dimension => field.category === "dimension"
const isMeasure = (field: Field): field is Measure => field.category === "measure"

const result = (columns: ReadonlyArray<Column>, rowCount: number, more: Partial<ResultSet> = {}): ResultSet => {
  const fields: ReadonlyArray<Field> = [...new Set(columns.map(({ field }) => field))]
  return {
    columns,
    dimensions: fields.filter(isDimension),
    pivotFields: [],
    measures: fields.filter(isMeasure),
    pivots: [],
    rows: { table: "results.r", rowCount },
    totals: undefined,
    subtotals: [],
    truncated: false,
    columnsTruncated: false,
    ...more
  }
}

const run = ({ columns, dimensions, measures, pivotFields }: ResultSet): ResultJson.Run => ({
  id: "t1",
  plan: {
    explore: {
      name: "orders",
      label: "Orders",
      from: { view: { name: "orders", label: "Orders", sqlTable: "orders", primaryKey: undefined }, joins: [] },
      fields: new Map<string, Field>(columns.map(({ field }) => [field.name, field]))
    },
    dimensions: dimensions.filter(isDimension),
    pivotFields: pivotFields.filter(isDimension),
    measures: measures.filter(isMeasure),
    filters: { "orders.city": "Ulm" },
    sorts: [{ field: "orders.city", desc: true }],
    timezone: "UTC",
    sql: "SELECT 'the statement'"
  },
  stored: { query: { id: "1", model: "m", view: "orders" } }
})

const options: ResultBody.Options = { seesSql: true, isFormatted: false, warnings: [] }

const bytes = (format: ResultBody.Format, of: ResultSet, more: Partial<ResultBody.Options> = {}) =>
  Stream.mkUint8Array(
    ResultBody.stream(run(of), format, { startedAt: 0, endedAt: 1500, result: of }, { ...options, ...more })
  )

const body = (format: ResultBody.Format, of: ResultSet, more: Partial<ResultBody.Options> = {}) =>
  Effect.map(bytes(format, of, more), (bytes) => new TextDecoder().decode(bytes))

const json = (format: ResultBody.Format, of: ResultSet, more: Partial<ResultBody.Options> = {}) =>
  Effect.map(body(format, of, more), (text) => JSON.parse(text))

const create = (table: string, names: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) =>
  DuckDb.DuckDb.use((database) =>
    database.run(
      `CREATE OR REPLACE TABLE results.${table} AS SELECT * FROM (VALUES ${rows
        .map((row) => `(${row.join(", ")})`)
        .join(", ")}) AS v(${names.map(identifier).join(", ")})`
    )
  )

const separated = (text: string, delimiter: string) =>
  Stream.make(text).pipe(Stream.pipeThroughChannelOrFail(Csv.decodeString({ delimiter })), Stream.runCollect)

const unescapeXlsx = (text: string) =>
  text.replaceAll(/_x([0-9A-F]{4})_/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))

/** The cells of a sheet by their references; numbers as numbers. */
const sheet = Effect.fnUntraced(function* (workbook: Uint8Array) {
  const files = unzipSync(workbook)
  for (const [name, content] of Object.entries(files)) {
    // Every part is XML to its end.
    yield* Stream.make(strFromU8(content)).pipe(
      Stream.pipeThroughChannelOrFail(Xml.decodeString()),
      Stream.runDrain,
      Effect.mapError((error) => new Error(`${name}: ${error.message}`))
    )
  }
  const rows = yield* Stream.make(strFromU8(files["xl/worksheets/sheet1.xml"] ?? new Uint8Array())).pipe(
    Stream.pipeThroughChannelOrFail(Xml.decodeString()),
    Stream.pipeThroughChannelOrFail(Xml.elements(["worksheet", "sheetData", "row"])),
    Stream.runCollect
  )
  const textOf = (element: Xml.Element | string): string =>
    typeof element === "string" ? element : element.children.map(textOf).join("")
  const cells = rows
    .flatMap((row) => row.children)
    .filter((cell) => typeof cell !== "string")
    .filter((cell) => cell.children.length > 0)
  return Object.fromEntries(
    cells.map((cell) => [
      cell.attributes.r,
      cell.attributes.t === "inlineStr" ? unescapeXlsx(textOf(cell)) : Number(textOf(cell))
    ])
  )
})

/** A table of markdown, as a reader of GitHub's flavour splits it. */
const markdown = (text: string) =>
  text
    .split("\n")
    .slice(0, -1)
    .map((line) =>
      [...line.slice(1).matchAll(/((?:\\.|[^\\|])*)\|/g)].map(([, cell = ""]) =>
        cell
          .slice(1, -1)
          .replaceAll("<br>", "\n")
          .replaceAll(/\\(.)/g, "$1")
          .replaceAll("&lt;", "<")
          .replaceAll("&amp;", "&")
      )
    )

const html = (text: string) =>
  [...text.matchAll(/<tr>([\s\S]*?)<\/tr>/g)].map(([, line = ""]) =>
    [...line.matchAll(/<t[dh]>([\s\S]*?)<\/t[dh]>/g)].map(([, cell = ""]) =>
      cell
        .replaceAll("&#13;", "\r")
        .replaceAll("&quot;", '"')
        .replaceAll("&gt;", ">")
        .replaceAll("&lt;", "<")
        .replaceAll("&amp;", "&")
    )
  )

const database = Layer.effect(
  DuckDb.DuckDb,
  Effect.tap(DuckDb.make({}), (database) => database.run("CREATE SCHEMA results"))
)

const city = dimension("city")
const status = dimension("status")
const year = dimension("year", "number")
const count = measure("count")
const price = measure("price", "$#,##0.00")

const pivots: ReadonlyArray<Pivot> = [
  { key: "new|FIELD|2001", isTotal: false, data: { "orders.status": "new", "orders.year": 2001 } },
  { key: "null|FIELD|2002", isTotal: false, data: { "orders.status": null, "orders.year": 2002 } },
  { key: "$$$_row_total_$$$", isTotal: true, data: {} }
]

const names = ["city", "count 1", "price 1", "count 2", "price 2", "count 3", "price 3"]

/** Two cities by two pivots of two levels, with row totals, totals and subtotals. */
const pivoted = Effect.gen(function* () {
  yield* create("r", names, [
    ["'Ulm'", "1000", "12345678901234567890.50", "NULL", "NULL", "1000", "12345678901234567890.50"],
    ["NULL", "2", "-0.25", "3", "1.00", "5", "0.75"]
  ])
  yield* create("t", names, [["NULL", "1002", "7.25", "3", "1.00", "1005", "8.25"]])
  const columns: ReadonlyArray<Column> = [
    { field: city, pivot: undefined, sqlName: "city" },
    ...pivots.flatMap((pivot, index) => [
      { field: count, pivot, sqlName: `count ${index + 1}` },
      { field: price, pivot, sqlName: `price ${index + 1}` }
    ])
  ]
  return result(columns, 2, {
    pivotFields: [status, year],
    pivots,
    totals: { table: "results.t", rowCount: 1 },
    subtotals: [{ table: "results.r", rowCount: 2, fields: [city] }],
    columnsTruncated: true
  })
})

/** A field in json_bi. */
const biField = (field: Field) => ({
  name: field.name,
  label: field.label,
  field_group_label: null,
  field_group_variant: field.fieldGroupVariant,
  type: field.lookerType,
  category: field.category,
  view: "orders",
  view_label: "Orders",
  dimension_group: null,
  hidden: false,
  description: null,
  sql: field.sql
})

/** A field in json_detail, of a result that is sorted by the city. */
const detailField = (field: Field) => ({
  ...biField(field),
  label_short: field.labelShort,
  is_numeric: field.type === "number",
  measure: field.category === "measure",
  align: field.type === "number" ? "right" : "left",
  value_format: field.valueFormat ?? null,
  ...(field.name === "orders.city" ? { sorted: { sort_index: 0, desc: true } } : {})
})

/** The members of json_detail that a failure has as well as a result. */
const commonDetail = {
  from_cache: true,
  id: "t1",
  supports_pivot_in_db: true,
  null_sort_treatment: "last",
  expired: false,
  ran_at: "1970-01-01T00:00:00+00:00",
  aggregate_table_used_info: null,
  runtime: "1.500",
  added_params: { query_timezone: "UTC", sorts: ["orders.city desc"] },
  forecast_result: null,
  sql: "SELECT 'the statement'",
  sql_explain: null,
  fill_fields: [],
  applied_filter_expression: null,
  number_format: "1,234.56",
  explore: { name: "orders", label: "Orders", description: null },
  timezone: "UTC",
  drill_menu_build_time: 0
}

/** The members of the metadata in json_bi that a failure has as well as a result. */
const commonMetadata = {
  big_query_metadata: null,
  filter_expression: null,
  filters: { "orders.city": "Ulm" },
  sql: "SELECT 'the statement'"
}

layer(database)("a pivoted result with totals", (it) => {
  it.effect("says all of itself in json_detail", () =>
    Effect.gen(function* () {
      const { data, pivots, subtotals_data, totals_data, ...rest } = yield* json("json_detail", yield* pivoted, {
        warnings: ["Note: development mode"]
      })
      assert.deepStrictEqual(rest, {
        ...commonDetail,
        truncated: false,
        columns_truncated: "yes",
        has_totals: true,
        has_row_totals: true,
        has_subtotals: true,
        subtotal_sets: [["orders.city"]],
        applied_filters: { "orders.city": { field: detailField(city), value: "Ulm" } },
        fields: {
          measures: [detailField(count), detailField(price)],
          dimensions: [detailField(city)],
          table_calculations: [],
          pivots: [detailField(status), detailField(year)]
        },
        errors: [
          {
            message: "Note: development mode",
            message_details: null,
            params: null,
            edit_url: null,
            error_pos: null,
            fatal: false,
            level: "error",
            login_required_oauth_application_id: null
          }
        ]
      })
      assert.deepStrictEqual(
        [data, subtotals_data["1"]].map((rows) => rows.length),
        [2, 2]
      )
      assert.deepStrictEqual(
        pivots.map((pivot: Record<string, unknown>) => [pivot.key, pivot.is_total]),
        [
          ["new|FIELD|2001", false],
          ["null|FIELD|2002", false],
          ["$$$_row_total_$$$", true]
        ]
      )
      assert.deepStrictEqual(Object.keys(totals_data), ["orders.count", "orders.price"])
    })
  )

  it.effect("says all of itself in json_bi", () =>
    Effect.gen(function* () {
      const { metadata, ...rest } = yield* json("json_bi", yield* pivoted)
      assert.deepStrictEqual(Object.keys(rest), ["rows"])
      const { pivots, ...others } = metadata
      assert.strictEqual(pivots.length, 3)
      assert.deepStrictEqual(others, {
        ...commonMetadata,
        has_totals: true,
        has_subtotals: true,
        columns_truncated: "yes",
        fields: {
          measures: [biField(count), biField(price)],
          dimensions: [biField(city)],
          table_calculations: [],
          pivots: [biField(status), biField(year)]
        }
      })
    })
  )

  it.effect("has its measures by the keys of the pivots in json", () =>
    Effect.gen(function* () {
      const text = yield* body("json", yield* pivoted)
      assert.deepStrictEqual(text.split("\n"), [
        '[{"orders.city":"Ulm",' +
          '"orders.count":{"new|FIELD|2001":1000,"null|FIELD|2002":null,"$$$_row_total_$$$":1000},' +
          '"orders.price":{"new|FIELD|2001":12345678901234567890.50,"null|FIELD|2002":null,"$$$_row_total_$$$":12345678901234567890.50}},',
        '{"orders.city":null,' +
          '"orders.count":{"new|FIELD|2001":2,"null|FIELD|2002":3,"$$$_row_total_$$$":5},' +
          '"orders.price":{"new|FIELD|2001":-0.25,"null|FIELD|2002":1.00,"$$$_row_total_$$$":0.75}}]'
      ])
    })
  )

  it.effect("has cells, pivots, totals and subtotals in json_detail", () =>
    Effect.gen(function* () {
      const detail = yield* json("json_detail", yield* pivoted)
      assert.deepStrictEqual(detail.data[1], {
        "orders.city": { value: null },
        "orders.count": {
          "new|FIELD|2001": { value: 2 },
          "null|FIELD|2002": { value: 3 },
          $$$_row_total_$$$: { value: 5 }
        },
        "orders.price": {
          "new|FIELD|2001": { value: -0.25, rendered: "-$0.25" },
          "null|FIELD|2002": { value: 1, rendered: "$1.00" },
          $$$_row_total_$$$: { value: 0.75, rendered: "$0.75" }
        }
      })
      assert.deepStrictEqual(detail.data[0]["orders.count"]["new|FIELD|2001"], { value: 1000, rendered: "1,000" })
      assert.deepStrictEqual(detail.data[0]["orders.count"]["null|FIELD|2002"], { value: null })
      assert.deepStrictEqual(detail.totals_data["orders.count"].$$$_row_total_$$$, { value: 1005, rendered: "1,005" })
      assert.notProperty(detail.totals_data, "orders.city")
      assert.deepStrictEqual(Object.keys(detail.subtotals_data), ["1"])
      assert.deepStrictEqual(detail.subtotals_data["1"][0].$$$__grouping__$$$, ["orders.city"])
      assert.deepStrictEqual(detail.subtotals_data["1"][0]["orders.city"], { value: "Ulm" })
      assert.deepStrictEqual(detail.subtotal_sets, [["orders.city"]])
      assert.deepStrictEqual(detail.pivots[0], {
        key: "new|FIELD|2001",
        data: { "orders.status": "new", "orders.year": 2001 },
        sort_values: { "orders.status": "new", "orders.year": 2001 },
        labels: { "orders.status": "new", "orders.year": 2001 },
        is_total: false,
        metadata: { "orders.status": { value: "new" }, "orders.year": { value: 2001 } }
      })
      assert.deepStrictEqual(
        [detail.has_totals, detail.has_row_totals, detail.has_subtotals, detail.columns_truncated],
        [true, true, true, "yes"]
      )
      const namesOf = (fields: ReadonlyArray<{ readonly name: string }>) => fields.map((field) => field.name)
      assert.deepStrictEqual(
        [namesOf(detail.fields.dimensions), namesOf(detail.fields.measures), namesOf(detail.fields.pivots)],
        [["orders.city"], ["orders.count", "orders.price"], ["orders.status", "orders.year"]]
      )
      assert.deepStrictEqual(detail.fields.measures[1].value_format, "$#,##0.00")
      assert.deepStrictEqual([detail.ran_at, detail.runtime], ["1970-01-01T00:00:00+00:00", "1.500"])
    })
  )

  it.effect("has the pivot's key in the name, and the totals as last row, in json_bi", () =>
    Effect.gen(function* () {
      const { metadata, rows } = yield* json("json_bi", yield* pivoted)
      assert.strictEqual(rows.length, 3)
      assert.deepStrictEqual(rows[1]["orders.count|FIELD|new|FIELD|2001"], { value: 2 })
      assert.deepStrictEqual(rows[2]["orders.city"], { value: null })
      assert.deepStrictEqual(rows[2]["orders.count|FIELD|$$$_row_total_$$$"], { value: 1005, rendered: "1,005" })
      assert.deepStrictEqual(
        [metadata.has_totals, metadata.has_subtotals, metadata.columns_truncated, metadata.big_query_metadata],
        [true, true, "yes", null]
      )
      const values = { "orders.status": null, "orders.year": "2002" }
      assert.deepStrictEqual(metadata.pivots[1], {
        key: "null|FIELD|2002",
        data: values,
        sort_values: values,
        is_total: false
      })
      assert.deepStrictEqual(metadata.pivots[2], {
        key: "$$$_row_total_$$$",
        data: {},
        sort_values: {},
        is_total: true
      })
    })
  )

  it.effect("is read by our client, whichever way it comes", () =>
    Effect.gen(function* () {
      const table = yield* pivoted
      for (const format of ["json", "json_detail", "json_bi", "csv"] as const) {
        const text = yield* body(format, table)
        const parsed = yield* Effect.flatMap(ResultRows.parse(format, text, "t1"), (data) =>
          ResultRows.fromData(format, data, "t1")
        )
        const streamed = yield* Stream.runCollect(
          ResultRows.fromStream(format, Stream.encodeText(Stream.fromIterable(text.match(/[\s\S]{1,7}/g) ?? [])), "t1")
        )
        assert.deepStrictEqual(streamed, parsed.rows)
        const [row = {}] = parsed.rows
        const big = "12345678901234567890.50"
        switch (format) {
          case "json_bi":
            assert.strictEqual(row["orders.price|FIELD|new|FIELD|2001"], big)
            break
          case "csv":
            // The line of the second pivot field and that of the labels are rows to a reader who takes the first line for the header.
            assert.deepStrictEqual(Object.values(parsed.rows[1] ?? {}).slice(0, 2), ["Orders city", "Orders count"])
            assert.strictEqual(parsed.rows.length, 5)
            break
          default:
            assert.deepStrictEqual(row["orders.price"], {
              "new|FIELD|2001": big,
              "null|FIELD|2002": null,
              $$$_row_total_$$$: big
            })
        }
      }
    })
  )

  const lines = [
    ["Orders status", "new", "new", "", "", "Row Totals", "Row Totals"],
    ["Orders year", "2001", "2001", "2002", "2002", "", ""],
    ["Orders city", "Orders count", "Orders price", "Orders count", "Orders price", "Orders count", "Orders price"],
    ["Ulm", "1000", "12345678901234567890.50", "", "", "1000", "12345678901234567890.50"],
    ["", "2", "-0.25", "3", "1.00", "5", "0.75"],
    ["", "1002", "7.25", "3", "1.00", "1005", "8.25"]
  ]

  it.effect("has a line for each pivot field, and the totals as last line, in csv, txt and html", () =>
    Effect.gen(function* () {
      const table = yield* pivoted
      const csv = yield* body("csv", table)
      assert.strictEqual(csv, lines.map((line) => `${line.join(",")}\n`).join(""))
      assert.strictEqual(yield* body("txt", table), lines.map((line) => `${line.join("\t")}\n`).join(""))
      assert.deepStrictEqual(html(yield* body("html", table)), lines)
    })
  )

  it.effect("has one line of labels in md", () =>
    Effect.gen(function* () {
      const read = markdown(yield* body("md", yield* pivoted))
      assert.deepStrictEqual(read[0], [
        "Orders city",
        "new 2001 Orders count",
        "new 2001 Orders price",
        "2002 Orders count",
        "2002 Orders price",
        "Row Totals Orders count",
        "Row Totals Orders price"
      ])
      assert.deepStrictEqual(read.slice(2), lines.slice(3))
    })
  )

  it.effect("has numbers as numbers in xlsx", () =>
    Effect.gen(function* () {
      const cells = yield* sheet(yield* bytes("xlsx", yield* pivoted))
      assert.deepStrictEqual(
        [cells.A1, cells.B1, cells.D1, cells.A3, cells.A4, cells.B4, cells.D4, cells.C5, cells.B6],
        ["Orders status", "new", undefined, "Orders city", "Ulm", 1000, undefined, -0.25, 1002]
      )
      assert.strictEqual(Object.keys(cells).length, 5 + 5 + 7 + 5 + 6 + 6)
    })
  )

  it.effect("shows numbers as people see them with apply_formatting", () =>
    Effect.gen(function* () {
      const table = yield* pivoted
      const formatted = [
        "Ulm",
        "1,000",
        "$12,345,678,901,234,567,890.50",
        "",
        "",
        "1,000",
        "$12,345,678,901,234,567,890.50"
      ]
      const more = { isFormatted: true }
      assert.deepStrictEqual((yield* separated(yield* body("csv", table, more), ","))[3], formatted)
      assert.deepStrictEqual((yield* separated(yield* body("txt", table, more), "\t"))[3], formatted)
      assert.deepStrictEqual(html(yield* body("html", table, more))[3], formatted)
      assert.deepStrictEqual(markdown(yield* body("md", table, more))[2], formatted)
      assert.strictEqual((yield* sheet(yield* bytes("xlsx", table, more))).C4, formatted[2])
      assert.deepStrictEqual((yield* json("json", table, more))[0]["orders.price"], {
        "new|FIELD|2001": formatted[2],
        "null|FIELD|2002": null,
        $$$_row_total_$$$: formatted[2]
      })
    })
  )

  it.effect("is the same, byte for byte, every time", () =>
    Effect.gen(function* () {
      const table = yield* pivoted
      for (const format of ResultBody.formats) {
        assert.deepStrictEqual(yield* bytes(format, table), yield* bytes(format, table), format)
      }
    })
  )

  it.effect("has the same bytes as xlsx at any time and in any time zone: its files are of 1980", () =>
    Effect.gen(function* () {
      const table = yield* pivoted
      const timezone = process.env.TZ
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (timezone === undefined) delete process.env.TZ
          else process.env.TZ = timezone
        })
      )
      const workbooks: Array<Uint8Array> = []
      for (const zone of ["UTC", "Pacific/Auckland", "America/Los_Angeles"]) {
        process.env.TZ = zone
        workbooks.push(yield* bytes("xlsx", table))
      }
      const [workbook = new Uint8Array(), ...others] = workbooks
      for (const other of others) assert.deepStrictEqual(other, workbook)
      const zip = Buffer.from(workbook)
      // The time and the day of a file: in its own header, and in the directory at the end of the zip.
      for (const [signature, offset] of [
        ["PK\x03\x04", 10],
        ["PK\x01\x02", 12]
      ] as const) {
        let files = 0
        for (let at = zip.indexOf(signature); at >= 0; at = zip.indexOf(signature, at + 1)) {
          files++
          assert.deepStrictEqual([zip.readUInt16LE(at + offset), zip.readUInt16LE(at + offset + 2)], [0, (1 << 5) | 1])
        }
        assert.strictEqual(files, 5)
      }
      assert.strictEqual(zip.indexOf("PK\x05\x06"), zip.length - 22)
    }).pipe(Effect.scoped)
  )

  it.effect("is a JSON value in multi_results, in every format", () =>
    Effect.gen(function* () {
      const table = yield* pivoted
      for (const format of ResultBody.formats) {
        const ended = { startedAt: 0, endedAt: 1500, result: table }
        const data = JSON.parse(yield* Stream.mkString(ResultBody.data(run(table), format, ended, options)))
        const alone = yield* bytes(format, table)
        if (format === "xlsx") {
          assert.deepStrictEqual(Effect.runSync(Effect.fromResult(Base64.decode(data))), alone)
        } else {
          const text = new TextDecoder().decode(alone)
          assert.deepStrictEqual(data, typeof data === "string" ? text : JSON.parse(text))
        }
      }
    })
  )
})

const text: Column = { field: dimension("text"), pivot: undefined, sqlName: "text" }
const other: Column = { field: dimension("other"), pivot: undefined, sqlName: "other" }

layer(database)("any text in a cell", (it) => {
  const pieces = Schema.Array(
    Schema.Literals([
      ...([
        '"',
        "'",
        ",",
        "\n",
        "\r",
        "\t",
        "|",
        "\\",
        "<",
        ">",
        "&",
        "<br>",
        "&amp;",
        "_x0041_",
        "_x",
        "\0",
        "\u0001"
      ] as const),
      ...([" ", "a", "é", "😀", "\u2028", "\ufffe", "{}", "-", "1", "\u001f", "=1+1", "&#13;", '""'] as const)
    ])
  )
  const anything = Schema.String.check(
    // DuckDB takes none.
    Schema.makeFilter((text) => !/\p{Surrogate}/u.test(text))
  )

  it.effect.prop(
    "comes back from every format",
    [Schema.NonEmptyArray(Schema.Tuple([pieces, anything]))],
    ([rows]) =>
      Effect.gen(function* () {
        const texts = rows.map(([pieces, any]) => [pieces.join(""), any])
        yield* create(
          "r",
          ["text", "other"],
          texts.map((row) => row.map(literal))
        )
        const table = result([text, other], texts.length)

        assert.deepStrictEqual(
          (yield* json("json", table)).map((row: object) => Object.values(row)),
          texts
        )
        assert.deepStrictEqual(
          (yield* json("json_detail", table)).data.map((row: object) => Object.values(row).map((cell) => cell.value)),
          texts
        )
        assert.deepStrictEqual((yield* separated(yield* body("csv", table), ",")).slice(1), texts)
        assert.deepStrictEqual((yield* separated(yield* body("txt", table), "\t")).slice(1), texts)
        assert.deepStrictEqual(html(yield* body("html", table)).slice(1), texts)
        assert.deepStrictEqual(
          markdown(yield* body("md", table)).slice(2),
          texts.map((row) => row.map((text) => text.replaceAll(/\r\n|\r/g, "\n")))
        )
        const cells = yield* sheet(yield* bytes("xlsx", table))
        assert.deepStrictEqual(
          texts.map((_, index) => [cells[`A${index + 2}`], cells[`B${index + 2}`]]),
          texts
        )
      }),
    { arbitrary: { runs: 60 } }
  )

  it.effect.prop(
    "is a record even where it is the only one, and empty",
    [Schema.NonEmptyArray(Schema.Literals(["", "a", "\n", " "]))],
    ([texts]) =>
      Effect.gen(function* () {
        yield* create(
          "r",
          ["text"],
          texts.map((text) => [literal(text)])
        )
        const rows = yield* separated(yield* body("csv", result([text], texts.length)), ",")
        assert.deepStrictEqual(rows, [["Orders text"], ...texts.map((text) => [text])])
      }),
    { arbitrary: { runs: 20 } }
  )
})

layer(database)("a result", (it) => {
  const one = Effect.gen(function* () {
    yield* create("r", ["text", "n"], [["'a'", "1"]])
    return result([text, { field: count, pivot: undefined, sqlName: "n" }], 1)
  })

  it.effect("is whole in every format, from its first character to its last", () =>
    Effect.gen(function* () {
      yield* create(
        "small",
        ["city", "count"],
        [
          ["'Ulm'", "1000"],
          ["NULL", "NULL"]
        ]
      )
      yield* create("small_totals", ["city", "count"], [["NULL", "1000"]])
      const columns = [
        { field: city, pivot: undefined, sqlName: "city" },
        { field: count, pivot: undefined, sqlName: "count" }
      ]
      const totals = { table: "results.small_totals", rowCount: 1 }
      const table = result(columns, 2, { rows: { table: "results.small", rowCount: 2 }, totals })
      const cell = (text: string) => `<is><t xml:space="preserve">${text}</t></is></c>`
      for (const [format, text] of [
        ["csv", "Orders city,Orders count\nUlm,1000\n,\n,1000\n"],
        ["txt", "Orders city\tOrders count\nUlm\t1000\n\t\n\t1000\n"],
        ["md", "| Orders city | Orders count |\n| --- | --- |\n| Ulm | 1000 |\n|  |  |\n|  | 1000 |\n"],
        [
          "html",
          "<table>\n<thead>\n<tr><th>Orders city</th><th>Orders count</th></tr>\n</thead>\n<tbody>\n" +
            "<tr><td>Ulm</td><td>1000</td></tr>\n<tr><td></td><td></td></tr>\n<tr><td></td><td>1000</td></tr>\n" +
            "</tbody>\n</table>\n"
        ],
        ["json", '[{"orders.city":"Ulm","orders.count":1000},\n{"orders.city":null,"orders.count":null}]']
      ] as const) {
        assert.strictEqual(yield* body(format, table), text)
      }
      const detail = yield* body("json_detail", table)
      assert.isTrue(detail.endsWith(',"drill_menu_build_time":0,"has_subtotals":false}'))
      const bi = yield* body("json_bi", table)
      assert.isTrue(bi.endsWith(',\n{"orders.city":{"value":null},"orders.count":{"value":1000,"rendered":"1,000"}}]}'))
      const workbook = unzipSync(yield* bytes("xlsx", table))
      assert.strictEqual(
        strFromU8(workbook["xl/worksheets/sheet1.xml"] ?? new Uint8Array()),
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' +
          '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>' +
          `<row r="1"><c r="A1" t="inlineStr">${cell("Orders city")}<c r="B1" t="inlineStr">${cell("Orders count")}</row>` +
          `<row r="2"><c r="A2" t="inlineStr">${cell("Ulm")}<c r="B2"><v>1000</v></c></row>` +
          '<row r="3"><c r="A3"/><c r="B3"/></row>' +
          '<row r="4"><c r="A4"/><c r="B4"><v>1000</v></c></row></sheetData></worksheet>'
      )
      for (const [name, end] of [
        ["[Content_Types].xml", "</Types>"],
        ["_rels/.rels", "</Relationships>"],
        ["xl/workbook.xml", "</sheets></workbook>"],
        ["xl/_rels/workbook.xml.rels", "</Relationships>"]
      ] as const) {
        assert.isTrue(strFromU8(workbook[name] ?? new Uint8Array()).endsWith(end), name)
      }
      assert.lengthOf(Object.keys(workbook), 5)
    })
  )

  it.effect("without rows is whole in every format", () =>
    Effect.gen(function* () {
      const empty = result([text, { field: count, pivot: undefined, sqlName: "n" }], 0)
      assert.deepStrictEqual(yield* json("json", empty), [])
      assert.deepStrictEqual((yield* json("json_detail", empty)).data, [])
      assert.deepStrictEqual((yield* json("json_bi", empty)).rows, [])
      assert.strictEqual(yield* body("csv", empty), "Orders text,Orders count\n")
      assert.strictEqual(yield* body("txt", empty), "Orders text\tOrders count\n")
      assert.strictEqual(yield* body("md", empty), "| Orders text | Orders count |\n| --- | --- |\n")
      assert.deepStrictEqual(html(yield* body("html", empty)), [["Orders text", "Orders count"]])
      assert.deepStrictEqual(yield* sheet(yield* bytes("xlsx", empty)), { A1: "Orders text", B1: "Orders count" })
    })
  )

  it.effect("has texts that look like numbers as they are in json_detail", () =>
    Effect.gen(function* () {
      const texts = ["1000", "0.50", "-12345.678", "1e3"]
      yield* create(
        "r",
        ["text"],
        texts.map((text) => [literal(text)])
      )
      const { data } = yield* json("json_detail", result([text], texts.length))
      assert.deepStrictEqual(
        data,
        texts.map((value) => ({ "orders.text": { value } }))
      )
    })
  )

  it.effect("has the label of a field in every format, whatever its characters", () =>
    Effect.gen(function* () {
      const label = 'a <b> & "c" | d_x0041_\\'
      const empty = result([{ ...text, field: { ...text.field, label } }], 0)
      assert.deepStrictEqual(html(yield* body("html", empty)), [[label]])
      assert.deepStrictEqual(yield* sheet(yield* bytes("xlsx", empty)), { A1: label })
      assert.deepStrictEqual(markdown(yield* body("md", empty))[0], [label])
      assert.deepStrictEqual(yield* separated(yield* body("csv", empty), ","), [[label]])
      assert.deepStrictEqual(yield* separated(yield* body("txt", empty), "\t"), [[label]])
    })
  )

  it.effect("without pivots or totals says nothing of them in json_detail, with the keys of a recorded one", () =>
    Effect.gen(function* () {
      const detail = yield* json("json_detail", yield* one)
      assert.deepStrictEqual(Object.keys(detail).sort(), [
        ...["added_params", "aggregate_table_used_info", "applied_filter_expression", "applied_filters", "data"],
        ...["drill_menu_build_time", "expired", "explore", "fields", "fill_fields", "forecast_result", "from_cache"],
        ...["has_row_totals", "has_subtotals", "has_totals", "id", "null_sort_treatment", "number_format", "ran_at"],
        ...["runtime", "sql", "sql_explain", "supports_pivot_in_db", "timezone", "truncated"]
      ])
      assert.deepStrictEqual(detail.data, [{ "orders.text": { value: "a" }, "orders.count": { value: 1 } }])
      assert.deepStrictEqual([detail.sql, detail.added_params.sorts], ["SELECT 'the statement'", ["orders.city desc"]])
    })
  )

  it.effect("keeps its SQL from who may not see it", () =>
    Effect.gen(function* () {
      const hidden = { seesSql: false }
      const detail = yield* json("json_detail", yield* one, hidden)
      const { metadata } = yield* json("json_bi", yield* one, hidden)
      assert.deepStrictEqual(
        [detail.sql, detail.fields.measures[0].sql, metadata.sql, metadata.fields.dimensions[0].sql],
        [null, null, null, null]
      )
    })
  )

  it.effect("has warnings beside its rows in json_detail, which our client tells from errors", () =>
    Effect.gen(function* () {
      const detail = yield* json("json_detail", yield* one, { warnings: ["Note: development mode"] })
      assert.deepStrictEqual([detail.errors.length, detail.errors[0].fatal, detail.data.length], [1, false, 1])
      const { rows, warnings } = yield* ResultRows.fromData("json_detail", detail, "t1")
      assert.deepStrictEqual(rows, [{ "orders.text": "a", "orders.count": 1 }])
      assert.deepStrictEqual(
        warnings.map(({ fatal, message }) => [fatal, message]),
        [[false, "Note: development mode"]]
      )
    })
  )

  it.effect("has null where DuckDB has a number that JSON has not", () =>
    Effect.gen(function* () {
      yield* create(
        "r",
        ["text", "n"],
        [
          ["'a'", "'nan'::DOUBLE"],
          ["'b'", "'-inf'::DOUBLE"],
          ["'c'", "1e300"]
        ]
      )
      const table = result([text, { field: price, pivot: undefined, sqlName: "n" }], 3)
      assert.strictEqual(
        yield* body("json", table),
        '[{"orders.text":"a","orders.price":null},\n{"orders.text":"b","orders.price":null},\n{"orders.text":"c","orders.price":1e+300}]'
      )
      const cells = yield* sheet(yield* bytes("xlsx", table))
      assert.deepStrictEqual([cells.B2, cells.B4], [undefined, 1e300])
      assert.deepStrictEqual((yield* json("json_detail", table)).data[2]["orders.price"], { value: 1e300 })
    })
  )

  it.effect("may be as wide as a pivot gets", () =>
    Effect.gen(function* () {
      const width = 1000
      const indices = [...Array(width).keys()]
      yield* create("r", indices.map(String), [indices.map(String), indices.map(String)])
      const columns = indices.map((index): Column => {
        const pivot = { key: String(index), isTotal: false, data: { "orders.status": String(index) } }
        return { field: index % 2 === 0 ? count : price, pivot, sqlName: String(index) }
      })
      const wide = result(columns, 2, { pivotFields: [status], pivots: columns.flatMap(({ pivot }) => pivot ?? []) })
      assert.strictEqual((yield* json("json_detail", wide)).data[1]["orders.price"]["999"].value, 999)
      assert.strictEqual((yield* separated(yield* body("csv", wide), ","))[3]?.[999], "999")
      assert.strictEqual((yield* sheet(yield* bytes("xlsx", wide))).ALL4, 999)
    })
  )

  it.effect("goes out page by page, in order", () =>
    Effect.gen(function* () {
      const database = yield* DuckDb.DuckDb
      yield* database.run(
        "CREATE OR REPLACE TABLE results.r AS SELECT CAST(range AS VARCHAR) AS text, range AS n FROM range(70000)"
      )
      const table = result([text, { field: count, pivot: undefined, sqlName: "n" }], 70_000)
      const pieces = yield* Stream.runCollect(
        ResultBody.stream(run(table), "json", { startedAt: 0, endedAt: 0, result: table }, options)
      )
      assert.strictEqual(pieces.length, 4)
      const rows = yield* json("json", table)
      assert.isTrue(rows.every((row: Record<string, unknown>, index: number) => row["orders.count"] === index))
      assert.strictEqual(rows.length, 70_000)
      const cells = yield* sheet(yield* bytes("xlsx", table))
      assert.deepStrictEqual([cells.A70001, cells.B70001, cells.B2], ["69999", 69_999, 0])
    })
  )

  it.effect("is refused as xlsx where Excel could not open it", () =>
    Effect.gen(function* () {
      const columns = [text]
      assert.isUndefined(yield* ResultBody.writeError("xlsx", result(columns, 1_048_575)))
      assert.include(yield* ResultBody.writeError("xlsx", result(columns, 1_048_576)), "1048577 rows")
      assert.isUndefined(yield* ResultBody.writeError("csv", result(columns, 1_048_576)))
      const wide = [...Array(16_385).keys()].map(() => text)
      assert.include(yield* ResultBody.writeError("xlsx", result(wide, 1)), "16385 columns")
    })
  )
})

describe("a failure", () => {
  const table = result([text], 0)
  const failed = (format: ResultBody.Format, error: DuckDb.DatabaseError) =>
    JSON.parse(ResultBody.failure(run(table), format, { startedAt: 0, endedAt: 1500 }, error, options))
  const at = (message: string, line?: number) =>
    failed("json_detail", new DuckDb.DatabaseError({ message, line })).errors[0]

  it("has the form of its format", () => {
    const error = new DuckDb.DatabaseError({ message: "no such thing", line: undefined })
    const sentence = "The DuckDB database encountered an error while running this query. no such thing"
    for (const format of ["json", "inline_json"] as const) {
      assert.deepStrictEqual(failed(format, error), [{ looker_error: sentence }])
    }
    assert.deepStrictEqual(failed("json_bi", error).rows, [{ looker_error: sentence }])
    for (const format of ["csv", "txt", "md", "html", "xlsx"] as const) {
      assert.strictEqual(failed(format, error), sentence)
    }
    const detail = failed("json_detail", error)
    assert.deepStrictEqual([detail.data, detail.has_totals, "truncated" in detail], [[], false, false])
    assert.deepStrictEqual(detail.errors, [
      {
        message: ResultBody.databaseFailed,
        message_details: "no such thing",
        params: "SELECT 'the statement'",
        edit_url: null,
        error_pos: null,
        level: "error",
        sql_error_loc: {}
      }
    ])
  })

  it("says all of a query without a result in json_detail and json_bi", () => {
    const error = new DuckDb.DatabaseError({ message: "no such thing", line: undefined })
    const { errors, ...detail } = failed("json_detail", error)
    assert.strictEqual(errors.length, 1)
    assert.deepStrictEqual(detail, {
      ...commonDetail,
      data: [],
      has_totals: false,
      has_row_totals: false,
      has_subtotals: false,
      applied_filters: { "orders.city": { value: "Ulm" } },
      fields: { measures: [], dimensions: [detailField(text.field)], table_calculations: [], pivots: [] }
    })
    const { metadata, rows } = failed("json_bi", error)
    assert.strictEqual(rows.length, 1)
    assert.deepStrictEqual(metadata, {
      ...commonMetadata,
      has_totals: false,
      has_subtotals: false,
      columns_truncated: "no",
      pivots: [],
      fields: { measures: [], dimensions: [biField(text.field)], table_calculations: [], pivots: [] }
    })
  })

  it("says where in the statement it is, as far as DuckDB does", () => {
    assert.deepStrictEqual(at("Parser Error: x\n\nLINE 3:    nosuch\n           ^", 2).sql_error_loc, {
      line: 2,
      column: 4
    })
    assert.deepStrictEqual(at("Parser Error: x\n\nLINE 2: ...nosuch\n           ^", 1).sql_error_loc, { line: 1 })
    assert.deepStrictEqual(at("Conversion Error: x").sql_error_loc, {})
  })

  it("quotes the statement to those who see SQL only", () => {
    const message = "Parser Error: x\n\nLINE 2: nosuch(secret)\n        ^"
    const error = new DuckDb.DatabaseError({ message, line: 2 })
    for (const format of ["json", "json_detail", "json_bi", "csv"] as const) {
      const messageFor = (seesSql: boolean) =>
        ResultBody.failure(run(table), format, { startedAt: 0, endedAt: 1500 }, error, { ...options, seesSql })
      assert.include(messageFor(true), "nosuch(secret)")
      assert.include(messageFor(false), "Parser Error: x")
      assert.notInclude(messageFor(false), "secret")
    }
  })
})
