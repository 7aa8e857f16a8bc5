import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { TaskState } from "effect-looker"

const { fromEntry } = TaskState

/** What json_detail carries beside its rows, as recorded; the fields are shortened. */
const detail = (id: string) => ({
  from_cache: true,
  id,
  truncated: true,
  supports_pivot_in_db: true,
  null_sort_treatment: "low",
  expired: false,
  ran_at: "2022-06-16T00:10:12+00:00",
  aggregate_table_used_info: null,
  runtime: "0.418",
  added_params: { query_timezone: "America/New_York", sorts: ["flights.origin"] },
  forecast_result: null,
  sql: "SELECT origin FROM flights LIMIT 0",
  sql_explain: null,
  fields: {
    measures: [],
    dimensions: [{ name: "flights.origin", type: "string" }],
    table_calculations: [],
    pivots: []
  },
  fill_fields: [],
  has_totals: false,
  has_row_totals: false,
  applied_filters: {},
  number_format: "1,234.56",
  timezone: "America/New_York",
  data: [],
  drill_menu_build_time: 0.047041,
  has_subtotals: false
})

const sqlError = {
  message: "The Snowflake database encountered an error while running this query.",
  message_details: "SQL compilation error: error line 2 at position 4\ninvalid identifier 'FLIGHTS.ORIGINS'",
  params: "SELECT\n  flights.origins FROM flights",
  edit_url: null,
  error_pos: null,
  level: "error",
  sql_error_loc: { line: 2, column: 4 }
}

const note = {
  message: "Note: This query contains derived tables with conditional SQL for Development Mode.",
  message_details: null,
  params: null,
  edit_url: null,
  error_pos: null,
  fatal: false,
  level: "error",
  login_required_oauth_application_id: null
}

