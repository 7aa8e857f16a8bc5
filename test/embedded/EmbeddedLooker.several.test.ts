import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Looker, QueryRunner } from "effect-looker"
import { EmbeddedLooker } from "effect-looker/embedded"
import { vega } from "../support/paths.ts"

const data = vega("airports.csv")

class One extends Context.Service<One, string>()("test/One") {}
class Other extends Context.Service<Other, string>()("test/Other") {}

/** Rows from the explore of one of the two, which the other does not have. */
const count = (view: string) =>
  QueryRunner.QueryRunner.use((runner) =>
    Effect.map(runner.run({ model: "embedded", view, fields: [`${view}.count`] }), ({ rows }) => JSON.stringify(rows))
  )

const inProcess = (view: string) =>
  Looker.layer({ baseUrl: EmbeddedLooker.inProcessBaseUrl, ...EmbeddedLooker.credentials }).pipe(
    Layer.provide(EmbeddedLooker.layer({ data: { [view]: data } }))
  )

const onSocket = (view: string) =>
  Layer.unwrap(Effect.map(EmbeddedLooker.EmbeddedServer, (server) => Looker.layer(server))).pipe(
    Layer.provide(EmbeddedLooker.layerServer({ data: { [view]: data } })),
    Layer.provide(NodeHttpClient.layerUndici)
  )

describe("two embedded Lookers in one program", () => {
  for (const [where, looker] of [
    ["in process", inProcess],
    ["on sockets", onSocket]
  ] as const) {
    it.live(`are two, ${where}`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* One, '[{"one.count":3376}]')
        assert.strictEqual(yield* Other, '[{"other.count":3376}]')
      }).pipe(
        Effect.provide(
          Layer.merge(
            Layer.effect(One, count("one")).pipe(Layer.provide(looker("one"))),
            Layer.effect(Other, count("other")).pipe(Layer.provide(looker("other")))
          )
        )
      )
    )
  }
})
