import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { type ResultFormat, ResultRows } from "effect-looker"

const formats = ["json", "json_detail", "json_bi", "csv"] as const

/** A body of a result, as text, to rows. */
const read = (format: ResultFormat.RowFormat, text: string) =>
  Effect.flatMap(ResultRows.parse(format, text, "t1"), (data) => ResultRows.fromData(format, data, "t1"))

const rowsOf = (format: ResultFormat.RowFormat, body: unknown) =>
  Effect.map(read(format, typeof body === "string" ? body : JSON.stringify(body)), ({ rows }) => rows)

const note = { message: "Note: development mode", fatal: false, level: "error" }

describe("json", () => {
  it.effect("gives its rows as they are", () =>
    Effect.gen(function* () {
      const rows = [{ "flights.origin": "SFO", "flights.count": 3, "flights.date": null }, { "flights.origin": "LAX" }]
      assert.deepStrictEqual(yield* rowsOf("json", rows), rows)
    })
  )

  it.effect("is empty without rows", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* rowsOf("json", "[]"), [])
      assert.deepStrictEqual(yield* rowsOf("json", " [\n] "), [])
    })
  )
})

describe("json_detail", () => {
  const body = (data: ReadonlyArray<unknown>, more: object = {}) => ({
    id: "t1",
    sql: "SELECT 1",
    fields: {},
    data,
    ...more
  })

  it.effect("gives the value of each cell, whatever else the cell has", () =>
    Effect.gen(function* () {
      const rows = yield* rowsOf(
        "json_detail",
        body([
          {
            "flights.origin": { value: "SFO", html: "<b>SFO</b>", filterable_value: "SFO" },
            "flights.count": {
              value: 530,
              rendered: "530",
              links: [{ label: "Show All 530", url: "/explore/x", type: "measure_default" }]
            },
            "flights.date": { value: null, rendered: "∅" },
            "flights.zero": { value: 0 },
            "flights.no": { value: false },
            "flights.empty": { value: "" }
          }
        ])
      )
      assert.deepStrictEqual(rows, [
        {
          "flights.origin": "SFO",
          "flights.count": 530,
          "flights.date": null,
          "flights.zero": 0,
          "flights.no": false,
          "flights.empty": ""
        }
      ])
    })
  )

  it.effect("is not misled by a pivot whose key is value", () =>
    Effect.gen(function* () {
      const rows = yield* rowsOf("json_detail", body([{ n: { value: { value: 5 }, new: { value: 7 } } }]))
      assert.deepStrictEqual(rows, [{ n: { value: 5, new: 7 } }])
    })
  )

  it.effect("gives a pivoted measure as one value for each pivot key", () =>
    Effect.gen(function* () {
      const rows = yield* rowsOf(
        "json_detail",
        body([
          {
            "flights.origin": { value: "SFO" },
            "flights.count": {
              "UA|FIELD|1": { value: 3, rendered: "3" },
              "AA|FIELD|2": { value: null },
              $$$_row_total_$$$: { value: 3 }
            }
          }
        ])
      )
      assert.deepStrictEqual(rows, [
        { "flights.origin": "SFO", "flights.count": { "UA|FIELD|1": 3, "AA|FIELD|2": null, $$$_row_total_$$$: 3 } }
      ])
    })
  )

  it.effect("gives values that are objects or lists as they are", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* rowsOf("json_detail", body([{ a: { value: { x: [1] } }, b: { value: [1, 2] } }])), [
        { a: { x: [1] }, b: [1, 2] }
      ])
    })
  )

  it.effect("gives cells that are no objects as they are", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* rowsOf("json_detail", body([{ a: 1, b: null, c: [1], d: {} }])), [
        { a: 1, b: null, c: [1], d: {} }
      ])
    })
  )

  it.effect("passes warnings on, with the rows", () =>
    Effect.gen(function* () {
      const { rows, warnings } = yield* read(
        "json_detail",
        JSON.stringify(body([{ a: { value: 1 } }], { errors: [note] }))
      )
      assert.deepStrictEqual(rows, [{ a: 1 }])
      assert.deepStrictEqual(
        warnings.map(({ message }) => message),
        [note.message]
      )
    })
  )

  it.effect("is QueryFailed with errors inside, although it came with 200", () =>
    Effect.gen(function* () {
      const errors = [{ message: "no", message_details: "line 2", sql_error_loc: { line: 2, column: 4 } }]
      const error = yield* Effect.flip(rowsOf("json_detail", body([], { errors })))
      assert.strictEqual(error._tag, "QueryFailed")
      if (error._tag !== "QueryFailed") return
      assert.strictEqual(error.taskId, "t1")
      assert.strictEqual(error.sql, "SELECT 1")
      assert.strictEqual(error.errors[0]?.line, 2)
      assert.include(error.message, "line 2")
    })
  )
})

