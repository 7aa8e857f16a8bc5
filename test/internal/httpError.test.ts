import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import * as httpError from "../../src/internal/httpError.ts"

const request = HttpClientRequest.get("https://looker.test/api/4.0/query_tasks/3f2a")
const response = HttpClientResponse.fromWeb(request, new Response("", { status: 200 }))

const from = (reason: HttpClientError.HttpClientError["reason"]) =>
  httpError.fromClientError(new HttpClientError.HttpClientError({ reason }))

describe("an error of the HTTP client", () => {
  it("is a broken connection where a body could not be read, and an unexpected response where there is no cause", () => {
    const broken = from(new HttpClientError.DecodeError({ request, response, cause: new Error("terminated") }))
    assert.deepStrictEqual(
      [broken._tag, broken.message, broken.endpoint],
      ["LookerUnavailable", "terminated", "GET /query_tasks/3f2a"]
    )
    const odd = from(new HttpClientError.DecodeError({ request, response, description: "not a form" }))
    assert.deepStrictEqual([odd._tag, odd._tag === "UnexpectedResponse" && odd.status], ["UnexpectedResponse", 200])
  })

  it("is a bad request where the request could not be written", () => {
    assert.strictEqual(from(new HttpClientError.InvalidUrlError({ request }))._tag, "BadRequest")
    assert.strictEqual(from(new HttpClientError.EncodeError({ request }))._tag, "BadRequest")
  })

  it("has the code of a connection that was never made, wherever the cause has it", () => {
    const inner = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })
    const causes = [inner, new Error("fetch failed", { cause: inner }), { errors: [inner] }]
    const errors = causes.map((cause) => from(new HttpClientError.TransportError({ request, cause })))
    assert.deepStrictEqual(
      errors.map((error) => error._tag === "LookerUnavailable" && error.reached),
      ["no", "no", "no"]
    )
  })
})

describe("a response that is no success", () => {
  it.effect("is a redirect from 300 to 399, where it says where to", () =>
    Effect.gen(function* () {
      const messageOf = (status: number, headers: Record<string, string>) =>
        httpError
          .fromResponse(HttpClientResponse.fromWeb(request, new Response("", { status, headers })), (text) => text)
          .pipe(
            Effect.flip,
            Effect.map(({ message }) => message)
          )
      const location = "https://elsewhere.test/api"
      for (const status of [300, 302, 399]) {
        assert.match(yield* messageOf(status, { location }), /^Looker redirects to https:\/\/elsewhere\.test\/api\./)
        assert.strictEqual(yield* messageOf(status, {}), `HTTP status ${status}`)
      }
      assert.strictEqual(yield* messageOf(400, { location }), "HTTP status 400")
    })
  )
})
