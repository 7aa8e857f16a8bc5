import { assert, describe, it, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as DuckDb from "../../src/embedded/DuckDb.ts"
import * as FilterExpression from "../../src/embedded/FilterExpression.ts"
import type { FieldType } from "../../src/embedded/Model.ts"

const context: FilterExpression.Context = { now: Date.UTC(2018, 4, 18, 10, 30), timezone: "UTC" }

const columns = { string: "s", number: "n", yesno: "b", date: "d", time: "t" } as const

class Filtered extends Context.Service<
  Filtered,
  { readonly ids: (where: string) => Effect.Effect<ReadonlyArray<string>, DuckDb.DatabaseError> }
>()("test/Filtered") {}

const texts = [
  "a",
  "b",
  "ab",
  "a,b",
  "a%",
  "%",
  "a_b",
  "-a",
  "null",
  "NULL",
  "EMPTY",
  "",
  "  a",
  "'",
  "x'; --",
  "é",
  "A",
  null
]

const filtered = Layer.effect(
  Filtered,
  Effect.gen(function* () {
    const database = yield* DuckDb.make({})
    yield* database.run("CREATE TABLE v (id INTEGER, s VARCHAR, n DECIMAL(18, 2), b BOOLEAN, d DATE, t TIMESTAMP)")
    const quoted = (text: string | null) => (text === null ? "NULL" : `'${text.replaceAll("'", "''")}'`)
    const rows = texts.map((text, index) => {
      const day = `TIMESTAMP '2000-12-30 12:00:00' + INTERVAL ${index * 10} DAY`
      return index === texts.length - 1
        ? `(${index}, NULL, NULL, NULL, NULL, NULL)`
        : `(${index}, ${quoted(text)}, ${index} - 3.5 + 0.5 * (${index} % 2), ${index % 3 === 0}, CAST(${day} AS DATE), ${day})`
    })
    yield* database.run(`INSERT INTO v VALUES ${rows.join(", ")}`)
    const ids = (where: string) =>
      Effect.map(database.run(`SELECT id FROM v WHERE ${where} ORDER BY id`), (rows) =>
        rows.map((row) => String(row[0]))
      )
    return Filtered.of({ ids })
  })
)

/** Expression, and the condition a person would write. */
const meaning: Readonly<Record<FieldType, ReadonlyArray<readonly [string, string]>>> = {
  string: [
    ["a", "s = 'a'"],
    [" a ", "s = 'a'"],
    ["a,b", "s IN ('a', 'b')"],
    ["a , b", "s IN ('a', 'b')"],
    ['"a,b"', "s = 'a,b'"],
    ["a^,b", "s = 'a,b'"],
    ['"  a"', "s = '  a'"],
    ["-a", "s <> 'a' OR s IS NULL"],
    ["-a,-b", "s NOT IN ('a', 'b') OR s IS NULL"],
    ["^-a", "s = '-a'"],
    ['"-a"', "s = '-a'"],
    ['-"-a"', "s <> '-a' OR s IS NULL"],
    ["a%", "starts_with(s, 'a')"],
    ["%b", "ends_with(s, 'b')"],
    ["%,%", "TRUE"],
    ["%b%", "contains(s, 'b')"],
    ["a%b", "starts_with(s, 'a') AND ends_with(s, 'b') AND length(s) >= 2"],
    ["a_%", "starts_with(s, 'a_')"],
    ["a_b", "s = 'a_b'"],
    ["a^%", "s = 'a%'"],
    ["^%", "s = '%'"],
    ["%^%%", "contains(s, '%')"],
    ["-%b%", "NOT contains(s, 'b') OR s IS NULL"],
    ["a%,-ab", "starts_with(s, 'a') AND s <> 'ab'"],
    ["%", "TRUE"],
    ["-%", "FALSE"],
    ["NULL", "s IS NULL"],
    ["null", "s IS NULL"],
    ['"NULL"', "s = 'NULL'"],
    ['"null"', "s = 'null'"],
    ["^NULL", "s = 'NULL'"],
    ["-NULL", "s IS NOT NULL"],
    ["a,NULL", "s = 'a' OR s IS NULL"],
    ["EMPTY", "s IS NULL OR s = ''"],
    ["-EMPTY", "s IS NOT NULL AND s <> ''"],
    ['"EMPTY"', "s = 'EMPTY'"],
    ["'", "s = ''''"],
    ["x'; --", "s = 'x''; --'"],
    ["é", "s = 'é'"],
    ["A", "s = 'A'"],
    ["", "TRUE"],
    ["  ", "TRUE"],
    [",", "TRUE"],
    ['""', "s = ''"]
  ],
  number: [
    ["5", "n = 5"],
    ["-1.5", "n = -1.5"],
    ["NOT 5", "n <> 5 OR n IS NULL"],
    ["<>5", "n <> 5 OR n IS NULL"],
    ["!= 5", "n <> 5 OR n IS NULL"],
    [">1", "n > 1"],
    [">= 1", "n >= 1"],
    ["<1", "n < 1"],
    ["<=1", "n <= 1"],
    ["1,3,5", "n IN (1, 3, 5)"],
    ["NOT 1, 3, 5", "n NOT IN (1, 3, 5) OR n IS NULL"],
    ["5, NOT 6, NOT 7", "n = 5"],
    ["[1,5]", "n BETWEEN 1 AND 5"],
    ["(1,5)", "n > 1 AND n < 5"],
    ["[1,5)", "n >= 1 AND n < 5"],
    ["(1, 5]", "n > 1 AND n <= 5"],
    ["(1, inf)", "n > 1"],
    ["(-inf, 1]", "n <= 1"],
    ["(-INF, INF)", "n IS NOT NULL"],
    ["NOT [1,5]", "n < 1 OR n > 5 OR n IS NULL"],
    ["NOT (1,5)", "n <= 1 OR n >= 5 OR n IS NULL"],
    ["NOT(1,5)", "n <= 1 OR n >= 5 OR n IS NULL"],
    ["[0,1],[5,6],9", "n BETWEEN 0 AND 1 OR n BETWEEN 5 AND 6 OR n = 9"],
    ["1 to 5", "n BETWEEN 1 AND 5"],
    [">1 AND <9", "n > 1 AND n < 9"],
    [">=1 and <=9, NOT 5", "n BETWEEN 1 AND 9 AND n <> 5"],
    [">5 OR <2", "n > 5 OR n < 2"],
    ["NULL", "n IS NULL"],
    ["NOT NULL", "n IS NOT NULL"],
    ["5 or null", "n = 5 OR n IS NULL"],
    ["", "TRUE"]
  ],
  yesno: [
    ["yes", "b"],
    ["No", "NOT b"],
    ["yes,no", "b IS NOT NULL"],
    ["NULL", "b IS NULL"],
    ["NOT NULL", "b IS NOT NULL"],
    ["", "TRUE"]
  ],
  date: [
    ["2001", "d >= DATE '2001-01-01' AND d < DATE '2002-01-01'"],
    ["2001-01", "d >= DATE '2001-01-01' AND d < DATE '2001-02-01'"],
    ["2001/01", "d >= DATE '2001-01-01' AND d < DATE '2001-02-01'"],
    ["2001-Q1", "d >= DATE '2001-01-01' AND d < DATE '2001-04-01'"],
    ["2001-01-09", "d = DATE '2001-01-09'"],
    ["2001-12", "d >= DATE '2001-12-01'"],
    ["2001-01-09 to 2001-02-08", "d >= DATE '2001-01-09' AND d < DATE '2001-02-08'"],
    ["before 2001-01-09", "d < DATE '2001-01-09'"],
    ["after 2001-01-09", "d >= DATE '2001-01-09'"],
    ["NULL", "d IS NULL"],
    ["NOT NULL", "d IS NOT NULL"],
    ["", "TRUE"]
  ],
  time: [
    ["2001/01/09", "CAST(t AS DATE) = DATE '2001-01-09'"],
    ["on 2001-01-09", "CAST(t AS DATE) = DATE '2001-01-09'"],
    ["2001-01-09 12:00", "t = TIMESTAMP '2001-01-09 12:00:00'"],
    ["2001-01-09 12:00:00", "t = TIMESTAMP '2001-01-09 12:00:00'"],
    ["2001-01-09 11:59", "FALSE"],
    ["2001-01-09, 2001-01-19", "CAST(t AS DATE) IN (DATE '2001-01-09', DATE '2001-01-19')"],
    ["before 2001", "t < TIMESTAMP '2001-01-01 00:00:00'"],
    ["2001-01-09 12:00 to 2001-01-19 12:00", "t >= TIMESTAMP '2001-01-09 12:00' AND t < TIMESTAMP '2001-01-19 12:00'"],
    ["0001 to 9999", "t IS NOT NULL"]
  ]
}

const unreadable: Readonly<Record<FieldType, ReadonlyArray<string>>> = {
  string: ['"a', '"a"b', "a\0b"],
  number: ["cheap", "1 to", ">", "[1,5", "1,5]", "NOT", "5; DROP TABLE v", "1 AND 2", "--1", "NOT >= 1 AND x"],
  yesno: ["maybe", "1", "true) OR (true"],
  date: ["yesterday", "7 days", "2001-13", "2001-02-30", "2001-1-1-1", "before", "2001 to", "0000", "2001-01-01'"],
  time: ["last week", "2001-01-10 25:00", "2001-01-10 10:61", "2001-01-10 10:00:61"]
}

layer(filtered)("FilterExpression", (it) => {
  for (const [type, cases] of Object.entries(meaning) as ReadonlyArray<[FieldType, typeof meaning.string]>) {
    for (const [expression, sql] of cases) {
      it.effect(`reads ${JSON.stringify(expression)} on a ${type} as ${sql}`, () =>
        Effect.gen(function* () {
          const { ids } = yield* Filtered
          const condition = yield* Effect.fromResult(FilterExpression.toSql(type, columns[type], expression, context))
          assert.deepStrictEqual(yield* ids(condition === "" ? "TRUE" : condition), yield* ids(sql))
        })
      )
    }
  }

  const words = [
    "0",
    "5",
    "99999999999999999999",
    "1e5",
    ".5",
    "9e999",
    "2001",
    "-01",
    "-31",
    ":",
    "T",
    "[",
    "(",
    "]",
    ")",
    ",",
    " ",
    " to "
  ]
  const more = [
    "NOT ",
    " AND ",
    " OR ",
    "<",
    ">",
    "=",
    "inf",
    "yes",
    "no",
    "null",
    "before ",
    "-Q1",
    "'",
    ";",
    "--",
    "/*",
    "n",
    "\\"
  ]
  for (const type of ["number", "yesno", "date", "time"] as const) {
    it.effect.prop(
      `makes either a condition that runs or a refusal of any text on a ${type}`,
      [Schema.Array(Schema.Literals([...words, ...more]))],
      ([pieces]) =>
        Effect.gen(function* () {
          const { ids } = yield* Filtered
          const condition = FilterExpression.toSql(type, columns[type], pieces.join(""), context)
          if (Result.isFailure(condition)) return
          yield* ids(condition.success === "" ? "TRUE" : `(${condition.success}) AND id >= 0`)
        }),
      { arbitrary: { runs: 500 } }
    )
  }

  it.effect.prop(
    "lets no string out of its literal",
    [
      Schema.Array(
        Schema.Literals([
          "a",
          "b",
          "'",
          '"',
          "^",
          "%",
          "_",
          "-",
          ",",
          ";",
          "\\",
          "(",
          "--",
          "/*",
          "\n",
          "NULL",
          " ",
          "é",
          "$$"
        ])
      )
    ],
    ([pieces]) =>
      Effect.gen(function* () {
        const { ids } = yield* Filtered
        const expression = pieces.join("")
        const condition = FilterExpression.toSql("string", "s", expression, context)
        if (Result.isFailure(condition)) return
        // Inside of brackets a condition that broke out would be a syntax error or change the other side.
        yield* ids(condition.success === "" ? "TRUE" : `(${condition.success}) AND id >= 0`)
        const escaped = [...expression].map((char) => `^${char}`).join("")
        const exact = yield* Effect.fromResult(FilterExpression.toSql("string", "s", escaped, context))
        const quoted = `s = '${expression.replaceAll("'", "''")}'`
        assert.deepStrictEqual(
          yield* ids(exact === "" ? "TRUE" : exact),
          yield* ids(expression === "" ? "TRUE" : quoted)
        )
      }),
    { arbitrary: { runs: 300 } }
  )
})

describe("FilterExpression", () => {
  for (const [type, expressions] of Object.entries(unreadable) as ReadonlyArray<[FieldType, ReadonlyArray<string>]>) {
    for (const expression of expressions) {
      it(`refuses ${JSON.stringify(expression)} on a ${type}`, () => {
        assert.isTrue(Result.isFailure(FilterExpression.toSql(type, columns[type], expression, context)))
      })
    }
  }
})