describe("json_bi", () => {
  const rows = [{ "flights.origin": "SFO", "flights.count": 3 }]
  const cells = [{ "flights.origin": { value: "SFO" }, "flights.count": { value: 3, rendered: "3" } }]

  it.effect.each([
    { name: "metadata and rows with cells", body: { metadata: { sql: null }, rows: cells } },
    { name: "metadata and rows", body: { metadata: { sql: "SELECT 1", fields: {} }, rows } },
    { name: "metadata without SQL", body: { metadata: { sql: null }, rows } },
    { name: "the flat kind before 24.4", body: { sql: "SELECT 1", fields: {}, data: rows } }
  ])("gives its rows from $name", ({ body }) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* rowsOf("json_bi", body), rows)
    })
  )

  it.effect("is empty without rows", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* rowsOf("json_bi", { metadata: {}, rows: [] }), [])
    })
  )

  it.effect("is QueryFailed with rows of looker_error", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        rowsOf("json_bi", { metadata: { sql: "SELECT 1" }, rows: [{ looker_error: "a" }, { looker_error: "b" }] })
      )
      assert.strictEqual(error._tag, "QueryFailed")
      assert.strictEqual(error.message, "a; b")
    })
  )
})

describe("csv", () => {
  it.effect.each([
    {
      name: "a record for each line",
      text: "Origin,Count\nSFO,3\nLAX,2\n",
      rows: [
        { Origin: "SFO", Count: "3" },
        { Origin: "LAX", Count: "2" }
      ]
    },
    { name: "no line end at the end", text: "Origin,Count\nSFO,3", rows: [{ Origin: "SFO", Count: "3" }] },
    { name: "Windows line ends", text: "Origin,Count\r\nSFO,3\r\n", rows: [{ Origin: "SFO", Count: "3" }] },
    { name: "a byte order mark", text: "\uFEFFOrigin\nSFO\n", rows: [{ Origin: "SFO" }] },
    {
      name: "quotes, commas and line ends in cells",
      text: 'Name,Note\n"Smith, J.","He said ""no""\nand left"\n',
      rows: [{ Name: "Smith, J.", Note: 'He said "no"\nand left' }]
    },
    { name: "quoted labels", text: '"Flights, Count"\n3\n', rows: [{ "Flights, Count": "3" }] },
    { name: "empty cells and spaces", text: "a,b,c\n,, x \n", rows: [{ a: "", b: "", c: " x " }] },
    {
      name: "labels that come again",
      text: "Total,Origin,Total,Total\n1,SFO,2,3\n",
      rows: [{ Total: "1", Origin: "SFO", "Total (2)": "2", "Total (3)": "3" }]
    },
    {
      name: "a label that is taken by a numbered one",
      text: "Total,Total,Total (2)\n1,2,3\n",
      rows: [{ Total: "1", "Total (2)": "2", "Total (2) (2)": "3" }]
    },
    {
      name: "a label that is taken before",
      text: "Total (2),Total,Total\n1,2,3\n",
      rows: [{ "Total (2)": "1", Total: "2", "Total (3)": "3" }]
    },
    { name: "empty labels", text: ",\n1,2\n", rows: [{ "": "1", " (2)": "2" }] },
    {
      name: "an empty cell as the whole record",
      text: "Origin\nSFO\n\nLAX\n",
      rows: [{ Origin: "SFO" }, { Origin: "" }, { Origin: "LAX" }]
    },
    { name: "a header and no rows", text: "Origin,Count\n", rows: [] },
    { name: "a header without a line end", text: "Origin,Count", rows: [] },
    { name: "nothing", text: "", rows: [] },
    {
      name: "names of Object's own",
      text: "__proto__,constructor\n1,2\n",
      rows: [JSON.parse('{"__proto__":"1","constructor":"2"}')]
    },
    { name: "other alphabets", text: "出発,🛫\n東京,✓\n", rows: [{ 出発: "東京", "🛫": "✓" }] }
  ])("reads $name", ({ rows, text }) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* rowsOf("csv", text), rows)
    })
  )

  it.effect("loses no column, whatever the labels", () =>
    Effect.gen(function* () {
      const labels = ["x", "x", "x (2)", "x (2)", "x (2) (2)", "x", "x (3)"]
      const [row] = yield* rowsOf("csv", `${labels.join(",")}\n${labels.map((_, index) => index).join(",")}\n`)
      assert.deepStrictEqual(
        Object.values(row ?? {}),
        labels.map((_, index) => String(index))
      )
    })
  )

  it.effect("reads a record larger than a megabyte", () =>
    Effect.gen(function* () {
      const long = "x".repeat(3_000_000)
      const [row] = yield* rowsOf("csv", `a\n"${long}"\n`)
      assert.strictEqual(row?.a, long)
    })
  )

  it.effect.each(['a,b\n1,"2', 'a,b\n1,2"3\n', 'a\n"1"2\n'])("says that %j is no csv", (text) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(rowsOf("csv", text))
      assert.include(["UnexpectedResponse", "TruncatedResult"], error._tag)
      assert.include(error.message, "t1")
    })
  )
})

