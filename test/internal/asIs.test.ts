import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Query, QueryTask, RunningQuery } from "effect-looker"
import { nullish, openStruct } from "../../src/domain/Wire.ts"
import * as asIs from "../../src/internal/asIs.ts"

/** Values of JSON, those that Looker sends for some key among them. */
const values: ReadonlyArray<unknown> = [
  undefined,
  null,
  "a text",
  7,
  true,
  [],
  ["a"],
  [7],
  {},
  { a: "b" },
  { a: true },
  { run: true, __proto__: 1 },
  { id: 7 },
  { id: "7", fields: ["a.b"] }
]

/** Objects with one key more than they need, whose value is each of the above. */
const objectsOf = (keys: ReadonlyArray<PropertyKey>) =>
  keys.flatMap((key) => values.map((value) => ({ id: "1", query_id: "2", model: "m", view: "v", [key]: value })))

const responses: ReadonlyArray<readonly [string, Schema.Codec<unknown>, ReadonlyArray<unknown>]> = [
  ["QueryTask", QueryTask.QueryTask, objectsOf([...Object.keys(QueryTask.QueryTask.schema.fields), "new_key"])],
  ["Query", Query.Query, objectsOf([...Object.keys(Query.Query.schema.fields), "new_key"])],
  [
    "RunningQuery",
    RunningQuery.RunningQuery,
    objectsOf([...Object.keys(RunningQuery.RunningQuery.schema.fields), "new_key"])
  ],
  ["a list", Schema.Array(RunningQuery.RunningQuery), [[], [{ id: "1" }], [{ id: 1 }], [{ id: "1" }, {}], {}, null]],
  ["a closed object", Schema.Struct({ a: nullish(Schema.String) }), [{}, { a: "b" }, { a: "b", c: 1 }, { a: 1 }]],
  ["a number with a check", openStruct({ a: Schema.Int }), [{ a: 1 }, { a: 1.5 }]]
]

describe("a value that decoding leaves as it is", () => {
  it.effect.each(responses)("is the same when it is decoded: %s", ([name, schema, candidates]) =>
    Effect.gen(function* () {
      const isDecoded = asIs.make(schema)
      const decode = Schema.decodeUnknownEffect(schema)
      let found = 0
      for (const candidate of [...candidates, ...values]) {
        if (!isDecoded(candidate)) continue
        found++
        assert.deepStrictEqual(yield* Effect.exit(decode(candidate)), Exit.succeed(candidate), name)
      }
      if (!name.includes("check")) assert.isAbove(found, 0)
    })
  )

  it("is what most responses are", () => {
    const isDecoded = asIs.make(QueryTask.QueryTask)
    const task = { can: { show: true }, id: "3f2a", query_id: "7", status: "added", cache_key: null, runtime: 1.5 }
    assert.isTrue(isDecoded(task))
    assert.isTrue(isDecoded({ ...task, query: { id: "7", model: "m", view: "v", filters: { a: "b" } }, new_key: [1] }))
    assert.isFalse(isDecoded({ ...task, query_id: 7 }))
    assert.isFalse(isDecoded({ status: "added" }))
    assert.isFalse(isDecoded({ ...task, status: 7 }))
  })
})
