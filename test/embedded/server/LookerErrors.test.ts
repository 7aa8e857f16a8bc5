import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import * as LookerErrors from "../../../src/embedded/server/LookerErrors.ts"

const documentation_url = "https://cloud.google.com/looker/docs/"

/** A server of three paths: one with a response, one that refuses the type of the body, and one whose handler has a defect. */
const responseTo = (path: string) =>
  Effect.gen(function* () {
    const logged: Array<unknown> = []
    const logger = Logger.layer([Logger.make(({ message }) => logged.push(message))])
    const routes = Layer.mergeAll(
      HttpRouter.add("GET", "/api/4.0/fine", HttpServerResponse.text("fine")),
      HttpRouter.add("GET", "/api/4.0/type", HttpServerResponse.text("", { status: 415 })),
      HttpRouter.add("GET", "/api/4.0/broken", Effect.die(new Error("a secret")))
    ).pipe(Layer.provideMerge(LookerErrors.layer), Layer.provideMerge(logger))
    const { handler, dispose } = HttpRouter.toWebHandler(routes, { disableLogger: true })
    yield* Effect.addFinalizer(() => Effect.promise(dispose))
    const response = yield* Effect.promise(() => handler(new Request(`http://127.0.0.1:9999${path}`)))
    return { logged, status: response.status, text: yield* Effect.promise(() => response.text()) }
  })

describe("a request", () => {
  it.effect("whose handler has a defect is responded to with 500, without the defect, which is logged", () =>
    Effect.gen(function* () {
      const { logged, status, text } = yield* responseTo("/api/4.0/broken")
      assert.deepStrictEqual(
        [status, JSON.parse(text)],
        [500, { message: "An error has occurred.", documentation_url }]
      )
      assert.strictEqual(logged.length, 1)
      assert.include(String(logged[0]), "unexpected failure")
    })
  )

  it.effect("whose handler succeeds is left alone", () =>
    Effect.gen(function* () {
      const { logged, status, text } = yield* responseTo("/api/4.0/fine")
      assert.deepStrictEqual([status, text, logged], [200, "fine", []])
    })
  )

  it.effect(
    "whose body has a type that is not read is responded to with 400, as there is no 415 in Looker's contract",
    () =>
      Effect.gen(function* () {
        const { status, text } = yield* responseTo("/api/4.0/type")
        const message = "The body must be JSON, with content-type: application/json."
        assert.deepStrictEqual([status, JSON.parse(text)], [400, { message, documentation_url }])
      })
  )

  it.effect("to a path that begins with two slashes is not found, with a hint about the base URL", () =>
    Effect.gen(function* () {
      const { status, text } = yield* responseTo("//api/4.0/fine")
      assert.deepStrictEqual(
        [status, JSON.parse(text)],
        [404, { message: "Not found: GET //api/4.0/fine. The base_url must not end with a slash.", documentation_url }]
      )
    })
  )
})
