import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { NodeFileSystem, NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, ConfigProvider, Effect, Fiber, FileSystem, Layer, Schedule, Stream } from "effect"
import { Looker, LookerApi, type LookerConfig, LookerHttp, LookerPolicy, Queries } from "effect-looker"
import { NodeLooker } from "effect-looker/node"
import { credentials } from "../support/layers.ts"
import * as observe from "../support/observe.ts"
import { root } from "../support/paths.ts"
import * as StubLooker from "../support/StubLooker.ts"
import { eventually } from "../support/time.ts"
import * as tls from "../support/tls.ts"

const query = Queries.Queries.use((queries) => queries.query("1"))

const env = (variables: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env: variables }))

/** The layer with these variables in the environment, and the settings beside it. */
const looker = (options: LookerConfig.Options, variables: Record<string, string> = {}) =>
  NodeLooker.layer({ ...credentials, ...options }).pipe(
    Layer.provide([
      env(variables),
      LookerPolicy.layer({
        retry: Schedule.spaced("1 millis").pipe(Schedule.upTo({ times: 2 })),
        cleanupTimeout: "300 millis"
      })
    ])
  )

const caFile = tls.file("ca.pem")

/** Straight to Looker, and through a proxy that only connects. */
const ways = [
  { way: "without a proxy", through: Effect.succeed({}) },
  { way: "through a proxy", through: Effect.map(tls.proxy(), ({ url }) => ({ HTTPS_PROXY: url })) },
  {
    way: "through a proxy with TLS",
    through: Effect.map(tls.proxy({ tls: true }), ({ url }) => ({ HTTPS_PROXY: url }))
  }
] as const

describe.each(ways)("certificates, $way,", ({ through, way }) => {
  it.live.each([true, false])("of an authority in the CA file are trusted (HTTP/2: %s)", (http2) =>
    Effect.gen(function* () {
      const server = yield* tls.looker({ certificate: "server", http2 })
      const found = yield* Effect.provide(query, looker({ baseUrl: server.baseUrl, caFile }, yield* through))
      assert.strictEqual(found.model, http2 ? "2.0" : "1.1")
    })
  )

  it.live.each(["selfSigned", "expired", "otherHost", "server"] as const)(
    "are all accepted with verifySsl: false (%s)",
    (certificate) =>
      Effect.gen(function* () {
        const observer = observe.make()
        const server = yield* tls.looker({ certificate })
        const layer = looker({ baseUrl: server.baseUrl, verifySsl: false }, yield* through)
        assert.strictEqual((yield* Effect.provide(query, layer)).id, "1")
        // The setting has an effect here, so nothing is warned about.
        assert.notInclude(observer.text(), "verify_ssl")
      })
  )

  it.live.each([
    { certificate: "server", caFile: undefined, says: "Set LOOKERSDK_CA_FILE" },
    { certificate: "selfSigned", caFile, says: "Set LOOKERSDK_CA_FILE" },
    { certificate: "expired", caFile, says: "has to be renewed" },
    { certificate: "otherHost", caFile, says: "is for another host" }
  ] as const)("that are not valid end a call at once, and the error says what to set: $certificate", (one) =>
    Effect.gen(function* () {
      // The certificate of the proxy itself is one of those that only the CA file makes valid.
      if (way.endsWith("TLS") && one.caFile === undefined) return
      const server = yield* tls.looker({ certificate: one.certificate })
      const layer = looker({ baseUrl: server.baseUrl, caFile: one.caFile }, yield* through)
      const error = yield* Effect.flip(Effect.provide(query, layer))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.include(error.message, `localhost:${server.port}`)
      assert.include(error.message, one.says)
      assert.strictEqual(server.handshakes(), 1)
    })
  )
})

