/**
 * Many tasks at once, killed at random, on a real DuckDB over a socket: everything ends, and nothing is left behind.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { DuckDBInstance } from "@duckdb/node-api"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it, vi } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { EmbeddedLooker } from "effect-looker/embedded"
import { vega } from "../support/paths.ts"
import { call, createTask, ends, login, type Options, wait, withServer } from "./support.ts"

const all = vega("flights-3m.parquet")

/** Some of them, so that two cores are soon done with many queries. */
const flights = join(mkdtempSync(join(tmpdir(), "stress-data-")), "flights.parquet")

/** Milliseconds, tenths of a second, and most of a second. */
const quick = { fields: ["flights.count", "flights.max_delay"] }
const middling = { fields: ["flights.origin", "flights.date_month", "flights.count"] }
const slow = {
  fields: ["flights.date", "flights.origin", "flights.destination", "flights.delay", "flights.average_distance"],
  sorts: ["flights.average_distance desc"]
}

const served = (options: Options = {}) => withServer(EmbeddedLooker.layerServer({ ...options, data: { flights } }))

/** The same numbers from 0 to 1 for the same seed (mulberry32). */
const randomFrom = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** One task's life under a caller who may kill it, and how it ended. */
const live = Effect.fnUntraced(function* (token: string, random: () => number, longest: number) {
  const kind = random()
  const query = kind < 0.6 ? quick : kind < 0.8 ? middling : slow
  // A slow query is never waited for.
  const killAfter = query === slow || random() < 0.5 ? random() * longest : undefined
  // No two alike, or one could be answered from the results of another.
  const filters = { "flights.delay": `>${Math.floor(random() * -1000)}.${Math.floor(random() * 1e9)}` }
  const id = yield* createTask(token, { view: "flights", limit: "50", filters, ...query }, "json")
  if (killAfter !== undefined) {
    yield* wait(killAfter)
    const { status } = yield* call("DELETE", `/running_queries/${id}`, { token })
    assert.include([204, 404], status)
  }
  return { id, status: yield* ends(token, id) }
})

/** No task is killed later than `longest` milliseconds after its creation. */
const many = (count: number, seed: number, longest = 1000) =>
  Effect.gen(function* () {
    const random = randomFrom(seed)
    const token = yield* login
    return yield* Effect.forEach(Array.from({ length: count }), () => live(token, random, longest), {
      concurrency: "unbounded"
    })
  })

const asked = (instance: DuckDBInstance, sql: string) =>
  Effect.promise(async () => {
    const connection = await instance.connect()
    try {
      return (await connection.run(sql)).getRows()
    } finally {
      connection.closeSync()
    }
  })

/** What the process holds of the system. Known on Linux only. */
const held = () => ({
  files: readdirSync("/proc/self/fd").length,
  threads: readdirSync("/proc/self/task").length
})

/** Sockets and threads may take a moment to go. */
const settlesAt = Effect.fnUntraced(function* (baseline: ReturnType<typeof held>) {
  for (let tries = 0; tries < 100; tries++) {
    const now = held()
    if (now.files <= baseline.files && now.threads <= baseline.threads) break
    yield* wait(50)
  }
  const now = held()
  assert.isAtMost(now.files, baseline.files)
  assert.isAtMost(now.threads, baseline.threads)
})

beforeAll(async () => {
  const instance = await DuckDBInstance.create(":memory:")
  await asked(instance, `COPY (FROM '${all}' LIMIT 400000) TO '${flights}'`).pipe(Effect.runPromise)
  instance.closeSync()
})

afterAll(() => rmSync(dirname(flights), { recursive: true, force: true }))

let temporary = ""
let instances: Array<DuckDBInstance> = []

beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), "stress-"))
  vi.stubEnv("TMPDIR", temporary)
  instances = []
  const create = DuckDBInstance.create.bind(DuckDBInstance)
  vi.spyOn(DuckDBInstance, "create").mockImplementation(async (...args) => {
    const instance = await create(...args)
    instances.push(instance)
    return instance
  })
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  rmSync(temporary, { recursive: true, force: true })
})

const database = Effect.sync(() => {
  const [instance] = instances
  if (instance === undefined) throw new Error("no DuckDB was started")
  return instance
})

