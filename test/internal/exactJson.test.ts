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
    ['"12345678901234567890"', "12345678901234567890"]
  ] as const) {
    it(`reads ${text} as ${JSON.stringify(value)}`, () => {
      assert.deepStrictEqual(exactJson.parse(`[{"a":${text}}]`), [{ a: value }])
    })
  }

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

  it.prop("loses no integer", [Schema.BigInt], ([value]) => {
    const [read] = exactJson.parse(`[${value}]`) as [number | string]
    assert.strictEqual(BigInt(read), value)
  })
})
