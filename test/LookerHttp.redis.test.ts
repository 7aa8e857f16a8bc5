/**
 * One allowance of requests for several programs, through a real Redis. Skipped where no redis-server is found in the PATH.
 */
import { spawn, spawnSync } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { QueryTasks } from "effect-looker"
import { looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"

const isInstalled = spawnSync("redis-server", ["--version"]).status === 0

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** A Redis of this test's own, with nothing in it. */
const redis = Effect.gen(function* () {
  const port = yield* freePort
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "redis-test-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  yield* Effect.acquireRelease(
    Effect.sync(() => spawn("redis-server", ["--port", String(port), "--save", "", "--dir", folder])),
    (server) =>
      Effect.callback<void>((resume) => {
        server.once("exit", () => resume(Effect.void))
        server.kill()
      })
  )
  return port
})

const ask = (times: number) =>
  QueryTasks.QueryTasks.use((tasks) =>
    Effect.forEach(Array.from({ length: times }), () => tasks.queryTask("t1"), {
      concurrency: "unbounded",
      discard: true
    })
  )

describe.skipIf(!isInstalled)("a rate limit in a real Redis (redis-server in the PATH)", () => {
  it.live("is one for programs that have nothing but the Redis in common", () =>
    Effect.gen(function* () {
      const port = yield* redis
      const sentAt: Array<number> = []
      const stub = StubLooker.inProcess(
        StubLooker.withLogin(({ path }) => {
          if (!path.startsWith("/api/4.0/query_tasks/")) return undefined
          return Effect.map(Clock.currentTimeMillis, (now) => {
            sentAt.push(now)
            return { json: { id: "t1" } }
          })
        })
      )
      // A connection, a limiter and a client for each, as in a process of its own.
      const program = Layer.fresh(
        looker(stub.layer, { policy: { rateLimit: { limit: 20, window: "1 second" } } }).pipe(
          Layer.provide(RateLimiter.layer),
          Layer.provide(RateLimiter.layerStoreRedis({ prefix: "looker:" })),
          Layer.provide(NodeRedis.layer({ socket: { port, reconnectStrategy: () => 50 } }))
        )
      )
      const start = yield* Clock.currentTimeMillis
      yield* Effect.all(
        [1, 2, 3].map(() => Effect.provide(ask(20), program)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(sentAt.length, 60)
      // A bucket of 20 that gets one every 50 ms: a busy machine sends later than that, and never earlier.
      const tooEarly = sentAt.filter((at, index) => at - start < (index - 20) * 50)
      assert.deepStrictEqual(tooEarly, [])
    }).pipe(Effect.scoped)
  )
})
