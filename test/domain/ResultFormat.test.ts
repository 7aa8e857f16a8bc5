import { assert, describe, it } from "@effect/vitest"
import { ResultFormat } from "effect-looker"

describe("the formats", () => {
  it("are those that Looker documents for create_query_task, and the four that are read as rows", () => {
    assert.deepStrictEqual(Array.from<string>(ResultFormat.ResultFormat.literals), [
      ...["inline_json", "json", "json_detail", "json_fe", "json_bi", "csv", "html", "md"],
      ...["txt", "xlsx", "gsxml", "sql", "odc"]
    ])
    assert.deepStrictEqual(ResultFormat.RowFormat.literals, ["json", "json_detail", "json_bi", "csv"])
  })
})
