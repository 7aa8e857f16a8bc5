/** Options of the embedded Looker: its time and its models. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { EmbeddedLooker } from "effect-looker/embedded"
import { files, named } from "./engine/support.ts"
import { call, folder, inProcess, login, results } from "./support.ts"

describe("the time that relative dates are relative to", () => {
  const recent = { view: "orders", fields: named("count"), filters: { "orders.created_date": "1 days ago" } }
  const count = Effect.map(results(recent), ({ json }) => json[0]["orders.count"])

  it.effect("is that of the task, not of the query", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2024, 2, 8, 12))
      assert.strictEqual(yield* count, 0)
      yield* TestClock.setTime(Date.UTC(2024, 2, 9, 12))
      assert.strictEqual(yield* count, 24)
    }).pipe(Effect.provide(inProcess(files, { resultLife: "1000 days", tokenLife: "1000 days" })))
  )

  it.effect("is fixed when the option now is given", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* count, 24)
    }).pipe(Effect.provide(inProcess(files, { now: "2024-03-10T12:00:00Z" })))
  )

  it.effect("is no time, and the server says so", () =>
    Effect.gen(function* () {
      const data = yield* folder(files)
      const error = yield* Effect.flip(
        Effect.scoped(Effect.provide(login, EmbeddedLooker.layer({ data, now: "soon" })))
      )
      assert.include(String(error), "now is soon")
    })
  )
})

describe("several models", () => {
  it.effect("are served side by side, each with its own files, of the same names too", () =>
    Effect.gen(function* () {
      const [data, other] = [
        yield* folder({ "t.csv": "a\n1\n" }),
        yield* folder({ "t.csv": "a\n1\n2\n", "u.csv": "b\n1\n" })
      ]
      yield* Effect.gen(function* () {
        const rows = (model: string, view: string) =>
          Effect.map(results({ model, view, fields: [`${view}.count`] }), ({ json }) => json[0][`${view}.count`])
        assert.deepStrictEqual(
          [yield* rows("first", "t"), yield* rows("second", "t"), yield* rows("second", "u")],
          [1, 2, 1]
        )
        const token = yield* login
        const wrong = yield* call("POST", "/queries", {
          token,
          json: { model: "first", view: "u", fields: ["u.count"] }
        })
        assert.deepStrictEqual([wrong.status, wrong.json.errors[0].field], [422, "view"])
        const joined = yield* call("POST", "/queries", {
          token,
          json: { model: "second", view: "t", fields: ["t.count", "u.count"] }
        })
        assert.strictEqual(
          joined.json.errors[0].message,
          'Unknown field "u.count". u is another explore: an explore of the embedded Looker is one file, and there are no joins.'
        )
      }).pipe(Effect.provide(EmbeddedLooker.layer({ data, model: "first", models: { second: other } })))
      const twice = EmbeddedLooker.layer({ data, models: { embedded: other } })
      assert.include(String(yield* Effect.flip(Effect.scoped(Effect.provide(login, twice)))), "two models embedded")
      for (const name of ["A", "a\0"]) {
        const alike = EmbeddedLooker.layer({ data, models: { a: other, [name]: other } })
        const refused = yield* Effect.flip(Effect.scoped(Effect.provide(login, alike)))
        assert.strictEqual(refused._tag, "EmbeddedError")
        assert.include(refused.message, `the model ${JSON.stringify(name)} needs another name`)
      }
      const none = EmbeddedLooker.layer({})
      assert.include(String(yield* Effect.flip(Effect.scoped(Effect.provide(login, none)))), "no data")
    })
  )
})
