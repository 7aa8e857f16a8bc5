import { assert, describe, it } from "@effect/vitest"
import { titleCase } from "../../../src/embedded/model/Model.ts"

describe("titleCase", () => {
  it("makes words of a name, each with a capital", () => {
    for (const [name, title] of [
      ["order_items", "Order Items"],
      ["id", "Id"],
      ["a", "A"],
      ["_a__b_", "A B"],
      ["ISO_code", "ISO Code"],
      ["", ""]
    ] as const) {
      assert.strictEqual(titleCase(name), title)
    }
  })
})
