import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Looker, LookerError, Queries, QueryRunner, QueryTasks } from "effect-looker"
import { credentials } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"

/** A Looker whose query 1 says which Looker it is. */
const named = (name: string) => {
  const stub = StubLooker.inProcess(
    StubLooker.withLogin(({ method, path }) =>
      method === "POST" && path === "/api/4.0/query_tasks"
        ? { json: { id: `task-of-${name}` } }
        : path.startsWith("/api/4.0/queries")
          ? { json: { id: name } }
          : undefined
    )
  )
  return {
    received: stub.received,
    layer: Looker.layer({ baseUrl: `http://${name}.test`, ...credentials }).pipe(Layer.provide(stub.layer))
  }
}

class One extends Context.Service<One, string>()("test/One") {}
class Other extends Context.Service<Other, string>()("test/Other") {}

const whichLooker = Queries.Queries.use((queries) => Effect.map(queries.query("1"), ({ id }) => id ?? ""))

describe("Looker.layer", () => {
  it.effect("keeps two Lookers of one program separate", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* One, "one")
      assert.strictEqual(yield* Other, "other")
    }).pipe(
      Effect.provide(
        Layer.merge(
          Layer.effect(One, whichLooker).pipe(Layer.provide(named("one").layer)),
          Layer.effect(Other, whichLooker).pipe(Layer.provide(named("other").layer))
        )
      )
    )
  )

  it.effect("logs in once where one layer is used twice", () => {
    const { layer, received } = named("one")
    return Effect.gen(function* () {
      assert.strictEqual(yield* One, yield* Other)
      assert.strictEqual(received.filter(({ path }) => path === "/api/4.0/login").length, 1)
    }).pipe(
      Effect.provide(
        Layer.merge(
          Layer.effect(One, whichLooker).pipe(Layer.provide(layer)),
          Layer.effect(Other, whichLooker).pipe(Layer.provide(layer))
        )
      )
    )
  })

  it.effect("lets a service in the middle be replaced, over the rest of it", () => {
    const conflict = new LookerError.Conflict({ message: "as the test wants it" })
    const replaced = QueryRunner.layer.pipe(
      Layer.provide(Layer.mock(QueryTasks.QueryTasks, { createQueryTask: () => Effect.fail(conflict) })),
      Layer.provide(named("one").layer)
    )
    return Effect.gen(function* () {
      const runner = yield* QueryRunner.QueryRunner
      const error = yield* Effect.flip(runner.run({ model: "m", view: "v", fields: ["v.a"] }))
      assert.strictEqual(error, conflict)
    }).pipe(Effect.provide(replaced))
  })
})
