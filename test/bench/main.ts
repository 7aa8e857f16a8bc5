/**
 * The benchmark: this library beside its peers, each in a process of its own, against a stub Looker in another.
 *
 * `npm run bench` runs all; `-- --only thousand,mixed` some; `-- --runs 5` each so often (3); `-- --short` is a form of seconds that
 * only checks that everything works. Exits with 1 when something broke, not when a figure is missed.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { parseArgs } from "node:util"
import { type ClientReport, type Job, now, type StubOptions, type StubStats } from "./protocol.ts"
import { type Contestant, type Metric, type Scenario, scenarios, shorten, type Target } from "./scenarios.ts"

const usualRuns = 3
/** After its deadline a client has so long to print its report. */
const graceMillis = 10_000

type Measures = Partial<Record<Metric, number>>

interface Run {
  readonly measures: Measures
  readonly errors: ReadonlyArray<string>
}

const print = (line = "") => process.stdout.write(`${line}\n`)

// ---- processes ----

const start = (file: string, argument: unknown): ChildProcess =>
  spawn(process.execPath, [...process.execArgv, new URL(file, import.meta.url).pathname, JSON.stringify(argument)], {
    stdio: ["ignore", "pipe", "inherit"]
  })

interface Stub {
  readonly baseUrl: string
  readonly reset: (seed: number) => Promise<unknown>
  readonly stats: () => Promise<StubStats>
  readonly stop: () => void
}

const startStub = async (options: StubOptions): Promise<Stub> => {
  const child = start("stub.ts", options)
  const [port] = await once(child.stdout ?? child, "data")
  const baseUrl = `http://127.0.0.1:${Number(port)}`
  return {
    baseUrl,
    reset: (seed) => fetch(`${baseUrl}/__reset?seed=${seed}`, { method: "POST" }),
    stats: async () => (await (await fetch(`${baseUrl}/__stats`)).json()) as StubStats,
    stop: () => child.kill()
  }
}

const runClient = async (contestant: Contestant, job: Job): Promise<ClientReport> => {
  const child = start(`clients/${contestant.file}.ts`, job)
  const timer = setTimeout(() => child.kill("SIGKILL"), job.deadlineMillis + graceMillis)
  let output = ""
  child.stdout?.on("data", (text) => {
    output += text
  })
  await once(child, "close")
  clearTimeout(timer)
  if (output === "") throw new Error(`${contestant.label} died`)
  return JSON.parse(output)
}

// ---- measures ----

