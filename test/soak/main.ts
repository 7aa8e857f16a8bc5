/**
 * The soak: queries of many shapes against an embedded Looker on a socket, whose faults change every few seconds, among interruptions, time
 * limits and dead tokens. It counts what happened and holds the library to its promises.
 *
 * `npm run soak` takes two minutes; `-- --seconds 10` as long as it says; `-- --seed 7` tries again what a seed led to. The seed decides what
 * is tried, and the machine when. Exits with 1 when a promise was broken.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { parseArgs } from "node:util"
import { NodeHttpClient } from "@effect/platform-node"
import { Cause, Effect, Exit, Fiber, Layer, Logger, Metric, Redacted, References, Result, Stream } from "effect"
import { HttpClient } from "effect/http"
import { Looker, LookerPolicy, type Query, QueryRunner, QueryTaskRun, QueryTasks } from "effect-looker"
import { printed } from "../support/observe.ts"
import { oneOf, phaseOf, randomOf } from "./script.ts"
import type { Start } from "./server.ts"

const { values } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } })
const seconds = Number(values.seconds ?? 120)
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000))
const print = (line: string) => process.stdout.write(`${line}\n`)

const clientId = "soak-client"
const clientSecret = `secret-${seed}-of-the-soak`

/** Runs of one phase, and how long its slowest may take. A run is over after its own time limit, its retries and the kill of its task. */
const runsOfPhase = 80
const patienceMillis = 60_000

// ---- what is promised ----

const broken: Array<string> = []
const promise = (isKept: boolean, what: () => string) => {
  if (!isKept) broken.push(what())
}

/** Each secret that no line and no error may have. */
const secrets = new Set([clientSecret])
let logged = ""
const warnings: Array<string> = []

const checkSecrets = (where: string, text: string) => {
  for (const secret of secrets) promise(!text.includes(secret), () => `${where} has a secret: ${text.slice(0, 300)}`)
}

const logger = Logger.make((options) => {
  const line = [printed(options.message), printed(options.cause)].join("\n")
  checkSecrets("a line of the log", line)
  logged += options.logLevel === "Warn" ? "w" : "."
  if (options.logLevel === "Warn") warnings.push(line)
})

// ---- what is run ----

const states = ["AK", "CA", "HI", "NY", "TX", "WY"]

const queryOf = (state: string): Query.QueryInput => ({
  model: "embedded",
  view: "airports",
  fields: ["airports.iata", "airports.city"],
  filters: { "airports.state": state },
  sorts: ["airports.iata"],
  limit: -1
})

type Format = "json" | "json_detail" | "csv"

/** The right rows, by state and format, from the calm phase. */
const right = new Map<string, string>()
const ends = new Map<string, number>()
const count = (end: string) => ends.set(end, (ends.get(end) ?? 0) + 1)

/** One use of the library; gives the rows that it got, by what was asked for. */
const oneUse = (random: () => number, formats: ReadonlyArray<Format>, isCalm: boolean) =>
  Effect.gen(function* () {
    const runner = yield* QueryRunner.QueryRunner
    const state = oneOf(random, states)
    const query = queryOf(state)
    const format = oneOf(random, formats)
    const options = {
      format,
      timeout: isCalm ? patienceMillis : 300 + Math.floor(3000 * random()),
      params: { cache: false }
    }
    const got = (rows: ReadonlyArray<unknown>, of = state) => [{ key: `${of} ${format}`, rows: JSON.stringify(rows) }]
    switch (oneOf(random, ["run", "run", "stream", "runAll", "steps"])) {
      case "run":
        return got((yield* runner.run(query, options)).rows)
      case "stream":
        return got(yield* Stream.runCollect(runner.stream(query, options)))
      case "runAll": {
        const all = [state, oneOf(random, states), oneOf(random, states)]
        const settings = { ...options, stopOnFailure: random() < 0.3 }
        const outcomes = yield* Stream.runCollect(runner.runAll(all.map(queryOf), settings))
        return outcomes.flatMap(({ index, result }) => {
          count(Result.isSuccess(result) ? "runAll: rows" : `runAll: ${result.failure._tag}`)
          if (Result.isFailure(result)) checkSecrets("an error", printed(result.failure))
          return Result.isSuccess(result) ? got(result.success.rows, all[index]) : []
        })
      }
      default: {
        const steps = yield* QueryTaskRun.QueryTaskRun
        return yield* steps.withTask(query, options, ({ taskId }) =>
          Effect.gen(function* () {
            const finished = yield* steps.wait(taskId, options)
            return got((yield* steps.rows(finished, { format })).rows)
          })
        )
      }
    }
  })

/** A use, interrupted now and then, accounted for. */
const oneRun = Effect.fnUntraced(function* (random: () => number, formats: ReadonlyArray<Format>, isCalm: boolean) {
  const interruptedAfter = !isCalm && random() < 0.15 ? Math.floor(2000 * random()) : undefined
  const fiber = yield* Effect.forkChild(oneUse(random, formats, isCalm))
  if (interruptedAfter !== undefined) {
    yield* Effect.forkChild(Effect.delay(Effect.asVoid(Effect.sync(() => fiber.interruptUnsafe())), interruptedAfter))
  }
  const exit = yield* Effect.timeoutOption(Fiber.await(fiber), patienceMillis)
  if (exit._tag === "None") {
    promise(false, () => `a run did not end within ${patienceMillis} ms`)
    return yield* Fiber.interrupt(fiber)
  }
  if (Exit.isSuccess(exit.value)) {
    count("rows")
    for (const { key, rows } of exit.value.value) {
      if (!right.has(key) && isCalm) right.set(key, rows)
      promise(right.get(key) === rows, () => `wrong rows of ${key}: ${rows.slice(0, 200)}`)
    }
    return
  }
  const { cause } = exit.value
  checkSecrets("an error", printed(cause))
  if (Cause.hasInterruptsOnly(cause)) {
    promise(interruptedAfter !== undefined, () => "a run was interrupted by nobody")
    return count("interrupted")
  }
  const error = Cause.findErrorOption(cause)
  promise(!isCalm, () => `a run failed although nothing went wrong: ${Cause.pretty(cause)}`)
  if (error._tag === "Some") count(error.value._tag)
  else promise(false, () => `a defect: ${Cause.pretty(cause)}`)
})

