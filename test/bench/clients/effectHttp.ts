/**
 * Effect's own HTTP client on undici, bare: a token, a request, a body as JSON.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { credentials, queryOf } from "../protocol.ts"
import { runClient, warmUpCalls } from "./client.ts"

await runClient({
  calls: (job, begin) =>
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      const url = `${job.baseUrl}/api/4.0`
      const send = (request: HttpClientRequest.HttpClientRequest) =>
        Effect.flatMap(client.execute(request), ({ json }) => json as Effect.Effect<Record<string, string>>)
      const form = { client_id: credentials.clientId, client_secret: credentials.clientSecret }
      const { access_token = "" } = yield* send(
        HttpClientRequest.post(`${url}/login`).pipe(HttpClientRequest.bodyUrlParams(form))
      )
      const post = (path: string, body: unknown) =>
        Effect.flatMap(HttpClientRequest.bodyJson(HttpClientRequest.post(url + path), body), (request) =>
          send(HttpClientRequest.bearerToken(request, access_token))
        )
      const query = yield* post("/queries", queryOf(job, 0))
      const task = yield* post("/query_tasks", { query_id: query.id, result_format: "json" })
      for (let call = 0; call < warmUpCalls + job.count; call++) {
        if (call === warmUpCalls) begin()
        yield* send(
          HttpClientRequest.get(`${url}/query_tasks/${task.id}`).pipe(HttpClientRequest.bearerToken(access_token))
        )
      }
    }).pipe(Effect.provide(NodeHttpClient.layerUndici), Effect.runPromise)
})