describe("a body", () => {
  it.effect.each(
    formats.slice(0, 3).flatMap((format) => [
      { format, text: '[{"a":1},{"a":' },
      { format, text: '{"data":[{"a":{"value":1}},' },
      { format, text: '[{"a":1}]Query failed: the connection was lost' },
      { format, text: '  \n[{"a":1},' }
    ])
  )("that breaks off, or has an error at its end, is TruncatedResult: $format $text", ({ format, text }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read(format, text))
      assert.strictEqual(error._tag, "TruncatedResult")
      if (error._tag !== "TruncatedResult") return
      assert.strictEqual(error.taskId, "t1")
      assert.include(text, error.snippet ?? "nothing")
    })
  )

  it.effect("shows the end of a large result that broke off", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read("json", `[${'{"a":1},'.repeat(10_000)} Timeout while streaming`))
      assert.strictEqual(error._tag === "TruncatedResult" && error.snippet?.endsWith("Timeout while streaming"), true)
      assert.isBelow(error._tag === "TruncatedResult" ? (error.snippet?.length ?? 0) : 0, 510)
    })
  )

  it.effect.each(
    formats.slice(0, 3).flatMap((format) => [
      { format, text: "<html><title>Log in</title></html>" },
      { format, text: "" },
      { format, text: "Query failed" }
    ])
  )("that is no JSON is UnexpectedResponse: $format $text", ({ format, text }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read(format, text))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.include(error.message, "t1")
    })
  )

  it.effect.each([
    { format: "json", body: {} },
    { format: "json", body: null },
    { format: "json", body: 5 },
    { format: "json", body: ["a"] },
    { format: "json", body: [1] },
    { format: "json", body: [null] },
    { format: "json", body: [[1]] },
    { format: "json_detail", body: [] },
    { format: "json_detail", body: {} },
    { format: "json_detail", body: { data: null } },
    { format: "json_detail", body: { data: [null] } },
    { format: "json_detail", body: { data: ["a"] } },
    { format: "json_bi", body: [] },
    { format: "json_bi", body: { metadata: {} } },
    { format: "json_bi", body: { rows: "none" } },
    { format: "json_bi", body: { rows: [null] } },
    { format: "json_detail", body: { status: "running", query_id: "7" } },
    { format: "json", body: { status: "running", query_id: "7" } }
  ] as const)("of another shape is UnexpectedResponse, and no data: $format $body", ({ body, format }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read(format, JSON.stringify(body)))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.include(error.message, format)
      assert.isFalse(ResultRows.isResult(format, body))
    })
  )

  it.effect("of rows with looker_error is QueryFailed with all of them, in json", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(rowsOf("json", [{ looker_error: "a" }, { looker_error: "b" }]))
      assert.strictEqual(error._tag, "QueryFailed")
      assert.strictEqual(error.message, "a; b (run it as json_detail to see the statement)")
    })
  )

  it.effect.prop(
    "never makes the program die, whatever JSON it is",
    [Schema.Literals(formats), Schema.Json],
    ([format, data]) =>
      Effect.exit(ResultRows.fromData(format, data, "t1")).pipe(
        Effect.map((exit) => exit._tag === "Success" || exit.cause.reasons.every(({ _tag }) => _tag === "Fail"))
      )
  )
})

describe("ResultRows.isResult", () => {
  it.each([
    ["json", [], true],
    ["json", [{ a: 1 }], true],
    ["json", "[]", false],
    ["json_detail", { data: [] }, true],
    ["json_detail", [], false],
    ["json_bi", { rows: [] }, true],
    ["json_bi", { data: [] }, true],
    ["csv", "a\n1\n", true],
    ["csv", "", true],
    ["csv", [], false],
    ["csv", undefined, false],
    ["json", undefined, false],
    ["json_bi", undefined, false]
  ] as const)("says whether %s can be %j: %s", (format, data, is) => {
    assert.strictEqual(ResultRows.isResult(format, data), is)
  })
})

describe("ResultRows.decode", () => {
  const Row = Schema.Struct({ Origin: Schema.String, Count: Schema.NumberFromString })

  it.effect("gives rows as the caller's schema has them", () =>
    Effect.gen(function* () {
      const rows = yield* rowsOf("csv", "Origin,Count\nSFO,3\n")
      assert.deepStrictEqual(yield* ResultRows.decode(Row, rows, "t1"), [{ Origin: "SFO", Count: 3 }])
    })
  )

  it.effect("says which field of which row does not fit", () =>
    Effect.gen(function* () {
      const rows = yield* rowsOf("csv", "Origin\nSFO\n")
      const error = yield* Effect.flip(ResultRows.decode(Row, rows, "t1"))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.include(error.message, "t1")
      assert.include(error.message, '[0]["Count"]')
    })
  )
})

