import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import { literal } from "../../../src/embedded/database/Sql.ts"
import * as ValueFormat from "../../../src/embedded/language/ValueFormat.ts"

const show = (format: string | undefined, numbers: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const database = yield* DuckDb.DuckDb
    const parsed = format === undefined ? undefined : ValueFormat.parse(format)
    assert.strictEqual(parsed === undefined, format === undefined)
    const rows = numbers.map((number, index) => `(${index}, ${literal(number)})`)
    const found = yield* database.run(
      `SELECT ${ValueFormat.toSql("t", parsed)} FROM (VALUES ${rows.join(", ")}) AS v(n, t) ORDER BY n`
    )
    return found.map((row) => row[0])
  })

layer(Layer.effect(DuckDb.DuckDb, DuckDb.make({})))("a number", (it) => {
  // The examples of Looker's documentation of value_format_name.
  for (const [name, shown, number = "1234.56789"] of [
    ["decimal_0", "1,235"],
    ["decimal_1", "1,234.6"],
    ["decimal_2", "1,234.57"],
    ["decimal_3", "1,234.568"],
    ["decimal_4", "1,234.5679"],
    ["usd_0", "$1,235"],
    ["usd", "$1,234.57"],
    ["gbp_0", "£1,235"],
    ["gbp", "£1,234.57"],
    ["eur_0", "€1,235"],
    ["eur", "€1,234.57"],
    ["id", "1235"],
    ["percent_0", "12%", "0.123456"],
    ["percent_1", "12.3%", "0.123456"],
    ["percent_2", "12.35%", "0.123456"],
    ["percent_3", "12.346%", "0.123456"],
    ["percent_4", "12.3456%", "0.123456"]
  ] as const) {
    it.effect(`is ${shown} as ${name}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* show(ValueFormat.named.get(name), [number]), [shown])
      })
    )
  }

  for (const [format, pairs] of [
    ["#,##0.00", { "-0.004": "0.00", "-0.005": "-0.01", "1e+20": "100,000,000,000,000,000,000.00", "0.285": "0.29" }],
    ["#,##0.00", { "99999999999999999999999999999999999999": "99,999,999,999,999,999,999,999,999,999,999,999,999" }],
    ["0", { "1234567.5": "1234568", "-0.4": "0", "0": "0" }],
    ["0.0%", { "-0.0555": "-5.6%", "12.3": "1230.0%", "0.0004": "0.0%" }],
    ['$#,##0 "each"', { "-1234.5": "-$1,235 each" }],
    ['0.0,,"M"', { "12345678": "12.3M", "-99999": "-0.1M" }],
    ['#,##0,"K"', { "1234567": "1,235K" }],
    ["0.00\\%", { "12.345": "12.35%" }],
    ['"it\'s" 0', { "7": "it's 7" }],
    [undefined, { "1062": "1,062", "-1234567.8900": "-1,234,567.8900", "999": "999", "1e+300": "1e+300" }]
  ] as const) {
    it.effect(`is shown as ${format ?? "it is, in groups,"} for ${Object.keys(pairs).join(" ")}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* show(format, Object.keys(pairs)), Object.values(pairs))
      })
    )
  }

  const numbers = Schema.NonEmptyArray(
    Schema.Tuple([Schema.Int.check(Schema.isBetween({ minimum: -1e12, maximum: 1e12 })), Schema.Literals([0, 2, 4])])
  )
  it.effect.prop(
    "is what Intl.NumberFormat makes of its digits",
    [numbers, Schema.Literals([0, 1, 2, 3])],
    ([parts, places]) =>
      Effect.gen(function* () {
        const texts = parts.map(([digits, scale]) => {
          const padded = String(Math.abs(digits)).padStart(scale + 1, "0")
          const at = padded.length - scale
          return `${digits < 0 ? "-" : ""}${padded.slice(0, at)}${scale === 0 ? "" : "."}${padded.slice(at)}`
        })
        const intl = (style: "decimal" | "percent") =>
          new Intl.NumberFormat("en-US", { style, minimumFractionDigits: places, maximumFractionDigits: places })
        // It has a zero with a sign, which Excel has not.
        const expected = (style: "decimal" | "percent") =>
          texts.map((text) =>
            intl(style)
              .format(text as never)
              .replace(/^-(0(?:\.0+)?%?)$/, "$1")
          )
        const format = `#,##0${places === 0 ? "" : `.${"0".repeat(places)}`}`
        assert.deepStrictEqual(yield* show(format, texts), expected("decimal"))
        assert.deepStrictEqual(yield* show(`${format}%`, texts), expected("percent"))
      })
  )
})

describe("a format", () => {
  it("that is more than one number with text around it is refused", () => {
    for (const format of ["", "0;(0)", '[>=1000]0,"K";0', "yyyy-mm-dd", "0.0.0", "#", '0"', "abc", "0%,"]) {
      assert.isUndefined(ValueFormat.parse(format), format)
    }
  })
})
