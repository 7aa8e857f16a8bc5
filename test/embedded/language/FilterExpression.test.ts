import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Result, Schema } from "effect"
import { FilterExpression } from "effect-looker/embedded"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import type { FieldType } from "../../../src/embedded/model/Model.ts"
import { cpuTimed } from "../../support/cpu.ts"

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
  "x^y",
  'say "a"',
  "c:\\d",
  "{{a}}",
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
    ["a^_%", "starts_with(s, 'a_')"],
    ["a_b", "s IN ('a_b', 'a,b')"],
    ["-a_b", "s NOT IN ('a_b', 'a,b') OR s IS NULL"],
    ["a^_b", "s = 'a_b'"],
    ['"a_b"', "s = 'a_b'"],
    ["_", "length(s) = 1"],
    ["_%", "length(s) >= 1"],
    ["%_,NULL", "length(s) >= 1 OR s IS NULL"],
    ["a\\,b", "s = 'a,b'"],
    ['"a%"', "s = 'a%'"],
    ['"%"', "s = '%'"],
    ['"x^^y"', "s = 'x^y'"],
    ['"x^y"', "s = 'x^y'"],
    ['"say \\"a\\""', "s = 'say \"a\"'"],
    ['"say ^"a^""', "s = 'say \"a\"'"],
    ["c:\\d", "s = 'c:\\d'"],
    ["{{a}}", "s = '{{a}}'"],
    ["EMPTY,a%,-ab", "(s IS NULL OR s = '' OR starts_with(s, 'a')) AND (s <> 'ab' OR s IS NULL)"],
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
    ["NOT 5 OR 6", "n NOT IN (5, 6) OR n IS NULL"],
    ["NOT >1, 2, <5", "n IS NULL"],
    ["NOT 3, [0,1]", "(n <> 3 AND NOT n BETWEEN 0 AND 1) OR n IS NULL"],
    ["NOT 3, [0,5], NOT 4", "n BETWEEN 0 AND 5 AND n NOT IN (3, 4)"],
    ["<> 5, 6", "n = 6"],
    ["NOT NULL, 5", "n IS NOT NULL AND n <> 5"],
    ["5, NOT NULL", "n = 5"],
    ["-NULL", "n IS NOT NULL"],
    ["1 to", "n >= 1"],
    ["to 1", "n <= 1"],
    ["to -1.5", "n <= -1.5"],
    ["-1.5 TO 1", "n BETWEEN -1.5 AND 1"],
    ["0 to 1 OR 5 to 6", "n BETWEEN 0 AND 1 OR n BETWEEN 5 AND 6"],
    ["NOT 1 to 5", "n < 1 OR n > 5 OR n IS NULL"],
    ["(5,)", "n > 5"],
    ["[5, )", "n >= 5"],
    ["(,5]", "n <= 5"],
    ["( ,5)", "n < 5"],
    ["(,)", "n IS NOT NULL"],
    [">1 AND <=5 OR 9", "n > 1 AND n <= 5 OR n = 9"],
    [">=1 AND <=2 OR >=5 AND <=6", "n BETWEEN 1 AND 2 OR n BETWEEN 5 AND 6"],
    ["(1,2],5,6,(8,9],[12,)", "n > 1 AND n <= 2 OR n IN (5, 6) OR n > 8 AND n <= 9 OR n >= 12"],
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
    ["TRUE", "b"],
    ["false", "NOT b"],
    ["no, NULL", "NOT b OR b IS NULL"],
    ["NULL", "b IS NULL"],
    ["NOT NULL", "b IS NOT NULL"],
    ["-null", "b IS NOT NULL"],
    ["", "TRUE"]
  ],
  // What dates mean is in DateFilter.test.ts.
  date: [["", "TRUE"]],
  time: [["", "TRUE"]]
}

