/**
 * The faults of requests: what the script says about one is done to it here, around everything else.
 *
 * @since 0.1.0
 */
import { IncomingMessage } from "node:http"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApi from "effect/http-api/HttpApi"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { unhandled } from "effect/Types"
import { LookerApi } from "../../api/LookerApi.ts"
import type { Query } from "../../domain/Query.ts"
import * as LookerErrors from "../server/LookerErrors.ts"
import { QueryStore } from "../tasks/QueryStore.ts"
import { Sessions } from "../tasks/Sessions.ts"
import { TaskStore } from "../tasks/TaskStore.ts"
import type { RequestFault } from "./Fault.ts"
import { Faults } from "./Faults.ts"

/** A request as the contract names it. */
interface Call {
  readonly endpoint: string
  readonly params: Readonly<Record<string, string>>
}

/** Finds the endpoint of a request. Paths without parameters come first: `multi_results` is no task id. */
const callOf = (): ((method: string, path: string) => Call | undefined) => {
  const endpoints: Array<{
    readonly name: string
    readonly method: string
    readonly path: RegExp
    readonly open: boolean
  }> = []
  HttpApi.reflect(LookerApi, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const path = new RegExp(`^${endpoint.path.replaceAll(".", "\\.").replaceAll(/:(\w+)/g, "(?<$1>[^/]+)")}$`)
      endpoints.push({
        name: endpoint.identifier,
        method: endpoint.method,
        path,
        open: endpoint.path.includes(":")
      })
    }
  })
  endpoints.sort((one, other) => Number(one.open) - Number(other.open))
  return (method, path) => {
    for (const endpoint of endpoints) {
      const match = endpoint.method === method ? endpoint.path.exec(path) : null
      if (match !== null) return { endpoint: endpoint.name, params: match.groups ?? {} }
    }
    return undefined
  }
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/**
 * The answer to a request whose connection is to break where there is no connection to break: in process, where the client makes an error of
 * it, and on servers other than Node's, where it is all that can be done.
 *
 * @category constants
 * @since 0.1.0
 */
export const brokenConnection = HttpServerResponse.empty({ status: 502 })

type Answering = Effect.Effect<HttpServerResponse.HttpServerResponse, unhandled, HttpServerRequest.HttpServerRequest>

const hangUp = Effect.gen(function* () {
  const { source } = yield* HttpServerRequest.HttpServerRequest
  if (!(source instanceof IncomingMessage)) return brokenConnection
  source.socket.destroy()
  // The server interrupts what answers a connection that is no more; middleware has to say that it may be.
  return yield* Effect.interruptible(Effect.never)
})

const page = (status: number, title: string, contentType = "text/html") =>
  HttpServerResponse.text(
    `<!DOCTYPE html>\n<html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>\n`,
    { status, contentType }
  )

const unavailable = { 502: "502 Bad Gateway", 503: "503 Service Unavailable", 504: "504 Gateway Timeout" } as const

const bytesOf = ({ body }: HttpServerResponse.HttpServerResponse): Effect.Effect<Uint8Array> => {
  if (body._tag === "Uint8Array") return Effect.succeed(body.body)
  return body._tag === "Stream" ? Effect.orDie(Stream.mkUint8Array(body.stream)) : Effect.succeed(new Uint8Array())
}

const withBytes = (response: HttpServerResponse.HttpServerResponse, bytes: Uint8Array) =>
  HttpServerResponse.uint8Array(bytes, {
    status: response.status,
    contentType: response.headers["content-type"] ?? "application/octet-stream"
  })

