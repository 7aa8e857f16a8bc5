import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as exactJson from "../../src/internal/exactJson.ts"

describe("exactJson", () => {
  for (const [text, value] of [
    ["9007199254740991", 9007199254740991],
    ["9007199254740993", "9007199254740993"],
    ["-12345678901234567890", "-12345678901234567890"],
    ["12.50", 12.5],
    ["0.1234567890123456789", "0.1234567890123456789"],
    ["123456789012.3456", 123456789012.3456],
    ["1234567890123456.78", "1234567890123456.78"],
    ["0.10000000000000000000", 0.1],
    ["9007199254740992.0", 9007199254740992],
    ["12345678901234.567", "12345678901234.567"],
    ["1e21", 1e21],
    ["0.1", 0.1],
    ["-0.000001", -0.000001],
    ["1e-7", 1e-7],
    ["1.5E-7", 1.5e-7],
    ["2.5e+3", 2500],
    ["0.00000000000000012", 1.2e-16],
    ["0.0000000000000001234567890123", 1.234567890123e-16],
    ["0.000000000000000123456789012345678", "0.000000000000000123456789012345678"],
    ["1.2345678901234568e-10", 1.2345678901234568e-10],
    ["1.2345678901234567e-10", "1.2345678901234567e-10"],
    ["1.23456789012345678e-10", "1.23456789012345678e-10"],
    ["-1.23456789012345678E+10", "-1.23456789012345678E+10"],
    ["123456789012345678e-5", "123456789012345678e-5"],
    ["1.000000000000000000e10", 1e10],
    ["10000000000000000000", 1e19],
    ["10000000000000000001", "10000000000000000001"],
    ["1234567890123456", 1234567890123456],
    ["900719925474099.3", "900719925474099.3"],
    ["-0.12345678901234", -0.12345678901234],
    ["0.00000000000000000", 0],
    [" -12345678901234567890 ", "-12345678901234567890"],
    ['"12345678901234567890"', "12345678901234567890"],
    ["1e400", "1e400"],
    ["-1e400", "-1e400"],
    ["1E+400", "1E+400"],
    ["1.5e309", "1.5e309"],
    ["1e-400", "1e-400"],
    ["-2.5E-400", "-2.5E-400"],
    ["3e-324", "3e-324"],
    ["1e0400", "1e0400"],
    ["1e308", 1e308],
    ["2.5e-300", 2.5e-300],
    ["5e-324", 5e-324],
    ["0e999", 0],
    ["1e007", 1e7],
    [`1${"0".repeat(400)}`, `1${"0".repeat(400)}`],
    [`0.${"0".repeat(400)}1`, `0.${"0".repeat(400)}1`],
    [`1${"0".repeat(300)}`, 1e300],
    ["4503599627370495", 4503599627370495],
    ["0.5000000000000001", 0.5000000000000001],
    ["0.9999999999999999", 0.9999999999999999],
    ["0.4503599627370497", 0.4503599627370497],
    ["0.9007199254740993", 0.9007199254740993],
    ["9007199254740.993", "9007199254740.993"]
  ] as const) {
    it(`reads ${text} as ${JSON.stringify(value)}`, () => {
      assert.deepStrictEqual(exactJson.parse(`[{"a":${text}}]`), [{ a: value }])
    })
  }

  for (const text of [
    "1.2.3",
    "1234567890.1234567.3",
    "12345678901234567890.",
    "00012345678901234567890",
    "--12345678901234567890",
    "+12345678901234567890",
    ".12345678901234567890",
    "12345678901234567890e",
    "1e400.5",
    "1e4e400",
    "12345678901234567890-1",
    "12345678901234567890/2"
  ]) {
    it(`says that ${text} is no JSON`, () => {
      for (const json of [`[{"a":${text}}]`, `[${text}]`, text]) assert.throws(() => exactJson.parse(json), SyntaxError)
    })
  }

  it("leaves what looks like a number in a key or a text alone", () => {
    const long = "12345678901234567890"
    for (const value of [
      `:${long}`,
      `,${long}`,
      `[${long}`,
      `{"a":${long}}`,
      "1e400",
      ":1e400,",
      `\\":${long}`,
      ` ${long}`
    ]) {
      const rows = [{ [value]: value, "": value, "a:": [value, 1], [`${value}"`]: [`"${value}`] }]
      assert.deepStrictEqual(exactJson.parse(JSON.stringify(rows)), rows)
      assert.deepStrictEqual(exactJson.parse(JSON.stringify(rows, null, 1)), rows)
    }
  })

  it("finds a long number wherever it is in the text", () => {
    for (let before = 0; before < 40; before++) {
      for (const source of ["9007199254740993", "1e400", "12345678901234.567"]) {
        const text = `["${"x".repeat(before)}",${source},{"":${source}}]`
        assert.deepStrictEqual(exactJson.parse(text), ["x".repeat(before), source, { "": source }])
      }
    }
  })

  it("takes a time that grows with the text, whatever the numbers in it", () => {
    for (const source of [`${"1e400".repeat(100_000)}`, `1${"0".repeat(500_000)}1`, `${"0".repeat(500_000)}`]) {
      assert.throws(() => exactJson.parse(`[${source}x]`), SyntaxError)
    }
  })

  it.prop(
    "gives each number as the double that it is, or else as its text",
    [Schema.Array(Schema.Finite)],
    ([numbers]) => {
      assert.deepStrictEqual(exactJson.parse(JSON.stringify(numbers)), JSON.parse(JSON.stringify(numbers)))
      const more = numbers.map((value) => `${value.toPrecision(17)}`)
      const read = exactJson.parse(`[${more.join(",")}]`) as ReadonlyArray<number | string>
      for (const [index, value] of read.entries()) {
        assert.strictEqual(Number(value), Number(more[index]))
        if (typeof value === "string") assert.strictEqual(value, more[index])
      }
    }
  )

  it.prop("reads what has no long numbers as JSON.parse does", [Schema.Json], ([value]) => {
    const text = JSON.stringify(value)
    if (!/[\d.]{16}/.test(text)) assert.deepStrictEqual(exactJson.parse(text), JSON.parse(text))
  })

  it("leaves numbers in strings alone, whatever is escaped around them", () => {
    for (const value of [
      "id: 12345678901234567890, x",
      'a \\" 12345678901234567890',
      "\\\\",
      "[12345678901234567890]"
    ]) {
      const rows = [
        { [value]: value, n: 1 },
        { a: "\\", b: value }
      ]
      assert.deepStrictEqual(exactJson.parse(JSON.stringify(rows)), rows)
    }
  })

  it("reads a long number wherever a value may be", () => {
    const long = "12345678901234567890"
    assert.deepStrictEqual(exactJson.parse(`[${long},${long}]`), [long, long])
    assert.deepStrictEqual(exactJson.parse(`[\n\t${long} ,1, ${long}\r\n]`), [long, 1, long])
    assert.deepStrictEqual(exactJson.parse(`{"a" : ${long},"b":[${long}],"c":{"d":-${long}}}`), {
      a: long,
      b: [long],
      c: { d: `-${long}` }
    })
  })

  it.prop(
    "loses no digit of a decimal",
    [Schema.BigInt, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 25 }))],
    ([digits, scale]) => {
      const sign = digits < 0n ? "-" : ""
      const text = String(digits)
        .replace("-", "")
        .padStart(scale + 1, "0")
      const decimal = scale === 0 ? `${sign}${text}` : `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}`
      const [read] = exactJson.parse(`[${decimal}]`) as [number | string]
      // The shortest text of a double, written out, is the decimal again.
      if (typeof read === "string") assert.strictEqual(read, decimal)
      else if (digits === 0n) assert.isTrue(read === 0)
      else {
        const [mantissa = "", exponent = "0"] = read.toExponential().split("e")
        const significant = text.replace(/^0+/, "")
        assert.strictEqual(mantissa.replace(/[-.]/g, "").replace(/0+$/, ""), significant.replace(/0+$/, ""))
        assert.strictEqual(Number(exponent), significant.length - 1 - scale)
        assert.strictEqual(read < 0, digits < 0n)
      }
    }
  )

  it.prop("loses no integer", [Schema.BigInt], ([value]) => {
    const [read] = exactJson.parse(`[${value}]`) as [number | string]
    assert.strictEqual(BigInt(read), value)
  })
})