const unreadable: Readonly<Record<FieldType, ReadonlyArray<string>>> = {
  string: ['"a', '"a"b', "a\0b", "{{ _user_attributes['region'] }}"],
  number: ["cheap", "to", "1to", ">", "[1,5", "1,5]", "NOT", "5; DROP TABLE v", "1 AND 2", "--1", "NOT >= 1 AND x"],
  yesno: ["maybe", "1", "true) OR (true"],
  date: [],
  time: []
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

  /** What wildcards mean, one character after the other. */
  const matches = (text: ReadonlyArray<string>, pattern: ReadonlyArray<string>): boolean => {
    const [first, ...rest] = pattern
    if (first === undefined) return text.length === 0
    if (first === "%") return matches(text, rest) || (text.length > 0 && matches(text.slice(1), pattern))
    const [char, ...others] = text
    return char !== undefined && (first === "_" || first === char || first === `^${char}`) && matches(others, rest)
  }
  const characters = [
    "a",
    "b",
    "\\",
    ".",
    "*",
    "+",
    "?",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "|",
    "$",
    "/",
    "\n",
    "é",
    "😀",
    "'"
  ]
  const special = ["%", "_", "^", '"', ","]

  it.effect.prop(
    "finds with wildcards what matches character by character",
    [
      Schema.Array(Schema.Literals([...characters, ...special])),
      Schema.Array(
        Schema.Union([
          Schema.Literals(["a", "b", "%", "%", "_"]),
          Schema.Literals([...characters, ...special.map((char) => `^${char}`)])
        ])
      )
    ],
    ([text, pieces]) =>
      Effect.gen(function* () {
        const { ids } = yield* Filtered
        const pattern = [
          "%",
          ...pieces.filter((piece, at) => piece !== "\\" || !/^[\^%_]/.test(pieces[at + 1] ?? "%")),
          "%"
        ]
        for (const [written, expected] of [
          [pattern, matches(text, pattern)],
          [pattern.slice(1), matches(text, pattern.slice(1))],
          // The text itself, with each of its letters as a wildcard.
          [["%", ...text.map((char) => (/\w/.test(char) ? "_" : `^${char}`))], true]
        ] as const) {
          if (!written.includes("%") || written.join("").startsWith(" ")) continue
          const literal = `'${text.join("").replaceAll("'", "''")}'`
          const condition = yield* Effect.fromResult(
            FilterExpression.toSql("string", literal, written.join(""), context)
          )
          assert.strictEqual((yield* ids(`(${condition}) AND id = 0`)).length === 1, expected, written.join(""))
          const negative = yield* Effect.fromResult(
            FilterExpression.toSql("string", literal, `-${written.join("")}`, context)
          )
          assert.strictEqual((yield* ids(`(${negative}) AND id = 0`)).length === 0, expected, `-${written.join("")}`)
        }
      }),
    { arbitrary: { runs: 200 } }
  )
})

describe("FilterExpression", () => {
  it.live("searches a long text for many wildcards in a time that grows with the text", () =>
    Effect.gen(function* () {
      const { ids } = yield* Filtered
      const slow = [
        "%a%a%a%a%a%a%a%a%a%b%a",
        "%a_%a_%a_%a_%a_%a_%a_%a_%a_b%",
        "%a%a%a%a%a^_%a%a%a%b%a",
        "-%a%a%a%_%a%a%a%a%b%a",
        `%a${"_".repeat(30)}%b%a${"_".repeat(30)}%`
      ]
      for (const expression of slow) {
        const condition = yield* Effect.fromResult(FilterExpression.toSql("string", "long", expression, context))
        const { millis } = yield* cpuTimed(
          ids(`id = 0 AND (SELECT ${condition} FROM (SELECT repeat('a', 10000) AS long))`)
        )
        assert.isBelow(millis, 10_000, expression)
      }
    }).pipe(Effect.provide(filtered))
  )

  it("asks for the values of a list at once, which thousands of them need", () => {
    const sql = (type: FieldType, expression: string) =>
      Result.getOrThrow(FilterExpression.toSql(type, columns[type], expression, context))
    assert.strictEqual(sql("number", "1, 2, >9"), "(n IN (1, 2) OR (n > 9))")
    assert.strictEqual(sql("string", "-a,-b,c%"), "s LIKE 'c%' AND (s NOT IN ('a', 'b') OR s IS NULL)")
  })

  it("reads a text of nothing but spaces in a time that grows with it", () => {
    for (const type of ["string", "number", "yesno", "date", "time"] as const) {
      const condition = FilterExpression.toSql(type, "x", `[${" ".repeat(300_000)}5`, context)
      assert.strictEqual(Result.isFailure(condition), type !== "string")
    }
  })

  for (const [type, expressions] of Object.entries(unreadable) as ReadonlyArray<[FieldType, ReadonlyArray<string>]>) {
    for (const expression of expressions) {
      it(`refuses ${JSON.stringify(expression)} on a ${type}`, () => {
        assert.isTrue(Result.isFailure(FilterExpression.toSql(type, columns[type], expression, context)))
      })
    }
  }
})