describe("many tasks at once", () => {
  it.live("all end, complete or killed, and leave nothing behind", () =>
    Effect.gen(function* () {
      // Threads of Node's own pool, and whatever else starts once.
      yield* many(4, 0).pipe(Effect.provide(served()))
      instances = []
      const baseline = existsSync("/proc/self/fd") ? held() : undefined

      yield* Effect.gen(function* () {
        const outcomes = yield* many(200, 1)
        const idsOf = (wanted: string) => outcomes.filter(({ status }) => status === wanted).map(({ id }) => id)
        const complete = new Set(idsOf("complete"))
        assert.isAbove(complete.size, 50)
        assert.isAbove(idsOf("killed").length, 50)
        assert.strictEqual(complete.size + idsOf("killed").length, 200)

        const token = yield* login
        assert.deepStrictEqual((yield* call("GET", "/running_queries", { token })).json, [])
        const tables = yield* asked(
          yield* database,
          "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'results'"
        )
        assert.isAtLeast(tables.length, complete.size)
        const orphans = tables.filter(([name]) => !complete.has(String(name).slice(0, 32)))
        assert.deepStrictEqual(orphans, [])
        for (const id of complete) {
          assert.strictEqual((yield* call("GET", `/query_tasks/${id}/results`, { token })).status, 200)
        }
        assert.lengthOf(readdirSync(temporary), 1)
      }).pipe(Effect.provide(served()))

      assert.deepStrictEqual(readdirSync(temporary), [])
      if (baseline !== undefined) yield* settlesAt(baseline)
    })
  )

  it.live("take no more memory round after round, once their results have expired", () =>
    Effect.gen(function* () {
      const round = Effect.fnUntraced(function* (seed: number) {
        const outcomes = yield* many(20, seed, 300)
        // The cache keeps a result for twice its life.
        yield* wait(250)
        // A request removes the results that expired.
        const token = yield* login
        for (const { id } of outcomes) yield* call("GET", `/query_tasks/${id}`, { token })
        const tables = yield* asked(yield* database, "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'results'")
        assert.deepStrictEqual(tables, [])
        const [[bytes] = []] = yield* asked(
          yield* database,
          "SELECT CAST(sum(memory_usage_bytes) AS BIGINT) FROM duckdb_memory()"
        )
        return { database: Number(bytes), process: process.memoryUsage().rss }
      })
      const rounds = []
      for (let seed = 1; seed <= 4; seed++) rounds.push(yield* round(seed))
      const [, second, , last] = rounds
      assert.isAtMost(last?.database ?? 0, (second?.database ?? 0) * 1.2)
      // What the queries of DuckDB themselves take comes and goes: twice as much would be a leak.
      assert.isAtMost(last?.process ?? 0, (second?.process ?? 0) * 2)
    }).pipe(Effect.provide(served({ resultLife: "100 millis" })))
  )

  it.live("readers who leave in the middle of a large result leave nothing behind", () =>
    Effect.gen(function* () {
      const baseline = existsSync("/proc/self/fd") ? held() : undefined
      yield* Effect.gen(function* () {
        const token = yield* login
        const query = { view: "flights", fields: ["flights.date", "flights.origin"], limit: "300000" }
        const id = yield* createTask(token, query, "csv")
        assert.strictEqual(yield* ends(token, id), "complete")
        const client = yield* HttpClient.HttpClient
        const request = HttpClientRequest.get(`${EmbeddedLooker.inProcessBaseUrl}/api/4.0/query_tasks/${id}/results`, {
          headers: { authorization: `token ${token}` }
        })
        const leave = client.execute(request).pipe(
          Effect.flatMap(({ stream }) => Stream.runCollect(Stream.take(stream, 1))),
          Effect.scoped
        )
        yield* Effect.forEach(Array.from({ length: 20 }), () => leave, { concurrency: 10 })
        const whole = yield* call("GET", `/query_tasks/${id}/results`, { token })
        assert.strictEqual(whole.text.split("\n").length, 300_002)
      }).pipe(Effect.provide(served()))
      assert.deepStrictEqual(readdirSync(temporary), [])
      if (baseline !== undefined) yield* settlesAt(baseline)
    })
  )
})

describe("a server that gets a signal while queries run", () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.live(`ends within two seconds at ${signal}, and leaves nothing in the temporary folder`, () =>
      Effect.gen(function* () {
        const script = fileURLToPath(new URL("serve.ts", import.meta.url))
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, ["--conditions=effect-looker-source", script, all], {
              env: { ...process.env, TMPDIR: temporary },
              stdio: ["ignore", "pipe", "pipe"]
            })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        let printed = ""
        child.stderr.on("data", (text) => {
          printed += text
        })
        const [line] = yield* Effect.promise(() => once(child.stdout, "data"))
        const baseUrl = String(line).trim()
        const running = yield* Effect.gen(function* () {
          const token = yield* login
          const query = { view: "flights_3m", fields: ["flights_3m.date", "flights_3m.origin", "flights_3m.delay"] }
          for (let index = 0; index < 5; index++) {
            yield* createTask(token, { ...query, limit: String(index + 1), sorts: ["flights_3m.delay desc"] }, "json")
          }
          for (;;) {
            const { json } = yield* call("GET", "/running_queries", { token })
            if (json.some((one: { status: string }) => one.status === "running")) return json.length
            yield* wait(5)
          }
        }).pipe(
          Effect.provide(
            Layer.effect(
              HttpClient.HttpClient,
              Effect.map(
                HttpClient.HttpClient,
                HttpClient.mapRequest(
                  HttpClientRequest.updateUrl((url) => url.replace(EmbeddedLooker.inProcessBaseUrl, baseUrl))
                )
              )
            ).pipe(Layer.provide(FetchHttpClient.layer))
          )
        )
        assert.isAtLeast(running, 3)
        assert.lengthOf(readdirSync(temporary), 1)
        const started = performance.now()
        child.kill(signal)
        const [code, killedBy] = yield* Effect.promise(() => once(child, "exit"))
        const elapsed = performance.now() - started
        assert.deepStrictEqual([code, killedBy, printed], [130, null, ""])
        assert.isBelow(elapsed, 2000)
        assert.deepStrictEqual(readdirSync(temporary), [])
      }).pipe(Effect.scoped)
    )
  }
})