const truncated = Effect.fnUntraced(function* (
  response: HttpServerResponse.HttpServerResponse,
  { at, end }: Extract<RequestFault, { readonly _tag: "Truncated" }>
) {
  if (response.body._tag === "Empty") return response
  const whole = yield* bytesOf(response)
  const kept = whole.subarray(0, "bytes" in at ? at.bytes : Math.floor(whole.length * at.fraction))
  if (end === "clean" || kept.length === whole.length) return withBytes(response, kept)
  const { source } = yield* HttpServerRequest.HttpServerRequest
  const cut = Effect.suspend(() => {
    if (!(source instanceof IncomingMessage)) return Effect.fail(new Error("the connection was reset"))
    source.socket.destroySoon()
    return Effect.never
  })
  return HttpServerResponse.stream(Stream.concat(Stream.make(kept), Stream.fromEffect(cut)), {
    status: response.status,
    contentType: response.headers["content-type"] ?? "application/octet-stream",
    contentLength: whole.length
  })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | Faults | QueryStore | TaskStore | Sessions> =
  HttpRouter.middleware(
    Effect.gen(function* () {
      const faults = yield* Faults
      const queries = yield* QueryStore
      const tasks = yield* TaskStore
      const sessions = yield* Sessions
      const find = callOf()

      const queriesOf = Effect.fnUntraced(function* (
        { endpoint, params }: Call,
        request: HttpServerRequest.HttpServerRequest
      ) {
        const body: unknown =
          endpoint === "create_query" || endpoint === "create_query_task"
            ? yield* request.json.pipe(
                Effect.provideService(HttpIncomingMessage.MaxBodySize, LookerErrors.maxBodySize),
                Effect.orElseSucceed(() => undefined)
              )
            : undefined
        const stored = (lookUp: typeof queries.get, key: string) =>
          lookUp(decoded(key)).pipe(
            Effect.map(({ query }): ReadonlyArray<Query> => [query]),
            Effect.orElseSucceed(() => [])
          )
        if (params.query_id !== undefined) return yield* stored(queries.get, params.query_id)
        if (params.slug !== undefined) return yield* stored(queries.forSlug, params.slug)
        if (Predicate.isObject(body)) {
          return Predicate.hasProperty(body, "query_id") ? yield* stored(queries.get, String(body.query_id)) : [body]
        }
        const ids = (params.query_task_id ?? new URL(request.url, "http://x").searchParams.get("query_task_ids") ?? "")
          .split(",")
          .map(decoded)
        return (yield* tasks.all).filter(({ id }) => ids.includes(id)).map((task): Query => task.stored.query)
      })

      const strike = (answering: Answering, fault: RequestFault): Answering => {
        switch (fault._tag) {
          case "Delay":
            return Effect.andThen(Effect.interruptible(Effect.sleep(fault.duration)), answering)
          case "TooManyRequests":
            return Effect.succeed(
              HttpServerResponse.setHeaders(
                LookerErrors.reply(429, "Too many requests"),
                fault.retryAfter === undefined ? {} : { "retry-after": fault.retryAfter }
              )
            )
          case "Unavailable":
            return Effect.succeed(page(fault.status, unavailable[fault.status]))
          case "Reset":
            return fault.when === "before" ? hangUp : Effect.andThen(answering, hangUp)
          case "NotFinished":
            return Effect.succeed(LookerErrors.notFinished(fault.status))
          case "HtmlNotFound":
            return Effect.succeed(page(404, "Looker Not Found (404)", fault.contentType))
          case "Truncated":
            return Effect.flatMap(answering, (response) => truncated(response, fault))
          case "AppendedError":
            return Effect.gen(function* () {
              const response = yield* answering
              // A 204 cannot have a body.
              if (response.body._tag === "Empty") return response
              const whole = yield* bytesOf(response)
              return withBytes(response, Buffer.concat([whole, Buffer.from(fault.text)]))
            })
          case "TokenDeath":
            return Effect.andThen(sessions.forget, answering)
          case "Restart":
            return Effect.andThen(Effect.andThen(tasks.forget, sessions.forget), answering)
        }
      }

      return (httpEffect) =>
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const call = find(request.method, request.url.replace(/[?#].*$/, ""))
          if (call === undefined) return yield* httpEffect
          const struck = yield* faults.onRequest(call.endpoint, queriesOf(call, request))
          let answering: Answering = httpEffect
          for (const fault of [...struck].reverse()) answering = strike(answering, fault)
          return yield* answering
        })
    }),
    { global: true }
  )
