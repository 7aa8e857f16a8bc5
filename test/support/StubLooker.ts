/**
 * A Looker whose answers a test writes down, one function for all requests: in process (so that TestClock drives it) or on a real
 * socket (so that connections can break). For what the embedded Looker cannot be made to do.
 */
import { createServer } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"

export interface Received {
  readonly method: string
  readonly path: string
  /** Path and query as they came over the wire. */
  readonly target: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

/** `json` or `text`; `reset` breaks the connection, before anything or after half of the body; `stall` sends that half and no more. */
export interface Answer {
  readonly status?: number
  readonly json?: unknown
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly reset?: "before" | "midway"
  readonly stall?: boolean
  /** On a socket, the body in four parts, each after this. */
  readonly drip?: Effect.Effect<unknown>
  /** In process, a body whose length is not known before it ends. Unless given it comes with its `content-length`, whole or not. */
  readonly chunked?: boolean
  /** In process, the code of the error that `reset: "before"` breaks with; ECONNRESET unless given. */
  readonly code?: string
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

/** A body of which half arrives, before it breaks or stalls. */
const halfBody = (text: string, end: "reset" | "stall") => {
  let begun = false
  return new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        if (!begun) {
          begun = true
          return controller.enqueue(new TextEncoder().encode(text.slice(0, text.length / 2)))
        }
        return end === "reset" ? controller.error(new Error("terminated")) : new Promise<void>(() => {})
      }
    },
    { highWaterMark: 0 }
  )
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
        target: url.pathname + url.search,
        query: url.searchParams,
        headers: request.headers,
        body
      }
      received.push(one)
      const answer = yield* toEffect(script(one))
      if (answer.reset === "before") {
        return yield* new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({
            request,
            cause: Object.assign(new Error("the connection broke"), { code: answer.code ?? "ECONNRESET" })
          })
        })
      }
      const status = answer.status ?? 200
      const text = status === 204 || status === 304 ? null : bodyOf(answer)
      const end = answer.reset ? "reset" : answer.stall ? "stall" : undefined
      const response = new Response(text !== null && end ? halfBody(text, end) : text, {
        status,
        headers: {
          ...(text === null || answer.chunked
            ? {}
            : { "content-length": String(new TextEncoder().encode(text).length) }),
          ...headersOf(answer)
        }
      })
      return HttpClientResponse.fromWeb(request, response)
    })
  )
  return { received, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

/**
 * On a real socket of 127.0.0.1, until the scope closes. `abandoned` lists the requests whose
 * client went before the answer's end, `sockets` every connection that carried one.
 */
export const onSocket = Effect.fnUntraced(function* (script: Script) {
  const received: Array<Received> = []
  const abandoned: Array<Received> = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const url = new URL(request.url ?? "/", "http://stub")
      const one: Received = {
        method: request.method ?? "",
        path: url.pathname,
        target: request.url ?? "",
        query: url.searchParams,
        headers: request.headers as Record<string, string | undefined>,
        body: Buffer.concat(chunks).toString()
      }
      received.push(one)
      sockets.add(request.socket)
      response.on("close", () => response.writableFinished || abandoned.push(one))
      Effect.runPromise(toEffect(script(one))).then((answer) => {
        if (answer.reset === "before") return request.socket.resetAndDestroy()
        const body = bodyOf(answer)
        response.writeHead(answer.status ?? 200, {
          ...headersOf(answer),
          ...(answer.reset === "midway" ? { "content-length": String(body.length) } : {})
        })
        if (answer.drip !== undefined) {
          const { drip } = answer
          const part = Math.ceil(body.length / 4)
          const write = (from: number): unknown => {
            if (from >= body.length) return response.end()
            response.write(body.slice(from, from + part))
            return Effect.runPromise(drip).then(() => write(from + part))
          }
          return write(0)
        }
        if (answer.stall) return response.write(body.slice(0, body.length / 2))
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
  return { received, abandoned, sockets, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
})
