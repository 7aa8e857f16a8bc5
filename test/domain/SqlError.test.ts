import { assert, describe, it } from "@effect/vitest"
import { LookerError, SqlError } from "effect-looker"

describe("SqlError.fromUnknown", () => {
  it.each([
    [{ line: 2, column: 4 }, 2, 4, undefined],
    [{ line: 3, column: 17, character: 120 }, 3, 17, 120],
    [{ line: "3", column: "17", character: "120" }, 3, 17, 120],
    [{}, undefined, undefined, undefined],
    [null, undefined, undefined, undefined],
    ["line 2", undefined, undefined, undefined],
    [{ line: null, column: "", character: "x" }, undefined, undefined, undefined]
  ] as const)("reads the place %j", (location, line, column, character) => {
    const error = SqlError.fromUnknown({ message: "m", sql_error_loc: location })
    assert.deepStrictEqual([error.line, error.column, error.character], [line, column, character])
  })

  it("does without a place", () => {
    assert.strictEqual(SqlError.fromUnknown({ message: "m" }).line, undefined)
  })

  it.each([
    [{ fatal: false }, false],
    [{ fatal: true }, true],
    [{ fatal: null }, true],
    [{}, true],
    [{ level: "warning" }, true]
  ])("takes %j for fatal: %s, since only fatal says so", (keys, fatal) => {
    assert.strictEqual(SqlError.fromUnknown({ message: "m", ...keys }).fatal, fatal)
  })

  it.each([
    [{ message: "m", message_details: "d" }, "m", "d"],
    [{ message: "m", message_details: null }, "m", undefined],
    [{ message: null, message_details: "d" }, "d", "d"],
    [{ message: "", message_details: "" }, "Looker gave no reason", undefined],
    [{}, "Looker gave no reason", undefined],
    ["a sentence", "a sentence", undefined],
    ["", "Looker gave no reason", undefined],
    [null, "Looker gave no reason", undefined],
    [5, "Looker gave no reason", undefined],
    [["a"], "Looker gave no reason", undefined]
  ])("reads the words of %j", (raw, message, details) => {
    const error = SqlError.fromUnknown(raw)
    assert.strictEqual(error.message, message)
    assert.strictEqual(error.details, details)
    assert.strictEqual(error.raw, raw)
  })
})

describe("SqlError.fromBody", () => {
  const messages = (body: unknown, failed: boolean) => SqlError.fromBody(body, failed).map(({ message }) => message)

  it("takes rows for an error when any has the key looker_error, whatever its value", () => {
    assert.deepStrictEqual(messages([{ looker_error: "a" }, { looker_error: "b" }], false), ["a", "b"])
    assert.strictEqual(messages([{ looker_error: null }], false).length, 1)
    assert.deepStrictEqual(messages([{ "flights.looker_error": "a" }], false), [])
    assert.deepStrictEqual(messages([{ "flights.count": 1 }, { looker_error: "late" }], false), ["late"])
  })

  it("takes a list of strings for errors only when the task failed", () => {
    assert.deepStrictEqual(messages(["a", "b"], true), ["a", "b"])
    assert.deepStrictEqual(messages(["a", "b"], false), [])
  })

  it("takes text for an error only when the task failed", () => {
    assert.deepStrictEqual(messages("Origin\nSFO\n", false), [])
    assert.deepStrictEqual(messages("Unknown field", true), ["Unknown field"])
  })

  it("finds looker_error rows under data, where json_bi was flat", () => {
    assert.deepStrictEqual(messages({ sql: "x", data: [{ looker_error: "a" }] }, false), ["a"])
  })

  it("keeps the row of a looker_error as it came", () => {
    const row = { looker_error: "a", other: 1 }
    assert.strictEqual(SqlError.fromBody([row], false)[0]?.raw, row)
  })

  it("finds nothing in a result without errors", () => {
    for (const body of [[], {}, [{ a: 1 }], { data: [], errors: [] }, { rows: [] }, null, undefined, 5, ""]) {
      assert.deepStrictEqual(SqlError.fromBody(body, false), [])
    }
  })
})

describe("LookerError.queryFailed", () => {
  it("says all errors with their details", () => {
    const errors = [
      SqlError.fromUnknown({ message: "The database said no.", message_details: "line 2" }),
      SqlError.fromUnknown("Unknown view")
    ]
    const error = LookerError.queryFailed("t1", errors, "SELECT 1")
    assert.strictEqual(error.message, "The database said no. line 2; Unknown view")
    assert.strictEqual(error.taskId, "t1")
    assert.strictEqual(error.sql, "SELECT 1")
    assert.isFalse(error.isRetryable)
  })

  it("says the same thing once", () => {
    const error = LookerError.queryFailed("t1", [SqlError.fromUnknown({ message_details: "line 2" })], undefined)
    assert.strictEqual(error.message, "line 2")
  })
})