const quantile = (values: ReadonlyArray<number>, part: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

/** The soonest that anybody can have all tasks done: two requests each, as early as the limit lets them through. */
const boundMillis = ({ limit }: Scenario["stub"], { tasks }: StubStats): number => {
  if (limit === undefined) return Number.NaN
  const ends = tasks.map(({ createdAt, doneAt }, index) => {
    const requestsBefore = 2 * (index + 1)
    return (Math.max(0, requestsBefore - limit.burst) / limit.perSecond) * 1000 + doneAt - createdAt
  })
  return Math.max(...ends)
}

/** The union of the pauses that the stub asked for: how long it is, and of how many parts. */
const paused = (pauses: StubStats["pauses"]) => {
  let millis = 0
  let count = 0
  let end = Number.NEGATIVE_INFINITY
  for (const { from, until } of pauses.toSorted((one, other) => one.from - other.from)) {
    if (from > end) count++
    millis += Math.max(0, until - Math.max(from, end))
    end = Math.max(end, until)
  }
  return { millis, count }
}

const measure = (scenario: Scenario, report: ClientReport, stats: StubStats): Run => {
  const { kind } = scenario.job
  const count = kind === "tasks" ? scenario.job.count : 1
  const tasks = new Map(stats.tasks.map((task) => [task.id, task]))
  const right = new Set<number>()
  const delivered = new Set<string>()
  const latencies: Array<number> = []
  const errors: Array<string> = []
  for (const { at, error, index, rows, taskId = "" } of report.deliveries) {
    const task = kind === "tasks" ? tasks.get(taskId) : stats.tasks[0]
    if (error !== undefined) errors.push(error)
    else if (kind === "local") right.add(index)
    else if (task === undefined || (kind !== "calls" && rows !== task.rows)) errors.push(`got ${rows} rows`)
    else if (right.has(index)) errors.push("delivered twice")
    else {
      right.add(index)
      delivered.add(task.id)
      latencies.push(at - task.doneAt)
    }
  }
  const open = count - right.size - errors.length
  if (open > 0) errors.push(`${open} had not ended at the deadline`)

  const { login = 0, logout = 0 } = stats.byEndpoint
  const orphans = stats.tasks.filter(({ id, killed }) => !killed && !delivered.has(id)).length
  const resultsAt = stats.tasks[0]?.resultsAt ?? Number.NaN
  const pauses = paused(stats.pauses)
  const { perPause = 0, perPausedMilli = 0 } = scenario.allowance ?? {}
  const wall = kind === "stream" ? (report.deliveries.at(-1)?.at ?? Number.NaN) - resultsAt : report.wallMillis
  return {
    errors,
    measures: {
      requestsPerTask: (stats.requests - login - logout) / count,
      p50: quantile(latencies, 0.5),
      p90: quantile(latencies, 0.9),
      p99: quantile(latencies, 0.99),
      logins: login,
      connections: stats.connections,
      cpuUser: report.cpuUserMillis,
      cpuPerRequestMicros: (1000 * (report.cpuUserMillis + report.cpuSystemMillis)) / scenario.job.count,
      rssMb: report.maxRssMb,
      growthMb: report.maxRssMb - report.startRssMb,
      failed: count - right.size + (errors.includes("delivered twice") ? 1 : 0),
      unexplainedOrphans: Math.max(0, orphans - stats.lostCreates),
      tooMany: stats.tooMany,
      tooManyPercent: (100 * stats.tooMany) / stats.requests,
      wall,
      pauses: pauses.count,
      paused: pauses.millis,
      wallBesidesPauses: wall - perPause * pauses.count - perPausedMilli * pauses.millis,
      wallToBound: wall / boundMillis(scenario.stub, stats),
      firstRow: (report.firstRowAt ?? Number.NaN) - resultsAt
    }
  }
}

/** Of these the worst run counts: a failure in one of three is a failure. */
const worstCounts: ReadonlySet<Metric> = new Set(["failed", "unexplainedOrphans"])

const figure = (runs: ReadonlyArray<Run>, metric: Metric): number =>
  quantile(
    runs.map(({ measures }) => measures[metric] ?? Number.NaN),
    worstCounts.has(metric) ? 1 : 0.5
  )

// ---- running ----

const runScenario = async (scenario: Scenario, runs: number): Promise<Map<Contestant, Array<Run>>> => {
  const results = new Map<Contestant, Array<Run>>(scenario.contestants.map((contestant) => [contestant, []]))
  const { refusals, ...calm } = scenario.stub
  const stubs = await Promise.all(
    scenario.contestants.map(({ isCalm }) => startStub({ ...calm, ...(refusals && !isCalm && { refusals }), seed: 1 }))
  )
  const runOne = async (contestant: Contestant, stub: Stub, seed: number) => {
    await stub.reset(seed)
    const { oneQuery = false, options = {} } = contestant
    const report = await runClient(contestant, { ...scenario.job, baseUrl: stub.baseUrl, oneQuery, options })
    results.get(contestant)?.push(measure(scenario, report, await stub.stats()))
  }
  try {
    for (let run = 1; run <= runs; run++) {
      const all = scenario.contestants.map((contestant, index) => async () => {
        const stub = stubs[index]
        if (stub !== undefined) await runOne(contestant, stub, run)
      })
      if (scenario.together) await Promise.all(all.map((one) => one()))
      else for (const one of all) await one()
    }
  } finally {
    for (const stub of stubs) stub.stop()
  }
  return results
}

// ---- printing ----

const headings: Readonly<Record<Metric, string>> = {
  requestsPerTask: "requests/task",
  p50: "p50 ms",
  p90: "p90 ms",
  p99: "p99 ms",
  logins: "logins",
  connections: "connections",
  cpuUser: "CPU user ms",
  cpuPerRequestMicros: "CPU us/request",
  rssMb: "RSS MB",
  growthMb: "growth MB",
  failed: "failed",
  unexplainedOrphans: "unexplained orphans",
  tooMany: "429s",
  tooManyPercent: "429 %",
  wall: "wall ms",
  pauses: "pauses",
  paused: "paused ms",
  wallBesidesPauses: "wall less allowance ms",
  wallToBound: "wall/bound",
  firstRow: "first row ms"
}

const fractions: Partial<Record<Metric, number>> = { requestsPerTask: 2, tooManyPercent: 1, wallToBound: 2 }

const show = (metric: Metric, value: number) => (Number.isNaN(value) ? "-" : value.toFixed(fractions[metric] ?? 0))

const printTable = (scenario: Scenario, results: Map<Contestant, Array<Run>>) => {
  const rows = [
    ["", ...scenario.columns.map((metric) => headings[metric])],
    ...scenario.contestants.map((contestant) => [
      contestant.label,
      ...scenario.columns.map((metric) => show(metric, figure(results.get(contestant) ?? [], metric)))
    ])
  ]
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows) {
    print(
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
    )
  }
}