describe("a body that is to be csv", () => {
  /** As a whole, and as it arrives in pieces. */
  const ends = (text: string, contentType: string) =>
    Effect.forEach(
      [
        ResultRows.fromData("csv", text, "t1", contentType).pipe(Effect.map(({ rows }) => rows)),
        ...[1, 7, 1000].map((size) =>
          Stream.runCollect(
            ResultRows.fromStream("csv", Stream.rechunk(Stream.encodeText(Stream.fromIterable(text)), size), "t1", {
              contentType
            })
          )
        )
      ],
      (read) =>
        Effect.map(Effect.result(read), (result) => (result._tag === "Success" ? result.success : result.failure))
    )

  const binary = (bytes: ReadonlyArray<number>) => new TextDecoder().decode(new Uint8Array(bytes))

  it.effect.each([
    { name: "HTML", text: "<html><title>Log in</title></html>" },
    { name: "HTML behind a byte order mark", text: "\ufeff<!DOCTYPE html>\n<p>a,b</p>\n" },
    { name: "HTML in capitals", text: "\n  <HEAD><TITLE>Down</TITLE></HEAD>" },
    { name: "rows of JSON", text: '[{"a":1}]' },
    { name: "an object of JSON", text: ' {\n "data": [] }' },
    { name: "no rows of JSON", text: "[]" },
    { name: "an empty object of JSON", text: "{}" },
    { name: "a list of JSON texts", text: '["a"]' },
    { name: "null, as its content type says", text: "null", contentType: "application/json" },
    { name: "a text of JSON, as its content type says", text: '"a,b"', contentType: "application/json; charset=utf-8" },
    { name: "gzip", text: binary([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 75, 76]) },
    { name: "zstd", text: binary([0x28, 0xb5, 0x2f, 0xfd, 4, 0x58]) },
    { name: "deflate", text: binary([0x78, 0x9c, 0x4b, 0x4c, 0xd2, 0x49]) },
    { name: "no header line", text: "\nSFO,3\n" },
    { name: "one line that is empty", text: "\n" },
    { name: "white space alone", text: "  " },
    { name: "nothing, as HTML", text: "", contentType: "text/html" },
    { name: "a piece of HTML", text: "<div>Service down</div>" },
    { name: "a line, as HTML", text: "Service unavailable\n", contentType: "text/html; charset=utf-8" },
    { name: "nothing, as JSON", text: "", contentType: "application/json" }
  ])("is UnexpectedResponse if it is $name", ({ contentType = "text/csv", text }) =>
    Effect.gen(function* () {
      for (const end of yield* ends(text, contentType)) {
        assert.deepInclude(end, { _tag: "UnexpectedResponse", endpoint: "GET /query_tasks/t1/results" })
      }
    })
  )

  it.effect.each(['a,b\n1,"2', 'a\n"', '"a', 'a,b\n1,2\n"3\nError: gone'])(
    "is TruncatedResult if a quote is not closed: %j",
    (text) =>
      Effect.gen(function* () {
        for (const end of yield* ends(text, "text/csv"))
          assert.deepInclude(end, { _tag: "TruncatedResult", taskId: "t1" })
      })
  )

  it.effect.each([
    { text: "", contentType: "text/csv", rows: [] },
    { text: "", contentType: "text/plain", rows: [] },
    { text: "", contentType: "", rows: [] },
    { text: "Origin\n", contentType: "text/csv", rows: [] },
    { text: "[New] Name,{n}\nx,1\n", contentType: "text/csv", rows: [{ "[New] Name": "x", "{n}": "1" }] },
    { text: "<5 miles,< 10\n1,2\n", contentType: "text/csv", rows: [{ "<5 miles": "1", "< 10": "2" }] },
    { text: "a,b\n1,2\n", contentType: "application/json", rows: [{ a: "1", b: "2" }] },
    { text: "a,b\n1,2\n", contentType: "*/*", rows: [{ a: "1", b: "2" }] },
    { text: "a\n\u0001\n", contentType: "text/csv", rows: [{ a: "\u0001" }] },
    { text: "a,looker_error\n1,\n", contentType: "text/csv", rows: [{ a: "1", looker_error: "" }] }
  ])("is rows if it is csv: $text as $contentType", ({ contentType, rows, text }) =>
    Effect.gen(function* () {
      for (const end of yield* ends(text, contentType)) assert.deepStrictEqual(end, rows)
    })
  )
})
