import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Result, Schema } from "effect"
import type { FilterExpression } from "effect-looker/embedded"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import * as LookerExpression from "../../../src/embedded/language/LookerExpression.ts"
import type { FieldType } from "../../../src/embedded/model/Model.ts"

const now = Date.UTC(2024, 2, 10, 20, 0, 5)
const utc: FilterExpression.Context = { now, timezone: "UTC" }
const pacific: FilterExpression.Context = { now, timezone: "America/Los_Angeles" }

const types: Readonly<Record<string, FieldType>> = {
  n: "number",
  m: "number",
  s: "string",
  o: "string",
  b: "yesno",
  d: "date",
  t: "time"
}

const resolve = (field: string): Result.Result<LookerExpression.Typed, string> => {
  if (field === "custom") return Result.succeed({ sql: "x.n + 1", type: "number" })
  const type = types[field.replace(/^x\./, "")]
  return type === undefined || !field.startsWith("x.")
    ? Result.fail(`there is no field ${field}`)
    : Result.succeed({ sql: field, type })
}

const compile = (expression: string, context = utc) => LookerExpression.compile(expression, resolve, context)

const failure = (expression: string, context = utc): string => {
  const compiled = compile(expression, context)
  return Result.isFailure(compiled) ? compiled.failure : `compiled to ${compiled.success.sql}`
}

class Evaluated extends Context.Service<
  Evaluated,
  { readonly column: (sql: string) => Effect.Effect<ReadonlyArray<string | null>, DuckDb.DatabaseError> }
>()("test/Evaluated") {}

const evaluated = Layer.effect(
  Evaluated,
  Effect.gen(function* () {
    const database = yield* DuckDb.make({})
    yield* database.run(`CREATE TABLE x AS SELECT * FROM (VALUES
      (1, CAST(2.5 AS DECIMAL(18, 2)), 7, 'apple pie', 'p', TRUE, DATE '2024-01-31', TIMESTAMP '2024-03-10 09:59:59'),
      (2, -3, 0, 'Pear', 'it''s', FALSE, DATE '2024-02-29', TIMESTAMP '2024-03-10 10:00:00'),
      (3, 100, 3, '', '', TRUE, DATE '2023-12-31', TIMESTAMP '2024-11-03 09:30:00'),
      (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) v(id, n, m, s, o, b, d, t)`)
    return Evaluated.of({
      column: (sql) =>
        Effect.map(database.run(`SELECT CAST((${sql}) AS VARCHAR) FROM x ORDER BY id`), (rows) =>
          rows.map((row) => (row[0] === null ? null : String(row[0])))
        )
    })
  })
)

const f = (name: string) => `\${x.${name}}`