/** The commonest first. */
const printErrors = (scenario: Scenario, results: Map<Contestant, Array<Run>>) => {
  for (const contestant of scenario.contestants) {
    const counts = new Map<string, number>()
    for (const error of (results.get(contestant) ?? []).flatMap(({ errors }) => errors)) {
      counts.set(error, (counts.get(error) ?? 0) + 1)
    }
    const most = [...counts].sort(([, a], [, b]) => b - a).slice(0, 2)
    for (const [error, count] of most) print(`  ${contestant.label}: ${count} x ${error}`)
  }
}

/** Whether the target is reached. */
const printTarget = (target: Target, results: Map<Contestant, Array<Run>>): boolean => {
  const { atMost, metric, of, than } = target
  const value = figure(results.get(of) ?? [], metric)
  const ratio = than === undefined ? value : value / figure(results.get(than) ?? [], metric)
  const shown = than === undefined ? show(metric, value) : `${ratio.toFixed(2)} x ${than.label}`
  const reached = ratio <= atMost
  print(`  ${reached ? "ok  " : "MISS"}  ${of.label}: ${headings[metric]} ${shown} (at most ${atMost})`)
  return reached
}

// ---- the whole ----

const { values } = parseArgs({
  options: { only: { type: "string" }, runs: { type: "string" }, short: { type: "boolean", default: false } }
})
const names = values.only?.split(",") ?? scenarios.map(({ name }) => name)
const unknown = names.filter((name) => !scenarios.some((scenario) => scenario.name === name))
if (unknown.length > 0)
  throw new Error(`No scenario ${unknown.join(", ")}: ${scenarios.map(({ name }) => name).join(", ")}`)

const runs = values.short ? 1 : Number(values.runs ?? usualRuns)
const startedAt = now()
let missed = 0
let broken = 0
for (const scenario of scenarios
  .filter(({ name }) => names.includes(name))
  .map((one) => (values.short ? shorten(one) : one))) {
  const results = await runScenario(scenario, runs)
  print(`\n${scenario.name}: ${scenario.title}${scenario.job.kind === "tasks" ? ` (${scenario.job.count} here)` : ""}`)
  printTable(scenario, results)
  printErrors(scenario, results)
  if (!values.short) {
    for (const target of scenario.targets) if (!printTarget(target, results)) missed++
  }
  for (const [{ file, label }, of] of results) {
    if (file !== "effectLooker" || figure(of, "failed") === 0) continue
    print(`  ${label} failed`)
    broken++
  }
}
print(
  `\n${Math.round((now() - startedAt) / 1000)} s, ${values.short ? "" : `${missed} figures missed, `}${broken} broken`
)
if (broken > 0) process.exitCode = 1
