/** The errors of the contract as a client sees them that Effect generates from it: all of their content is in the body and the headers. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { HttpApi, HttpApiClient, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { LookerError } from "effect-looker"
import * as WireError from "effect-looker/api/WireError"

const errors = [
  [400, WireError.BadRequest, LookerError.BadRequest],
  [401, WireError.Unauthorized, LookerError.Unauthorized],
  [403, WireError.Forbidden, LookerError.Forbidden],
  [404, WireError.NotFound, LookerError.NotFound],
  [409, WireError.Conflict, LookerError.Conflict],
  [422, WireError.ValidationFailed, LookerError.ValidationFailed],
  [429, WireError.TooManyRequests, LookerError.TooManyRequests]
] as const

const api = HttpApi.make("Test").add(
  HttpApiGroup.make("group").add(
    HttpApiEndpoint.get("ask", "/ask", { success: Schema.String, error: errors.map(([, wire]) => wire) })
  )
)

/** What the endpoint fails with when a server sends this. */
const failure = (status: number, body: object, headers: Record<string, string> = {}) =>
  HttpApiClient.makeWith(api, {
    baseUrl: "http://looker.test",
    httpClient: HttpClient.make((request) =>
      Effect.succeed(HttpClientResponse.fromWeb(request, Response.json(body, { status, headers })))
    )
  }).pipe(Effect.flatMap((client) => Effect.flip(client.group.ask())))

describe("an error of the contract", () => {
  it.effect.each(errors)("of %i has its message, its link and its trace", ([status, , error]) =>
    Effect.gen(function* () {
      const body = { message: "No", documentation_url: "https://docs.test/" }
      const full = yield* failure(status, body, { "x-b3-traceid": "7f" })
      assert.isTrue(full instanceof error)
      if (!("documentationUrl" in full)) return assert.fail("has no link")
      assert.deepStrictEqual([full.message, full.documentationUrl, full.traceId], ["No", body.documentation_url, "7f"])
      const empty = yield* failure(status, { message: null, documentation_url: null })
      if (!("documentationUrl" in empty)) return assert.fail("has no link")
      assert.deepStrictEqual([empty.message, empty.documentationUrl, empty.traceId], ["", undefined, undefined])
    })
  )

  it.effect("of 422 has its errors, if there are any", () =>
    Effect.gen(function* () {
      const detail = { field: "limit", code: "invalid", message: "No number" }
      const full = yield* failure(422, { message: "No", documentation_url: null, errors: [detail] })
      assert.deepStrictEqual(full._tag === "ValidationFailed" && full.errors.map(({ field }) => field), ["limit"])
      const none = yield* failure(422, { message: "No", documentation_url: null, errors: null })
      assert.deepStrictEqual(none._tag === "ValidationFailed" && none.errors, [])
    })
  )

  it.effect("of 429 has the time after which it may be repeated", () =>
    Effect.gen(function* () {
      const full = yield* failure(429, { message: "No", documentation_url: null }, { "retry-after": "7" })
      const none = yield* failure(429, { message: "No", documentation_url: null })
      assert.deepStrictEqual(
        [full, none].map((error) => (error._tag === "TooManyRequests" ? error.retryAfter !== undefined : "other")),
        [true, false]
      )
    })
  )
})