describe("a CA file", () => {
  it.live.each([
    { name: "does not exist", path: "/nowhere/ca.pem", says: "/nowhere/ca.pem cannot be read" },
    { name: "has no certificate", path: tls.file("server.key"), says: "has no certificate in it" }
  ])("that $name is a ConfigurationError", ({ path, says }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(query, looker({ baseUrl: "https://looker.test", caFile: path })))
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.include(error.message, says)
    })
  )

  it.live("is trusted beside NODE_EXTRA_CA_CERTS", () =>
    Effect.gen(function* () {
      const server = yield* tls.looker({ certificate: "server" })
      const program = `
        import { Effect } from "effect"
        import { Queries } from "effect-looker"
        import { NodeLooker } from "effect-looker/node"
        const query = Queries.Queries.use((queries) => queries.query("1"))
        console.log((await Effect.runPromise(Effect.provide(query, NodeLooker.layerEnv))).id)`
      const run = promisify(execFile)(
        process.execPath,
        ["--conditions=effect-looker-source", "--input-type=module", "-e", program],
        {
          cwd: root,
          env: {
            ...process.env,
            LOOKERSDK_BASE_URL: server.baseUrl,
            LOOKERSDK_CLIENT_ID: "an-id",
            LOOKERSDK_CLIENT_SECRET: "a-secret",
            LOOKERSDK_CA_FILE: tls.file("selfSigned.pem"),
            NODE_EXTRA_CA_CERTS: caFile
          }
        }
      )
      const { stderr, stdout } = yield* Effect.promise(() => run)
      assert.strictEqual(stdout, "1\n")
      assert.strictEqual(stderr, "")
    })
  )

  it.live("is LOOKERSDK_CA_FILE, in layerEnv", () =>
    Effect.gen(function* () {
      const server = yield* tls.looker({ certificate: "server" })
      const variables = {
        LOOKERSDK_BASE_URL: server.baseUrl,
        LOOKERSDK_CLIENT_ID: "an-id",
        LOOKERSDK_CLIENT_SECRET: "a-secret",
        LOOKERSDK_CA_FILE: caFile
      }
      assert.strictEqual(
        (yield* query.pipe(Effect.provide(NodeLooker.layerEnv), Effect.provide(env(variables)))).id,
        "1"
      )
    })
  )

  it.live("is ca_file of a looker.ini, in layerIni, whose verify_ssl is obeyed too", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/looker.ini`
      const { baseUrl } = yield* tls.looker({ certificate: "server" })
      const other = yield* tls.looker({ certificate: "selfSigned" })
      yield* fs.writeFileString(
        path,
        `[Looker]\nbase_url=${baseUrl}\nclient_id=i\nclient_secret=secret\nca_file=${caFile}\n` +
          `[Other]\nbase_url=${other.baseUrl}\nclient_id=i\nclient_secret=secret\nverify_ssl=false\n`
      )
      for (const section of ["Looker", "Other"]) {
        const layer = NodeLooker.layerIni({ path, section })
        assert.strictEqual((yield* query.pipe(Effect.provide(layer), Effect.provide(env({})))).id, "1")
      }
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )
})

describe("a proxy", () => {
  const user = "a%20user:p%40ss"
  const basic = `Basic ${Buffer.from("a user:p@ss").toString("base64")}`

  it.live.each(["HTTPS_PROXY", "https_proxy"])("of %s is asked for a connection, with its user and password", (name) =>
    Effect.gen(function* () {
      const server = yield* tls.looker({ certificate: "server" })
      const proxy = yield* tls.proxy()
      const layer = looker({ baseUrl: server.baseUrl, caFile }, { [name]: `http://${user}@${proxy.host}` })
      yield* Effect.provide(query, layer)
      assert.isAtLeast(proxy.asked.length, 1)
      for (const asked of proxy.asked)
        assert.deepStrictEqual(asked, { target: `localhost:${server.port}`, authorization: basic })
    })
  )

  it.live("may be written without a scheme", () =>
    Effect.gen(function* () {
      const server = yield* tls.looker({ certificate: "server" })
      const proxy = yield* tls.proxy()
      yield* Effect.provide(query, looker({ baseUrl: server.baseUrl, caFile }, { HTTPS_PROXY: proxy.host }))
      assert.isAtLeast(proxy.asked.length, 1)
    })
  )

  it.live.each(["HTTP_PROXY", "http_proxy"])("of %s is for an http base URL", (name) =>
    Effect.gen(function* () {
      const proxy = yield* tls.proxy()
      const layer = looker({ baseUrl: "http://looker.test" }, { [name]: proxy.url })
      assert.strictEqual((yield* Effect.provide(query, layer)).id, "1")
      assert.isTrue(proxy.asked.every(({ target }) => target.startsWith("http://looker.test/")))
    })
  )

  it.live("of HTTP_PROXY is not for an https base URL, nor that of HTTPS_PROXY for http", () =>
    Effect.gen(function* () {
      const server = yield* tls.looker({ certificate: "server" })
      const plain = yield* StubLooker.onSocket(
        StubLooker.withLogin(() => ({ json: { id: "1", access_token: "a-token" } }))
      )
      const proxy = yield* tls.proxy()
      yield* Effect.provide(query, looker({ baseUrl: server.baseUrl, caFile }, { HTTP_PROXY: proxy.url }))
      yield* Effect.provide(query, looker({ baseUrl: plain.baseUrl }, { HTTPS_PROXY: proxy.url }))
      assert.deepStrictEqual(proxy.asked, [])
    })
  )

  it.live.each(["localhost", "*", "other.test,localhost", ".localhost localhost"])(
    "is left out by NO_PROXY: %s",
    (noProxy) =>
      Effect.gen(function* () {
        const server = yield* tls.looker({ certificate: "server" })
        const proxy = yield* tls.proxy()
        const variables = { HTTPS_PROXY: proxy.url, NO_PROXY: noProxy }
        yield* Effect.provide(query, looker({ baseUrl: server.baseUrl, caFile }, variables))
        assert.deepStrictEqual(proxy.asked, [])
      })
  )

  it.live("is read through Config, and from nowhere else", () =>
    Effect.gen(function* () {
      const server = yield* tls.looker({ certificate: "server" })
      const proxy = yield* tls.proxy()
      const before = { ...process.env }
      yield* Effect.acquireRelease(
        Effect.sync(() => Object.assign(process.env, { HTTPS_PROXY: "http://127.0.0.1:1", NO_PROXY: "localhost" })),
        () =>
          Effect.sync(() => {
            for (const name of ["HTTPS_PROXY", "NO_PROXY"]) {
              if (before[name] === undefined) delete process.env[name]
              else process.env[name] = before[name]
            }
          })
      )
      yield* Effect.provide(query, looker({ baseUrl: server.baseUrl, caFile }))
      yield* Effect.provide(query, looker({ baseUrl: server.baseUrl, caFile }, { HTTPS_PROXY: proxy.url }))
      assert.isAtLeast(proxy.asked.length, 1)
    })
  )

  it.live("that wants a password ends a call at once, and the error says where to write it", () =>
    Effect.gen(function* () {
      const proxy = yield* tls.proxy({ status: 407 })
      const layer = looker({ baseUrl: "https://looker.test" }, { HTTPS_PROXY: `http://me:hunter2@${proxy.host}` })
      const error = yield* Effect.flip(Effect.provide(query, layer))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.include(error.message, "Write them in HTTPS_PROXY")
      assert.notInclude(observe.printed(error), "hunter2")
      assert.strictEqual(proxy.asked.length, 1)
    })
  )

  it.live("that cannot reach Looker is tried again, and Looker was not reached", () =>
    Effect.gen(function* () {
      const proxy = yield* tls.proxy({ status: 502 })
      const error = yield* Effect.flip(
        Effect.provide(query, looker({ baseUrl: "https://looker.test" }, { HTTPS_PROXY: proxy.url }))
      )
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.strictEqual(error._tag === "LookerUnavailable" && error.reached, "no")
      assert.match(error.message, /502.*tried 3 times in/)
      assert.strictEqual(proxy.asked.length, 3)
    })
  )

  it.live.each(["ftp://me:hunter2@proxy.test", "http://me:hunter2@", "http://me:hunter2@proxy.test:port"])(
    "with a URL that is none is a ConfigurationError, which shows no password: %s",
    (url) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(
          Effect.provide(query, looker({ baseUrl: "https://looker.test" }, { HTTPS_PROXY: url }))
        )
        assert.strictEqual(error._tag, "ConfigurationError")
        assert.include(error.message, "HTTPS_PROXY is not the URL of a proxy")
        assert.notInclude(observe.printed(error), "hunter2")
      })
  )
})

