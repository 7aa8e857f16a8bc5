/**
 * What is suggested for a wrong name.
 */
import { assert, describe, it } from "@effect/vitest"
import { suggest } from "../../../src/embedded/refusal/Suggestion.ts"

const names = [
  "orders.id",
  "orders.amount",
  "orders.created",
  "orders.created_month",
  "orders.count",
  ...["id", "amount"].flatMap((column) => ["total", "average", "min", "max"].map((of) => `orders.${of}_${column}`))
]

describe("suggest", () => {
  it("knows what others call the measures of a column, and names the nearest first", () => {
    for (const [asked, first] of [
      ["orders.sum_amount", "orders.total_amount"],
      ["orders.amount_sum", "orders.total_amount"],
      ["sum_amount", "orders.total_amount"],
      ["orders.avg_amount", "orders.average_amount"],
      ["orders.mean_amuont", "orders.average_amount"],
      ["orders.maximum_id", "orders.max_id"],
      ["orders.ammount", "orders.amount"],
      ["amount", "orders.amount"]
    ] as const) {
      assert.match(suggest(asked, names), new RegExp(`^Did you mean ${first}[,?]`), asked)
    }
  })

  it("names those that share a word where none is close", () => {
    assert.strictEqual(
      suggest("orders.count_distinct_amount", names),
      "Did you mean orders.amount, orders.total_amount, orders.average_amount, orders.min_amount, orders.max_amount?"
    )
    assert.match(suggest("invoices.created", names), /^Did you mean orders\.created, orders\.created_month\?$/)
  })

  it("says how many it leaves out, and which page lists all", () => {
    assert.strictEqual(
      suggest("orders.nothing_like", names, "/"),
      `There are ${names.slice(0, 8).join(", ")} … and 5 more. The page / of the server lists all.`
    )
    assert.strictEqual(
      suggest("orders.creatd", names, "/"),
      "Did you mean orders.created? The page / of the server lists all."
    )
    const many = Array.from({ length: 20 }, (_, index) => `orders.cost_${index + 10}`)
    assert.match(suggest("orders.cost_9", many, "/"), / … and 12 more\? The page \/ of the server lists all\.$/)
  })

  it("has nothing to add where it names all", () => {
    assert.strictEqual(suggest("order", ["orders"], "/"), "Did you mean orders?")
    assert.strictEqual(suggest("flights", ["orders"], "/"), "There is only orders.")
    assert.strictEqual(suggest("flights", ["orders", "users"], "/"), "There are orders, users.")
    const eight = names.slice(0, 8)
    assert.strictEqual(suggest("flights", eight, "/"), `There are ${eight.join(", ")}.`)
  })
})