/** Expression, its type, and what a person would write. */
const meaning: ReadonlyArray<readonly [expression: string, type: FieldType, sql: string]> = [
  ["7", "number", "7"],
  ["007.50", "number", "7.50"],
  [".5", "number", "0.5"],
  ['"Completed"', "string", "'Completed'"],
  ["'Completed'", "string", "'Completed'"],
  ['"it\'s"', "string", "'it''s'"],
  ['"say \\"hi\\" \\\\ \\n"', "string", "'say \"hi\" \\ \\n'"],
  ["`a \"b\" 'c'`", "string", "'a \"b\" ''c'''"],
  ["yes", "yesno", "TRUE"],
  ["no", "yesno", "FALSE"],
  ["null", "string", "NULL"],
  ["NULL", "string", "NULL"],
  [f("n"), "number", "n"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Looker's own notation
  ["${custom} * 2", "number", "(n + 1) * 2"],
  ["# twice\n2 * # the number\n  3", "number", "6"],
  ["30 * 24 * 60 * 60 * 1000", "number", "2592000000"],
  ["2147483647 + 1 - -2147483648", "number", "4294967296"],
  ["999999999999999999 * 9", "number", "8999999999999999991"],
  ["9223372036854775807 + 1", "number", "9223372036854775808"],
  ["1000000000000000000 * 1000000000000000000", "number", "CAST(1e36 AS DECIMAL(38, 0))"],
  ["9".repeat(30), "number", "9".repeat(30)],
  ["diff_days(date(2024, 1, 1), date(2024, 1, 31)) * 86400 * 1000", "number", "2592000000"],
  ["extract_years(date(2024, 1, 1)) * extract_years(date(2024, 1, 1)) * 1000", "number", "4096576000"],
  [`length(${f("s")}) * 1000000000`, "number", "length(s) * 1000000000::BIGINT"],
  [`${f("m")} * 1000000000`, "number", "m * 1000000000::BIGINT"],
  // operators
  ["1 + 2 * 3", "number", "7"],
  ["(1 + 2) * 3", "number", "9"],
  ["10 - 4 - 3", "number", "3"],
  ["100 / 5 / 2", "number", "10.0"],
  ["7 / 2", "number", "3.5"],
  [`7 / ${f("m")}`, "number", "CASE WHEN m <> 0 THEN 7 / m END"],
  ["--5", "number", "5"],
  [`-${f("n")} * 2`, "number", "-n * 2"],
  ["2 - -3", "number", "5"],
  [`${f("n")} > 1`, "yesno", "coalesce(n > 1, FALSE)"],
  [`${f("n")} != 100`, "yesno", "coalesce(n <> 100, FALSE)"],
  [`${f("s")} < "b"`, "yesno", "coalesce(s < 'b', FALSE)"],
  [`NOT ${f("n")} > 1`, "yesno", "NOT coalesce(n > 1, FALSE)"],
  [`NOT NOT ${f("b")}`, "yesno", "coalesce(b, FALSE)"],
  [`NOT(${f("b")})`, "yesno", "NOT coalesce(b, FALSE)"],
  [`${f("b")} = no`, "yesno", "coalesce(b = FALSE, FALSE)"],
  [f("b"), "yesno", "b"],
  [`yes OR no AND no`, "yesno", "TRUE"],
  [`(yes OR no) AND no`, "yesno", "FALSE"],
  [`NOT yes OR yes`, "yesno", "TRUE"],
  [`${f("n")} > 1 AND ${f("m")} > 1 OR ${f("s")} = ""`, "yesno", "coalesce(n > 1 AND m > 1 OR s = '', FALSE)"],
  [`1 + 1 = 2 AND 2 * 3 >= 6`, "yesno", "TRUE"],
  [`${f("d")} >= date(2024, 01, 31)`, "yesno", "coalesce(d >= DATE '2024-01-31', FALSE)"],
  [`${f("t")} >= date(2024, 3, 10)`, "yesno", "coalesce(t >= DATE '2024-03-10', FALSE)"],
  [`${f("t")} = date_time(2024,3,10,10,0,0)`, "yesno", "coalesce(t = TIMESTAMP '2024-03-10 10:00:00', FALSE)"],
  // logic
  [`if(${f("n")} > 1, "big", "small")`, "string", "CASE WHEN n > 1 THEN 'big' ELSE 'small' END"],
  [`if(${f("n")} < 1, null, ${f("n")})`, "number", "CASE WHEN n < 1 THEN NULL ELSE n END"],
  [`if(yes, ${f("d")}, ${f("t")})`, "time", "CAST(d AS TIMESTAMP)"],
  [
    `case(when(${f("n")} < 0, "neg"), when(${f("n")} < 10, "few"), "many")`,
    "string",
    "CASE WHEN n < 0 THEN 'neg' WHEN n < 10 THEN 'few' ELSE 'many' END"
  ],
  [`case(when(yes, null), 1)`, "number", "NULL"],
  [`case(when(no, 1), abs(-2))`, "number", "2"],
  [`coalesce(${f("n")}, ${f("m")}, 0)`, "number", "coalesce(n, m, 0)"],
  [`is_null(${f("s")})`, "yesno", "s IS NULL"],
  [`NOT is_null(${f("s")})`, "yesno", "s IS NOT NULL"],
  // numbers
  [`abs(${f("n")})`, "number", "abs(n)"],
  [`+${f("n")}`, "number", "n"],
  [`1 + +${f("n")}`, "number", "1 + n"],
  [`ceiling(${f("n")})`, "number", "ceil(n)"],
  [`floor(${f("n")})`, "number", "floor(n)"],
  [`mod(${f("m")}, 4)`, "number", "m % 4"],
  [`mod(${f("m")}, 0)`, "number", "NULL"],
  [`mod(${f("n")} / 2, 0 / 3)`, "number", "NULL"],
  [`round(${f("n")} / 3, 2)`, "number", "round(n / 3, 2)"],
  [`round(${f("n")}, ${f("m")} - 7)`, "number", "round(CAST(n AS DOUBLE), m - 7)"],
  [`round(${f("n")}, 99999999999)`, "number", "n"],
  [`round(1234, -2)`, "number", "1200"],
  [`sqrt(${f("n")})`, "number", "CASE WHEN n >= 0 THEN sqrt(n) END"],
  [`power(2, 10)`, "number", "1024.0"],
  [`power(${f("n")}, 1000) + power(0, -1)`, "number", "NULL"],
  [`exp(0)`, "number", "1.0"],
  [`exp(10000)`, "number", "NULL"],
  [`ln(exp(2))`, "number", "2.0"],
  [`log(1000)`, "number", "log10(1000)"],
  [`ln(${f("m")})`, "number", "CASE WHEN m > 0 THEN ln(m) END"],
  // strings
  [`length(${f("s")})`, "number", "length(s)"],
  [`upper(lower(${f("s")}))`, "string", "upper(s)"],
  [`position(${f("s")}, "p")`, "number", "strpos(s, 'p')"],
  [`substring(${f("s")}, position(${f("s")}, "p") + 1, 3)`, "string", "substring(s, strpos(s, 'p') + 1, 3)"],
  [`replace(${f("s")}, "p", "'")`, "string", "replace(s, 'p', '''')"],
  [`contains(${f("s")}, ${f("o")})`, "yesno", "coalesce(contains(s, o), FALSE)"],
  [`concat(${f("s")}, ":", ${f("m")})`, "string", "s || ':' || m"],
  [
    `concat(${f("d")}, " ", ${f("t")}, 1)`,
    "string",
    "strftime(d, '%Y-%m-%d') || ' ' || strftime(t, '%Y-%m-%d %H:%M:%S') || '1'"
  ],
  [`concat(${f("n")} > 1)`, "string", "CASE WHEN n > 1 THEN 'Yes' ELSE 'No' END"],
  // dates
  [`date(2024, 2, 29)`, "date", "DATE '2024-02-29'"],
  [`date(2023, 2, 29)`, "date", "NULL"],
  [`date_time(2024, 2, 30, 1, 2, 3)`, "time", "NULL"],
  [`add_days(1, ${f("d")})`, "date", "d + 1"],
  [`add_days(-1, ${f("t")})`, "time", "t - INTERVAL 1 DAY"],
  [`add_months(1, ${f("d")})`, "date", "CAST(d + INTERVAL 1 MONTH AS DATE)"],
  [`add_years(${f("m")}, ${f("d")})`, "date", "CAST(d + to_years(m) AS DATE)"],
  [`add_hours(2, ${f("t")})`, "time", "t + INTERVAL 2 HOUR"],
  [`add_minutes(90, ${f("d")})`, "time", "d + INTERVAL 90 MINUTE"],
  [`add_seconds(1, ${f("t")})`, "time", "t + INTERVAL 1 SECOND"],
  [`diff_days(date(2024, 1, 1), ${f("d")})`, "number", "d - DATE '2024-01-01'"],
  [`diff_days(date_time(2024,1,1,12,0,0), date_time(2024,1,2,11,0,0))`, "number", "0"],
  [`diff_months(date(2024, 1, 31), date(2024, 3, 30))`, "number", "1"],
  [`floor(diff_months(date(2000, 6, 15), date(2024, 6, 14)) / 12)`, "number", "23.0"],
  [`diff_years(${f("d")}, ${f("t")})`, "number", "CASE WHEN d IS NOT NULL THEN 0 END"],
  [`diff_hours(${f("t")}, now())`, "number", "date_sub('hour', t, TIMESTAMP '2024-03-10 20:00:05')"],
  [`diff_minutes(${f("d")}, ${f("t")})`, "number", "date_sub('minute', CAST(d AS TIMESTAMP), t)"],
  [`diff_seconds(${f("t")}, now())`, "number", "date_sub('second', t, TIMESTAMP '2024-03-10 20:00:05')"],
  [`extract_days(${f("d")})`, "number", "day(d)"],
  [`extract_months(${f("t")})`, "number", "month(t)"],
  [`extract_years(now())`, "number", "2024"],
  [`extract_hours(${f("t")})`, "number", "hour(t)"],
  [`extract_minutes(${f("t")})`, "number", "minute(t)"],
  [`extract_seconds(${f("t")})`, "number", "second(t)"],
  [`trunc_days(${f("t")})`, "date", "CAST(t AS DATE)"],
  [`trunc_months(${f("d")})`, "date", "CAST(date_trunc('month', d) AS DATE)"],
  [`trunc_years(${f("t")})`, "date", "CAST(date_trunc('year', t) AS DATE)"],
  [`trunc_hours(${f("t")})`, "time", "date_trunc('hour', t)"],
  [`trunc_minutes(${f("t")})`, "time", "date_trunc('minute', t)"],
  [`now()`, "time", "TIMESTAMP '2024-03-10 20:00:05'"],
  // dates and times out of range
  [`add_days(2, date(diff_days(date(2, 2, 2), now()), 2, 2))`, "date", "NULL"],
  [
    `diff_hours(date(diff_days(date(${f("m")}, ${f("n")}, ${f("m")}), now()), ${f("n")}, round(sqrt(${f("n")}), 2)), ${f("d")})`,
    "number",
    "NULL"
  ],
  [`add_days(99999999999, ${f("d")})`, "date", "NULL"],
  [`add_years(1, date_time(294246, 11, 3, 1, 30, 0))`, "time", "NULL"],
  [`add_hours(99999999999999999999, ${f("t")})`, "time", "NULL"],
  [`trunc_months(date(300000, 1, 1))`, "date", "NULL"],
  [`extract_years(date(300000, 1, 1))`, "number", "NULL"],
  [`diff_hours(date(200000, 1, 1), date(-200000, 1, 1))`, "number", "NULL"],
  [`date(300000, 1, 1) > ${f("t")}`, "yesno", "FALSE"],
  [`coalesce(date(300000, 1, 1), ${f("t")})`, "time", "t"],
  // filters
  [`matches_filter(${f("s")}, \`%p%,-"Pear"\`)`, "yesno", "coalesce(s LIKE '%p%' AND s <> 'Pear', FALSE)"],
  [`matches_filter(${f("n")}, "[2, 5]")`, "yesno", "coalesce(n BETWEEN 2 AND 5, FALSE)"],
  [`NOT(matches_filter(${f("d")}, \`2024\`))`, "yesno", "NOT coalesce(year(d) = 2024, FALSE)"],
  [`matches_filter(${f("t")}, \`before today\`)`, "yesno", "coalesce(t < TIMESTAMP '2024-03-10', FALSE)"],
  [`matches_filter(${f("s")}, \`\`)`, "yesno", "TRUE"],
  [`matches_filter(${f("s")}, \`-NULL\`) AND ${f("n")} > 1`, "yesno", "coalesce(s IS NOT NULL AND n > 1, FALSE)"]
]

/** In America/Los_Angeles, where it is noon of the day that has 23 hours. */
const zoned: ReadonlyArray<readonly [expression: string, type: FieldType, sql: string]> = [
  [`extract_hours(${f("t")})`, "number", "CASE id WHEN 1 THEN 1 WHEN 2 THEN 3 WHEN 3 THEN 1 END"],
  [`extract_hours(now())`, "number", "13"],
  [
    `trunc_days(${f("t")})`,
    "date",
    "CASE id WHEN 3 THEN DATE '2024-11-03' WHEN 4 THEN NULL ELSE DATE '2024-03-10' END"
  ],
  [`trunc_hours(${f("t")})`, "time", "date_trunc('hour', t)"],
  [`add_hours(1, ${f("t")})`, "time", "t + INTERVAL 1 HOUR"],
  // A day later by the wall clock: 23 hours from 01:59:59 on the 9th, 24 from anywhere else.
  [`add_days(-1, date_time(2024, 3, 10, 12, 0, 0))`, "time", "TIMESTAMP '2024-03-09 20:00:00'"],
  [`date_time(2024, 3, 10, 12, 0, 0)`, "time", "TIMESTAMP '2024-03-10 19:00:00'"],
  [`trunc_hours(date_time(294247, 1, 10, 0, 0, 0))`, "time", "NULL"],
  [`concat(date_time(294247, 1, 10, 3, 0, 0))`, "string", "NULL"],
  [`diff_hours(date(2024, 3, 10), date(2024, 3, 11))`, "number", "23"],
  [`diff_days(date(2024, 3, 10), date(2024, 3, 11))`, "number", "1"],
  [`${f("t")} >= date(2024, 3, 10)`, "yesno", "coalesce(t >= TIMESTAMP '2024-03-10 08:00:00', FALSE)"],
  [
    `concat(${f("t")})`,
    "string",
    "CASE id WHEN 1 THEN '2024-03-10 01:59:59' WHEN 2 THEN '2024-03-10 03:00:00' WHEN 3 THEN '2024-11-03 01:30:00' END"
  ],
  [`matches_filter(${f("t")}, "today")`, "yesno", "id IN (1, 2)"]
]

const refused: ReadonlyArray<readonly [expression: string, why: string]> = [
  ["", "a value is missing before the end"],
  ["1 +", "a value is missing before the end"],
  ["(1", "a closing parenthesis is missing before the end"],
  ["if(yes, 1, 2", "a closing parenthesis is missing before the end"],
  ["1)", '")" at character 2 does not fit here'],
  ["1 2", '"2" at character 3 does not fit here'],
  ["yes and no", '"and" at character 5 does not fit here: write AND'],
  ["not(yes)", "there is no function not: write NOT (at character 1)"],
  ["1 % 2", "there is no operator % at character 3: write mod(value, divisor)"],
  ["1 == 2", 'a value is missing before "="'],
  ["1 <> 2", 'a value is missing before ">"'],
  ["1; DROP TABLE x", '";" at character 2 is not understood'],
  ['"open', "the text that begins at character 1 is not closed"],
  ["1e5", "is not understood"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Looker's own notation
  ["${x.n:total} + 1", "${x.n:total} at character 1 is only for table calculations"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Looker's own notation
  ["${x.n:row_total}", "is only for table calculations"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Looker's own notation
  ['${x."n"}', "is not written as ${view.field}"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Looker's own notation
  ["1 + ${x.missing}", "there is no field x.missing (at character 5)"],
  ["n + 1", '"n" at character 1 is neither yes, no, null nor a function'],
  [
    `offset(${f("n")}, 1)`,
    "offset is only for table calculations, which the embedded Looker does not compute (at character 1)"
  ],
  ["1 + running_total(2)", "running_total is only for table calculations"],
  ["row()", "row is only for table calculations"],
  [`pivot_index(${f("n")}, 1)`, "pivot_index is only for table calculations"],
  [`to_number("1")`, "to_number is only for table calculations"],
  ["1 + rand()", "rand is not supported by the embedded Looker: the same query gives the same result (at character 5)"],
  ["system(1)", "there is no function system (at character 1)"],
  ["IF(yes, 1, 2)", "there is no function IF: write if"],
  ["abs()", "abs is written abs(value)"],
  ["abs(1, 2)", "abs is written abs(value)"],
  ["round(1)", "round is written round(value, num_decimals)"],
  ["coalesce()", "coalesce is written coalesce(value_1, value_2, ...)"],
  [`abs(${f("s")})`, "abs takes a number and not a string (at character 1)"],
  [`1 + ${f("s")}`, "+ takes a number and not a string (at character 3)"],
  [`-${f("b")}`, "- takes a number and not a yesno"],
  [`extract_years(${f("n")})`, "extract_years takes a date or time and not a number"],
  [`${f("d")} + 1`, "+ takes a number and not a date"],
  ["1 AND yes", "AND takes a yesno and not a number"],
  ["NOT 1", "NOT takes a yesno and not a number"],
  ["if(1, 2, 3)", "if takes a yesno and not a number"],
  [`if(yes, 1, "one")`, "a number and a string do not go together"],
  [`coalesce(${f("n")}, ${f("d")})`, "a number and a date do not go together"],
  [`${f("d")} > "2024-01-01"`, "a date and a string do not go together: a date is written date(year, month, day)"],
  ["1 < 2 < 3", "a yesno and a number do not go together"],
  ["yes < no", "yes and no have no order"],
  [`${f("n")} = null`, "nothing compares with null: write is_null(value)"],
  ["case(1)", "case is written case(when(yesno_arg, value_if_yes), ..., else_value)"],
  ["case()", "case is written"],
  ["case(when(yes, 1))", "case is written"],
  ["case(when(yes, 1), when(no, 2))", "case is written"],
  ["case(when(yes), 1)", "case takes when(yesno_arg, value_if_yes) before its last value (at character 6)"],
  ["case(1, 2)", "case takes when(yesno_arg, value_if_yes)"],
  ["case(when(1, 2), 3)", "when takes a yesno and not a number"],
  ["when(yes, 1)", "there is no function when"],
  [`matches_filter(${f("n")}, "cheap")`, "is not a number, comparison, range or interval (at character 24)"],
  [`matches_filter(${f("n")})`, "matches_filter takes a field and a filter expression"],
  [`matches_filter(1, "1")`, "matches_filter takes a field and a filter expression"],
  [`matches_filter(${f("s")}, ${f("o")})`, "matches_filter takes a field and a filter expression"],
  ["a\0", "it contains a NUL character"],
  ["1".padEnd(200_000, "0"), "it is longer than"],
  ["(".repeat(5000), "nested too deeply"],
  ["-".repeat(5000), "nested too deeply"],
  ["NOT ".repeat(5000), "nested too deeply"],
  ["abs(".repeat(5000), "nested too deeply"],
  [`1${" + 1".repeat(5000)}`, "nested too deeply"],
  [`${"power(".repeat(60)}2${", 2)".repeat(60)}`, "the expression becomes too long"]
]

layer(evaluated)("LookerExpression", (it) => {
  const check = (expression: string, type: FieldType, sql: string, context: FilterExpression.Context) =>
    Effect.gen(function* () {
      const { column } = yield* Evaluated
      const compiled = yield* Effect.fromResult(compile(expression, context))
      assert.strictEqual(compiled.type, type)
      const sqlType = { string: "VARCHAR", number: "DOUBLE", yesno: "BOOLEAN", date: "DATE", time: "TIMESTAMP" }[type]
      assert.deepStrictEqual(
        yield* column(`CAST(${compiled.sql} AS ${sqlType})`),
        yield* column(`CAST(${sql} AS ${sqlType})`),
        compiled.sql
      )
      // What it says it is, it is: a DATE must not be a TIMESTAMP that happens to be at midnight.
      if (type !== "number") {
        const [found] = yield* column(`typeof(${compiled.sql})`)
        assert.strictEqual(found, sqlType)
      }
    })

  for (const [expression, type, sql] of meaning) {
    it.effect(`reads ${JSON.stringify(expression)} as ${sql}`, () => check(expression, type, sql, utc))
  }
  for (const [expression, type, sql] of zoned) {
    it.effect(`reads ${JSON.stringify(expression)} on the wall clock of the query`, () =>
      check(expression, type, sql, pacific)
    )
  }

  it.effect("truncates to the hours of a zone that is not whole hours away", () =>
    check(
      `trunc_hours(${f("t")})`,
      "time",
      "CASE id WHEN 1 THEN TIMESTAMP '2024-03-10 09:15:00' WHEN 2 THEN TIMESTAMP '2024-03-10 09:15:00' WHEN 3 THEN TIMESTAMP '2024-11-03 09:15:00' END",
      { now, timezone: "Asia/Kathmandu" }
    )
  )

  it.effect("takes hundreds of conditions in a row", () =>
    Effect.gen(function* () {
      const { column } = yield* Evaluated
      const conditions = Array.from({ length: 900 }, (_, index) => `matches_filter(${f("n")}, \`${index}\`)`)
      const { sql } = yield* Effect.fromResult(compile(conditions.join(" OR ")))
      assert.deepStrictEqual(yield* column(sql), ["false", "false", "true", "false"])
    })
  )

  it.effect.prop(
    "binds operators as SQL does",
    [
      Schema.Array(Schema.Literals([" + ", " - ", " * "])).check(Schema.isMinLength(6), Schema.isMaxLength(6)),
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))).check(
        Schema.isMinLength(7),
        Schema.isMaxLength(7)
      ),
      Schema.Literals([" = ", " < ", " >= ", " != "]),
      Schema.Literals([" AND ", " OR "]),
      Schema.Literals([" AND ", " OR "]),
      Schema.Literals(["", "NOT "])
    ],
    ([operators, numbers, compare, first, second, not]) =>
      Effect.gen(function* () {
        const { column } = yield* Evaluated
        const sum = (from: number) =>
          `${numbers[from]}${operators[from]}${numbers[from + 1]}${operators[from + 1]}${numbers[from + 2]}`
        const text = `${not}${sum(0)}${compare}${sum(2)}${first}${sum(4)} > ${numbers[3]}${second}${not}(${sum(1)}${compare}${sum(3)})`
        const { sql } = yield* Effect.fromResult(compile(text))
        assert.deepStrictEqual(yield* column(sql), yield* column(text))
      }),
    { arbitrary: { runs: 200 } }
  )

  it("takes an expression of up to a hundred thousand characters", () => {
    assert.isTrue(Result.isSuccess(compile("1".padEnd(100_000))))
    assert.strictEqual(failure("1".padEnd(100_001)), "it is longer than 100000 characters")
  })

  const words = [
    ...["n", "m", "s", "b", "d", "t"].map(f),
    ..."1 2.5 0 \"a\" 'b' `today` yes no null + - * / = != < > ( ) , AND OR NOT # % $ ; -- \\ \" ' `".split(" "),
    ..."if( case( when( coalesce( is_null( concat( contains( length( substring( abs( round( power( ln( date( now() add_days( diff_hours( trunc_months( extract_years( matches_filter( sum(".split(
      " "
    )
  ]
  it.effect.prop(
    "makes SQL that runs, or a refusal, of any text",
    [Schema.Array(Schema.Literals(words)), Schema.Literals(["UTC", "Asia/Beirut"])],
    ([pieces, timezone]) =>
      Effect.gen(function* () {
        const { column } = yield* Evaluated
        const compiled = compile(pieces.join(" "), { now, timezone })
        if (Result.isSuccess(compiled)) yield* column(compiled.success.sql)
      }),
    { arbitrary: { runs: 1000 } }
  )

  // Texts at random seldom fit together: these always have the right types, whatever they say.
  const ofType: Record<"number" | "string" | "yesno" | "date" | "time", ReadonlyArray<string>> = {
    number: [
      f("n"),
      f("m"),
      "2",
      "N + N",
      "N - (N)",
      "-N",
      "N / N",
      "abs(N)",
      "round(N, 2)",
      "round(N, N)",
      "mod(N, N)",
      "if(Y, N, N)",
      "case(when(Y, N), N)",
      "coalesce(N, null)",
      "length(S)",
      "position(S, S)",
      "diff_days(D, T)",
      "diff_hours(D, D)",
      "extract_hours(T)",
      "extract_years(D)",
      "sqrt(N)",
      "ln(N)",
      "log(N)",
      "floor(N)"
    ],
    string: [
      f("s"),
      f("o"),
      '"it\'s"',
      "concat(S, N, Y, D, T)",
      "upper(S)",
      "replace(S, S, S)",
      "if(Y, S, null)",
      "coalesce(S, S)",
      "substring(S, 1, 2)"
    ],
    yesno: [
      f("b"),
      "yes",
      "NOT Y",
      "Y AND Y",
      "(Y OR Y)",
      "N > N",
      "S = S",
      "(D <= T)",
      "T != D",
      "(Y = Y)",
      "is_null(D)",
      "contains(S, S)",
      `matches_filter(${f("t")}, \`last 3 days\`)`,
      `matches_filter(${f("s")}, "-a%")`
    ],
    date: [
      f("d"),
      "date(2024, 3, 10)",
      "date(N, N, N)",
      "add_days(2, D)",
      "add_months(-1, D)",
      "trunc_days(T)",
      "trunc_months(D)",
      "if(Y, D, D)"
    ],
    time: [
      f("t"),
      "now()",
      "add_hours(5, T)",
      "add_years(1, T)",
      "trunc_hours(T)",
      "trunc_minutes(D)",
      "coalesce(T, D)",
      "date_time(2024, 11, 3, 1, 30, 0)",
      "if(Y, T, D)"
    ]
  }
  const letters = { N: "number", S: "string", Y: "yesno", D: "date", T: "time" } as const
  it.effect.prop(
    "makes SQL of the type it says of any expression whose types fit",
    [
      Schema.Literals(["number", "string", "yesno", "date", "time"]),
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))),
      Schema.Literals(["UTC", "America/Los_Angeles"])
    ],
    ([type, choices, timezone]) =>
      Effect.gen(function* () {
        const { column } = yield* Evaluated
        let next = 0
        const made = (type: keyof typeof ofType, depth: number): string => {
          const choice = choices[next++] ?? 0
          const options = ofType[type]
          const template = options[depth > 3 ? choice % 2 : choice % options.length] ?? ""
          // Names of fields and functions are in small letters.
          return template.replace(
            /\b[NSYDT]\b/g,
            (letter) => `(${made(letters[letter as keyof typeof letters], depth + 1)})`
          )
        }
        const text = made(type, 0)
        const compiled = yield* Effect.fromResult(compile(text, { now, timezone }))
        assert.strictEqual(compiled.type, type, text)
        yield* column(compiled.sql)
        if (type === "number") return
        const sqlType = { string: "VARCHAR", yesno: "BOOLEAN", date: "DATE", time: "TIMESTAMP" }[type]
        // DuckDB works out a constant without a value before its type.
        assert.include([sqlType, '"NULL"'], (yield* column(`typeof(${compiled.sql})`))[0], text)
      }),
    { arbitrary: { runs: 400 } }
  )

  it.effect.prop(
    "gives every text back as it was",
    [
      Schema.Array(Schema.Literals(["a", "'", '"', "`", "\\", "--", "/*", "\n", "é", f("n"), ";", "%"])),
      Schema.Literals(['"', "'", "`"])
    ],
    ([pieces, quote]) =>
      Effect.gen(function* () {
        const { column } = yield* Evaluated
        const text = pieces.join("")
        const escaped = text.replaceAll("\\", "\\\\").replaceAll(quote, `\\${quote}`)
        const { sql } = yield* Effect.fromResult(compile(`${quote}${escaped}${quote}`))
        assert.strictEqual((yield* column(sql))[0], text)
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect("makes no text of more than 32,767 bytes, however many calls are inside each other", () =>
    Effect.gen(function* () {
      const { column } = yield* Evaluated
      const lengths = (expression: string) => column(`strlen(${Result.getOrThrow(compile(expression)).sql})`)
      const nested = (count: number, from: string, call: (inner: string) => string): string =>
        count === 0 ? from : call(nested(count - 1, from, call))
      const grown = (count: number) => nested(count, f("s"), (inner) => `replace(${inner}, "p", "${"p".repeat(10)}")`)
      const doubled = (count: number, from: string) => nested(count, from, (inner) => `concat(${inner}, ${inner})`)
      // "apple pie" has three, "Pear" none.
      assert.deepStrictEqual(yield* lengths(grown(4)), ["30006", "4", "0", null])
      assert.include((yield* Effect.flip(lengths(grown(5)))).message, "replace makes a text of more than 32767 bytes")
      assert.include((yield* Effect.flip(lengths(grown(12)))).message, "replace makes a text of more than 32767 bytes")
      assert.deepStrictEqual((yield* lengths(doubled(7, f("s"))))[0], String(9 * 2 ** 7))
      const most = "x".repeat(32_758)
      assert.deepStrictEqual((yield* lengths(`concat("${most}", ${f("s")})`)).slice(0, 2), ["32767", "32762"])
      const message = (yield* Effect.flip(lengths(`concat("${most}", ${f("s")}, "1")`))).message
      assert.include(message, "concat makes a text of more than 32767 bytes")
      // A text that is longer already may become shorter, or stay as long.
      assert.deepStrictEqual((yield* lengths(`replace("${most}${most.slice(0, 30_000)}", "x", "y")`))[0], "62758")
    })
  )
})

describe("LookerExpression", () => {
  for (const [expression, why] of refused) {
    it(`refuses ${JSON.stringify(expression.slice(0, 60))}`, () => {
      assert.include(failure(expression), why)
    })
  }

  it("refuses a time zone that is not there", () => {
    assert.include(failure("now()", { now, timezone: "'; DROP" }), "is not a time zone")
  })
})