describe("HTTP/2", () => {
  const size = 6 * 1024 * 1024
  const results = LookerHttp.LookerHttp.use(({ call }) =>
    call(LookerApi.queryTaskResults, (send) => send({ params: { query_task_id: "t1" } }))
  ).pipe(
    Effect.flatMap((body) =>
      Stream.isStream(body)
        ? Stream.runFold(
            body,
            () => 0,
            (sum, chunk) => sum + chunk.length
          )
        : Effect.die(body)
    )
  )
  const large = (onRequest: () => void = () => {}) => ({
    certificate: "server" as const,
    handle: (request: tls.Request, response: tls.Response) => {
      if (!request.url?.endsWith("/results")) return false
      onRequest()
      response.writeHead(200, { "content-type": "application/octet-stream" })
      response.end(Buffer.alloc(size))
      return true
    }
  })

  it.live("has windows in which 6 MB arrive although nothing that the client says reaches the server", () =>
    Effect.gen(function* () {
      let hold = () => {}
      const server = yield* tls.looker(large(() => hold()))
      const line = yield* tls.slowLine(server.port, 0)
      hold = line.hold
      const received = yield* Effect.provide(
        Effect.timeout(results, "10 seconds"),
        looker({ baseUrl: line.baseUrl, caFile })
      )
      assert.strictEqual(received, size)
    })
  )

  it.live("is not slowed down by a round trip of 30 ms, as the windows of undici are", () =>
    Effect.gen(function* () {
      const server = yield* tls.looker(large())
      const line = yield* tls.slowLine(server.port, 15)
      const ours = looker({ baseUrl: line.baseUrl, caFile })
      const undici = Looker.layer({ baseUrl: line.baseUrl, ...credentials }).pipe(
        Layer.provide(NodeHttpClient.layerUndiciOptions({ connect: { rejectUnauthorized: false } }))
      )
      const millis = Effect.fnUntraced(function* () {
        yield* query
        const start = yield* Clock.currentTimeMillis
        assert.strictEqual(yield* results, size)
        return (yield* Clock.currentTimeMillis) - start
      })
      const wide = Math.min(yield* Effect.provide(millis(), ours), yield* Effect.provide(millis(), ours))
      const narrow = yield* Effect.provide(millis(), undici)
      assert.isBelow(wide * 2, narrow)
    })
  )

  it.live("ends the stream of a call that is interrupted, and keeps the connection", () =>
    Effect.gen(function* () {
      let waiting = 0
      let closed = 0
      const server = yield* tls.looker({
        certificate: "server",
        handle: (request, response) => {
          if (!request.url?.endsWith("/queries/2")) return false
          waiting++
          response.on("close", () => closed++)
          return true
        }
      })
      yield* Effect.gen(function* () {
        yield* query
        const fiber = yield* Effect.forkChild(Queries.Queries.use((queries) => queries.query("2")))
        yield* eventually(() => waiting === 1)
        yield* Fiber.interrupt(fiber)
        yield* eventually(() => closed === 1)
        yield* query
        assert.strictEqual(server.handshakes(), 1)
      }).pipe(Effect.provide(looker({ baseUrl: server.baseUrl, caFile })))
    })
  )
})

it.live("a busy program has at most 128 connections with HTTP/1.1", () =>
  Effect.gen(function* () {
    const stub = yield* StubLooker.onSocket(
      StubLooker.withLogin(({ path }) =>
        path.startsWith("/api/4.0/queries/")
          ? Effect.delay(Effect.succeed({ json: { id: "1" } }), "5 millis")
          : undefined
      )
    )
    yield* Effect.replicateEffect(query, 600, { concurrency: "unbounded", discard: true }).pipe(
      Effect.provide(looker({ baseUrl: stub.baseUrl }))
    )
    assert.isAbove(stub.sockets.size, 1)
    assert.isAtMost(stub.sockets.size, 128)
  })
)