describe("TaskState.fromEntry", () => {
  it.each([
    ["added", "Pending"],
    ["running", "Pending"],
    ["pending", "Pending"],
    ["complete", "Complete"],
    ["error", "Failed"],
    ["failure", "Failed"],
    ["killed", "Killed"],
    ["expired", "Expired"],
    ["missing", "Missing"],
    ["unknown", "Unrecognised"],
    ["success", "Unrecognised"],
    ["", "Unrecognised"]
  ])("reads the word %s, in any case, as %s", (word, tag) => {
    for (const status of [word, word.toUpperCase(), word.slice(0, 1).toUpperCase() + word.slice(1)]) {
      assert.strictEqual(fromEntry({ status })._tag, tag)
    }
  })

  it("keeps the word of a pending task and of an unknown one", () => {
    assert.deepStrictEqual(fromEntry({ status: "Running" }), TaskState.TaskState.Pending({ status: "running" }))
    assert.deepStrictEqual(fromEntry({ status: "Dreaming" }), TaskState.TaskState.Unrecognised({ status: "Dreaming" }))
  })

  it("reads a complete json_detail with all that it carries", () => {
    const data = detail("8ac6")
    assert.deepStrictEqual(
      fromEntry({ status: "complete", result_source: "query", data }),
      TaskState.TaskState.Complete({ data, warnings: [], resultSource: "query" })
    )
  })

  it("reads a complete json_bi and one of the flat kind before 24.4", () => {
    for (const data of [
      { metadata: { sql: "SELECT 1", fields: {} }, rows: [{ "flights.count": 1 }] },
      { sql: "SELECT 1", fields: {}, data: [{ "flights.count": 1 }] }
    ]) {
      assert.deepStrictEqual(
        fromEntry({ status: "complete", data }),
        TaskState.TaskState.Complete({ data, warnings: [] })
      )
    }
  })

  it("reads a complete task without data, which is then to be fetched", () => {
    assert.deepStrictEqual(
      fromEntry({ status: "complete" }),
      TaskState.TaskState.Complete({ data: undefined, warnings: [] })
    )
  })

  it("reads a database error with its place and its SQL", () => {
    const state = fromEntry({
      status: "error",
      result_source: "query",
      data: { ...detail("c672"), errors: [sqlError] }
    })
    assert.strictEqual(state._tag, "Failed")
    if (state._tag !== "Failed") return
    assert.strictEqual(state.sql, "SELECT origin FROM flights LIMIT 0")
    assert.deepStrictEqual(state.errors, [
      {
        message: sqlError.message,
        fatal: true,
        details: sqlError.message_details,
        sql: sqlError.params,
        line: 2,
        column: 4,
        character: undefined,
        level: "error",
        raw: sqlError
      }
    ])
  })

  it("takes the SQL of the error where the result shows none", () => {
    const { sql: _, ...withoutSql } = detail("c672")
    const state = fromEntry({ status: "error", data: { ...withoutSql, errors: [sqlError] } })
    assert.strictEqual(state._tag === "Failed" && state.sql, sqlError.params)
  })

  it("takes a status error with nothing but warnings for complete", () => {
    const data = { ...detail("ab3a"), errors: [note] }
    const state = fromEntry({ status: "error", data })
    assert.strictEqual(state._tag, "Complete")
    if (state._tag !== "Complete") return
    assert.strictEqual(state.data, data)
    assert.deepStrictEqual(
      state.warnings.map(({ fatal, message }) => [fatal, message]),
      [[false, note.message]]
    )
  })

  it("takes an error beside a warning for failed, with the error alone", () => {
    const state = fromEntry({ status: "error", data: { ...detail("ab3a"), errors: [note, sqlError] } })
    assert.deepStrictEqual(state._tag === "Failed" && state.errors.map(({ message }) => message), [sqlError.message])
    assert.deepStrictEqual(state._tag === "Failed" && state.warnings.map(({ message }) => message), [note.message])
  })

  it("takes a cached development-mode error without runtime for what it is", () => {
    const { runtime: _, ...data } = detail("ab3a")
    assert.strictEqual(fromEntry({ status: "error", data: { ...data, errors: [note] } })._tag, "Complete")
    assert.strictEqual(fromEntry({ status: "error", data: { ...data, errors: [sqlError] } })._tag, "Failed")
  })

  it("takes complete with errors inside for failed", () => {
    for (const data of [
      { ...detail("c672"), errors: [sqlError] },
      [{ looker_error: "no such view" }],
      { metadata: { sql: "SELECT 1" }, rows: [{ looker_error: "no such view" }] }
    ]) {
      assert.strictEqual(fromEntry({ status: "complete", data })._tag, "Failed")
    }
  })

  it.each([
    ["one error string", { id: "t1", error: "Unknown field" }, ["Unknown field"]],
    ["a very old list of strings", ["Unknown field", "Unknown view"], ["Unknown field", "Unknown view"]],
    ["rows of looker_error", [{ looker_error: "a" }, { looker_error: "b" }], ["a", "b"]],
    [
      "json_bi rows of looker_error",
      { metadata: { sql: "SELECT 1", fields: {} }, rows: [{ looker_error: "a" }] },
      ["a"]
    ],
    ["a bare string", "Unknown field", ["Unknown field"]],
    ["an empty list of errors", { ...detail("t1"), errors: [] }, ["Looker gave no reason"]],
    ["no data", undefined, ["Looker gave no reason"]],
    ["null", null, ["Looker gave no reason"]],
    ["an empty list", [], ["Looker gave no reason"]],
    ["an empty object", {}, ["Looker gave no reason"]]
  ])("reads the errors of a failed task from %s", (_, data, messages) => {
    for (const status of ["error", "failure"]) {
      const state = fromEntry({ status, data })
      assert.deepStrictEqual(state._tag === "Failed" && state.errors.map(({ message }) => message), messages)
    }
  })

  it("keeps the SQL of a json_bi error", () => {
    const state = fromEntry({
      status: "error",
      data: { metadata: { sql: "SELECT 1", fields: {} }, rows: [{ looker_error: "a" }] }
    })
    assert.strictEqual(state._tag === "Failed" && state.sql, "SELECT 1")
  })

  it("does without SQL that the user may not see", () => {
    const state = fromEntry({ status: "error", data: { metadata: { sql: null }, rows: [{ looker_error: "a" }] } })
    assert.strictEqual(state._tag === "Failed" && state.sql, undefined)
  })

  it("reads expired and killed with the reason Looker adds", () => {
    assert.strictEqual(
      fromEntry({ status: "expired", data: { error: "Results have expired. Run the query again." } })._tag,
      "Expired"
    )
    assert.strictEqual(fromEntry({ status: "killed", data: { error: "killed" } })._tag, "Killed")
  })

  it.each([
    undefined,
    null,
    5,
    "complete",
    [],
    ["complete"],
    {},
    { status: null },
    { status: 5 },
    { status: ["complete"] }
  ])("takes %j for Unrecognised", (entry) => {
    assert.strictEqual(fromEntry(entry)._tag, "Unrecognised")
  })

  const tags = new Set(["Pending", "Complete", "Failed", "Killed", "Expired", "Missing", "Unrecognised"])

  it.prop("never throws, whatever JSON it is given", [Schema.Json], ([entry]) => tags.has(fromEntry(entry)._tag))

  const part = Schema.optional(Schema.Json)
  const shaped = Schema.Struct({
    status: Schema.Literals(["complete", "error", "ERROR", "failure"]),
    data: Schema.Union([
      Schema.Json,
      Schema.Struct({ errors: part, error: part, rows: part, data: part, sql: part, metadata: part }),
      Schema.Struct({
        errors: Schema.Array(
          Schema.Struct({ message: part, message_details: part, fatal: part, params: part, sql_error_loc: part })
        ),
        data: part
      }),
      Schema.Array(Schema.Struct({ looker_error: part }))
    ])
  })

  it.prop(
    "reads a finished task as complete or failed, and a failed one with at least one error",
    [shaped],
    ([entry]) => {
      const state = fromEntry(JSON.parse(JSON.stringify(entry)))
      return (
        state._tag === "Complete" ||
        (state._tag === "Failed" &&
          state.errors.length > 0 &&
          state.errors.every((error) => error.fatal && error.message !== ""))
      )
    }
  )
})
