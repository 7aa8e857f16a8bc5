/**
 * The Looker of the soak, in a process of its own: the embedded one behind a line that has a limit, hangs and breaks. Sends its address, and
 * goes to the phase that it is sent.
 */
import { createServer, request as send } from "node:http"
import type { AddressInfo } from "node:net"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect } from "effect"
import { EmbeddedLooker, Faults } from "effect-looker/embedded"
import { type Line, phaseOf, randomOf } from "./script.ts"

export interface Start {
  readonly seed: number
  readonly clientId: string
  readonly clientSecret: string
}

const { clientId, clientSecret, seed }: Start = JSON.parse(process.argv[2] ?? "{}")
const random = randomOf(seed)

const line: { state: Line; tokens: number; at: number } = { state: phaseOf(seed, 0).line, tokens: 0, at: 0 }

/** Seconds to wait, in whole ones, or undefined: the request may go on. */
const overLimit = (): number | undefined => {
  const { perSecond } = line.state
  if (perSecond === undefined) return undefined
  const now = performance.now()
  line.tokens = Math.min(perSecond, line.tokens + ((now - line.at) * perSecond) / 1000)
  line.at = now
  if (line.tokens < 1) return Math.ceil((1 - line.tokens) / perSecond)
  line.tokens--
  return undefined
}

const throughLine = (target: string) =>
  createServer((request, response) => {
    // Logins and kills are not limited in Looker either.
    const wait = request.url?.includes("/login") ? undefined : overLimit()
    if (wait !== undefined) {
      request.resume()
      response.writeHead(429, { "content-type": "application/json", "retry-after": String(wait) })
      response.end(JSON.stringify({ message: "Too many requests" }))
      return
    }
    if (random() < line.state.hang) {
      request.resume()
      return
    }
    const isCut = random() < line.state.cut
    const { headers, method, url } = request
    const onwards = send(new URL(url ?? "/", target), { method, headers: { ...headers, host: new URL(target).host } })
    onwards.on("error", () => response.destroy())
    onwards.on("response", (upstream) => {
      response.writeHead(upstream.statusCode ?? 500, upstream.headers)
      upstream.on("error", () => response.destroy())
      if (!isCut) {
        upstream.pipe(response)
        return
      }
      upstream.once("data", (chunk: Buffer) =>
        response.write(chunk.subarray(0, chunk.length / 2), () => response.destroy())
      )
      upstream.resume()
    })
    response.on("close", () => onwards.destroy())
    request.pipe(onwards)
  })

const program = Effect.gen(function* () {
  const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
  const faults = yield* Faults.Faults
  const server = throughLine(baseUrl)
  server.keepAliveTimeout = 60_000
  server.listen(0, "127.0.0.1", () => process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  process.on("message", (number: number) => {
    const phase = phaseOf(seed, number)
    line.state = phase.line
    const change = Effect.andThen(faults.clear, faults.add(...phase.rules))
    Effect.runPromise(change).then(() => process.send?.("ready"))
  })
  return yield* Effect.never
})

const looker = EmbeddedLooker.layerServer({
  data: "node_modules/vega-datasets/data/airports.csv",
  clientId,
  clientSecret,
  concurrency: 100,
  concurrencyPerUser: 100,
  cacheLife: 0,
  resultLife: "1 minute",
  tokenLife: "20 seconds"
})

NodeRuntime.runMain(Effect.provide(program, looker))