// ---- what is left ----

/** The tasks that still run when all runs have ended. Each has to be in a warning, by its id or by that of its query. */
const checkLeftBehind = Effect.gen(function* () {
  const tasks = yield* QueryTasks.QueryTasks
  const running = yield* Effect.retry(tasks.allRunningQueries, { times: 5 })
  for (const { query_id, query_task_id } of running) {
    const isReported = warnings.some(
      (line) => line.includes(String(query_task_id)) || new RegExp(`query ${query_id}\\b`).test(line)
    )
    promise(isReported, () => `task ${query_task_id} of query ${query_id} was left behind, and no warning names it`)
    count("left behind, reported")
    yield* Effect.ignore(tasks.killQuery(String(query_task_id)))
  }
})

const heapMb = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}

const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length

const childFibers = Effect.map(Metric.snapshot, (all) => {
  const active = all.find(({ id }) => id === "child_fibers_active")
  return active?.type === "Gauge" ? Number(active.state.value) : 0
})

// ---- the whole ----

const start: Start = { seed, clientId, clientSecret }
const server = fork(new URL("server.ts", import.meta.url), [JSON.stringify(start)], {
  execArgv: ["--conditions=effect-looker-source"]
})
const [baseUrl]: Array<string> = await once(server, "message")

const goTo = (phase: number) =>
  Effect.promise(() => {
    server.send(phase)
    return once(server, "message")
  })

/** Collects the tokens, so that they are known as secrets. */
const httpClient = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(
    HttpClient.HttpClient,
    HttpClient.tapRequest(({ headers }) =>
      Effect.sync(() => {
        const { authorization } = headers
        if (authorization !== undefined) secrets.add(authorization.replace("Bearer ", ""))
      })
    )
  )
).pipe(Layer.provide(NodeHttpClient.layerUndiciOptions({ connections: 32 })))

const policy = LookerPolicy.layer({
  grace: "2 seconds",
  cleanupTimeout: "3 seconds",
  retryAfterCap: "2 seconds",
  pollIntervalMax: "500 millis"
})

const looker = Looker.layer({
  baseUrl: baseUrl ?? "",
  clientId,
  clientSecret: Redacted.make(clientSecret),
  timeout: "2 seconds"
}).pipe(Layer.provide([httpClient, policy]))

let phases = 0
let runs = 0
const heap: Array<number> = []
const until = performance.now() + seconds * 1000

const soak = Effect.gen(function* () {
  while (performance.now() < until) {
    const phase = phaseOf(seed, phases)
    yield* goTo(phases)
    const random = randomOf(seed + phases)
    const formats: ReadonlyArray<Format> = phase.csv ? ["json", "json_detail", "csv"] : ["json", "json_detail"]
    if (phases === 0) {
      for (const state of states) {
        for (const format of formats) {
          const result = yield* QueryRunner.QueryRunner.use((runner) => runner.run(queryOf(state), { format }))
          right.set(`${state} ${format}`, JSON.stringify(result.rows))
        }
      }
    }
    yield* Effect.forEach(
      Array.from({ length: runsOfPhase }),
      () => Effect.delay(oneRun(random, formats, phases === 0), Math.floor(1000 * random())),
      { concurrency: "unbounded", discard: true }
    )
    runs += runsOfPhase
    yield* goTo(0)
    yield* checkLeftBehind
    heap.push(heapMb())
    phases++
  }
})

const observed = Layer.mergeAll(
  Logger.layer([logger]),
  Layer.succeed(References.MinimumLogLevel, "All"),
  Metric.enableRuntimeMetricsLayer
)

print(`seed ${seed}, ${seconds} s`)
const program = Effect.gen(function* () {
  yield* Effect.provide(soak, looker)
  const fibers = yield* childFibers
  promise(fibers === 0, () => `${fibers} fibers are left`)
})
const exit = await Effect.runPromiseExit(Effect.provide(program, observed))
if (Exit.isFailure(exit)) promise(false, () => `the soak itself failed: ${Cause.pretty(exit.cause)}`)

// Sockets that were told to close need a moment.
await new Promise((resolve) => setTimeout(resolve, 500))
promise(sockets() === 0, () => `${sockets()} sockets are left`)
server.kill()

const half = Math.floor(heap.length / 2)
const growth = (heap.at(-1) ?? 0) - (heap[half] ?? 0)
promise(growth < 30, () => `the heap grew by ${growth.toFixed(0)} MB in the second half`)

print(
  `${phases} phases, ${runs} runs, ${secrets.size - 1} tokens, ${logged.length} lines in the log, ${warnings.length} of them warnings`
)
for (const [end, times] of [...ends].sort(([, one], [, other]) => other - one))
  print(`${String(times).padStart(8)}  ${end}`)
print(`heap: ${heap.map((megabytes) => megabytes.toFixed(0)).join(" ")} MB`)
for (const what of [...new Set(broken)].slice(0, 20)) print(`BROKEN: ${what}`)
print(broken.length === 0 ? "no broken promise" : `${broken.length} broken promises with seed ${seed}`)
process.exitCode = broken.length === 0 ? 0 : 1
