/**
 * Makes the faults of requests happen, around all other handling of a request.
 *
 * @since 0.1.0
 */
import { IncomingMessage } from "node:http"
import * as Effect from "effect/Effect"
import * as FindMyWay from "effect/http/FindMyWay"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { unhandled } from "effect/Types"
import type { Query } from "../../domain/Query.ts"
import * as EmbeddedApi from "../EmbeddedApi.ts"
import type { RequestFault } from "../faults/Fault.ts"
import { Faults } from "../faults/Faults.ts"
import { QueryStore } from "../tasks/QueryStore.ts"
import { Sessions } from "../tasks/Sessions.ts"
import { TaskStore } from "../tasks/TaskStore.ts"
import * as LookerErrors from "./LookerErrors.ts"

/**
 * The response in place of a broken connection, where there is no socket to close: in process, where the client turns it into an error, and on
 * servers other than Node's.
 *
 * @category constants
 * @since 0.1.0
 */
export const brokenConnection = HttpServerResponse.empty({ status: 502 })

type Handling = Effect.Effect<HttpServerResponse.HttpServerResponse, unhandled, HttpServerRequest.HttpServerRequest>

const hangUp = Effect.gen(function* () {
  const { source } = yield* HttpServerRequest.HttpServerRequest
  if (!(source instanceof IncomingMessage)) return brokenConnection
  source.socket.destroy()
  // The server interrupts a handler whose connection is closed, but middleware is uninterruptible by default.
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
      const endpoints = FindMyWay.make<string>(yield* HttpRouter.RouterConfig)
      for (const { identifier, method, path } of EmbeddedApi.endpoints) endpoints.on(method, path, identifier)

      const queriesOf = Effect.fnUntraced(function* (
        { handler: endpoint, params, searchParams }: FindMyWay.FindResult<string>,
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
          lookUp(key).pipe(
            Effect.map(({ query }): ReadonlyArray<Query> => [query]),
            Effect.orElseSucceed(() => [])
          )
        if (params.query_id !== undefined) return yield* stored(queries.get, params.query_id)
        if (params.slug !== undefined) return yield* stored(queries.forSlug, params.slug)
        if (Predicate.isObject(body)) {
          return Predicate.hasProperty(body, "query_id") ? yield* stored(queries.get, String(body.query_id)) : [body]
        }
        const named = params.query_task_id ?? searchParams.query_task_ids ?? []
        const ids = [named].flat().flatMap((list) => list.split(","))
        return (yield* tasks.all).filter(({ id }) => ids.includes(id)).map((task): Query => task.stored.query)
      })

      const inject = (handling: Handling, fault: RequestFault): Handling => {
        switch (fault._tag) {
          case "Delay":
            return Effect.andThen(Effect.interruptible(Effect.sleep(fault.duration)), handling)
          case "TooManyRequests":
            return Effect.succeed(
              HttpServerResponse.setHeaders(
                LookerErrors.reply(429, "Too many requests"),
                fault.retryAfter === undefined ? {} : { "retry-after": fault.retryAfter }
              )
            )
          case "Unavailable":
            return Effect.as(
              fault.when === "before" ? Effect.void : handling,
              page(fault.status, unavailable[fault.status])
            )
          case "Reset":
            return fault.when === "before" ? hangUp : Effect.andThen(handling, hangUp)
          case "NotFinished":
            return Effect.succeed(LookerErrors.notFinished(fault.status))
          case "HtmlNotFound":
            return Effect.succeed(page(404, "Looker Not Found (404)", fault.contentType))
          case "Truncated":
            return Effect.flatMap(handling, (response) => truncated(response, fault))
          case "AppendedError":
            return Effect.gen(function* () {
              const response = yield* handling
              // A 204 cannot have a body.
              if (response.body._tag === "Empty") return response
              const whole = yield* bytesOf(response)
              return withBytes(response, Buffer.concat([whole, Buffer.from(fault.text)]))
            })
          case "TokenDeath":
            return Effect.andThen(sessions.forget, handling)
          case "Restart":
            return Effect.andThen(Effect.andThen(tasks.forget, sessions.forget), handling)
        }
      }

      return (httpEffect) =>
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const found = endpoints.find(request.method, request.url)
          if (found === undefined) return yield* httpEffect
          const happening = yield* faults.onRequest(found.handler, queriesOf(found, request))
          let handling: Handling = httpEffect
          for (const fault of [...happening].reverse()) handling = inject(handling, fault)
          return yield* handling
        })
    }),
    { global: true }
  )
