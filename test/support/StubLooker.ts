/**
 * A Looker whose answers a test writes down, one function for all requests: in process (so that TestClock drives it) or on a real
 * socket (so that connections can break). For what the embedded Looker cannot be made to do.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"

export interface Received {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

/** `json` or `text`; `reset` breaks the connection, before anything or after half of the body. */
export interface Answer {
  readonly status?: number
  readonly json?: unknown
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly reset?: "before" | "midway"
}

export type Script = (request: Received) => Answer | Effect.Effect<Answer>

const bodyOf = (answer: Answer): string => answer.text ?? (answer.json === undefined ? "" : JSON.stringify(answer.json))

const headersOf = (answer: Answer): Readonly<Record<string, string>> => ({
  ...(answer.text !== undefined ? { "content-type": "text/plain" } : {}),
  ...(answer.json !== undefined ? { "content-type": "application/json" } : {}),
  ...answer.headers
})

const toEffect = (answer: Answer | Effect.Effect<Answer>) => (Effect.isEffect(answer) ? answer : Effect.succeed(answer))

/** The answers every script starts from: a login that works, and 404 for what it does not know. */
export const withLogin =
  (script: (request: Received) => Answer | Effect.Effect<Answer> | undefined): Script =>
  (request) => {
    const answer = script(request)
    if (answer !== undefined) return answer
    if (request.path === "/api/4.0/login") {
      return { json: { access_token: "token-1", token_type: "Bearer", expires_in: 3600 } }
    }
    if (request.path === "/api/4.0/logout") return { status: 204 }
    return { status: 404, json: { message: "Not found", documentation_url: "https://cloud.google.com/looker/docs/" } }
  }

/** In process. `received` lists the requests in the order they came. */
export const inProcess = (script: Script) => {
  const received: Array<Received> = []
  const client = HttpClient.make((request, url) =>
    Effect.gen(function* () {
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      const one: Received = {
        method: request.method,
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        body
      }
      received.push(one)
      const answer = yield* toEffect(script(one))
      const status = answer.status ?? 200
      const text = status === 204 ? null : bodyOf(answer)
      return HttpClientResponse.fromWeb(request, new Response(text, { status, headers: headersOf(answer) }))
    })
  )
  return { received, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

/** On a real socket of 127.0.0.1, until the scope closes. */
export const onSocket = Effect.fnUntraced(function* (script: Script) {
  const received: Array<Received> = []
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const url = new URL(request.url ?? "/", "http://stub")
      const one: Received = {
        method: request.method ?? "",
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers as Record<string, string | undefined>,
        body: Buffer.concat(chunks).toString()
      }
      received.push(one)
      Effect.runPromise(toEffect(script(one))).then((answer) => {
        if (answer.reset === "before") return request.socket.resetAndDestroy()
        const body = bodyOf(answer)
        response.writeHead(answer.status ?? 200, {
          ...headersOf(answer),
          ...(answer.reset === "midway" ? { "content-length": String(body.length) } : {})
        })
        if (answer.reset === "midway") {
          return response.write(body.slice(0, body.length / 2), () => request.socket.resetAndDestroy())
        }
        return response.end(body)
      })
    })
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
    () =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      })
  )
  return { received, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
})
