/**
 * The jobs of the benchmark: how the stub Looker behaves, who takes part, and which figures this library has to reach.
 */
import type { ClientOptions, Job, StubOptions } from "./protocol.ts"

/** What is measured of a run. Times are in milliseconds, except where the name says otherwise. */
export type Metric =
  | "requestsPerTask"
  | "p50"
  | "p90"
  | "p99"
  | "logins"
  | "connections"
  | "cpuUser"
  | "cpuPerRequestMicros"
  | "rssMb"
  | "growthMb"
  | "failed"
  | "unexplainedOrphans"
  | "tooMany"
  | "tooManyPercent"
  | "wall"
  | "wallToBound"
  | "pauses"
  | "paused"
  | "wallBesidesPauses"
  | "firstRow"

export interface Contestant {
  readonly label: string
  readonly file: string
  readonly options?: ClientOptions
  readonly oneQuery?: boolean
  /** Its stub refuses nothing without a limit. */
  readonly isCalm?: boolean
}

/** `atMost` of the unit, or as a multiple of what the contestant `than` has. */
export interface Target {
  readonly of: Contestant
  readonly metric: Metric
  readonly atMost: number
  readonly than?: Contestant
}

export interface Scenario {
  readonly name: string
  readonly title: string
  readonly stub: Omit<StubOptions, "seed">
  readonly job: Pick<Job, "kind" | "count" | "deadlineMillis">
  readonly contestants: ReadonlyArray<Contestant>
  /** The contestants run at the same time, each against a stub of its own: for what does not measure times. */
  readonly together?: boolean
  /** What `wallBesidesPauses` leaves out of the wall time: milliseconds for each pause, and for each millisecond of one. */
  readonly allowance?: { readonly perPause?: number; readonly perPausedMilli: number }
  readonly columns: ReadonlyArray<Metric>
  readonly targets: ReadonlyArray<Target>
}

const second = 1000
const megabyte = 1_000_000

// ---- who takes part ----

const ours = "effectLooker"

/** Rounds every 0.1 s whatever they cost, in requests as large as a URL allows. */
const eagerPolicy: NonNullable<ClientOptions["policy"]> = {
  chunkSize: 250,
  pollInterval: "100 millis",
  pollIntervalMax: "100 millis",
  pollRequestsPerSecond: 1_000_000
}

const eager: Contestant = { label: "ours, eager", file: ours, options: { policy: eagerPolicy } }
const eagerOneQuery: Contestant = { ...eager, label: "ours, eager, one query", oneQuery: true }
const byDefault: Contestant = { label: "ours", file: ours }
const fifteen: Contestant = { label: "ours, 15 at a time", file: ours, options: { atATime: 15 } }
const forty: Contestant = { label: "ours, 40 at a time", file: ours, options: { atATime: 40 } }
const onFetch: Contestant = { label: "ours on fetch", file: ours, options: { http: "fetch" } }

const sdkLoop: Contestant = { label: "SDK loop", file: "sdkLoop" }
const sdkLoopTenTries: Contestant = { label: "SDK loop, 10 tries", file: "sdkLoop", options: { tries: 10 } }
const sdkMulti: Contestant = { label: "SDK multi 0.5 s", file: "sdkMulti" }
const sdkMultiTenTries: Contestant = {
  label: "SDK multi, 10 tries",
  file: "sdkMulti",
  options: { tries: 10, submitters: 10 }
}
const fetchBatched: Contestant = { label: "fetch batched 0.1 s", file: "fetchBatched" }
const fetchOverlapping: Contestant = {
  label: "fetch overlapping tens",
  file: "fetchBatched",
  options: { chunk: 10, overlap: true }
}
const fetchPatient: Contestant = {
  label: "fetch batched 0.5 s, waits on 429",
  file: "fetchBatched",
  options: { pollMillis: 500, tries: 1000, submitters: 4 }
}
const fetchNaive: Contestant = { label: "fetch naive", file: "fetchBatched", options: { submitters: 1000 } }
const fetchFifteen: Contestant = {
  label: "fetch batched 0.5 s, 15 submitters",
  file: "fetchBatched",
  options: { pollMillis: 500, tries: 1000, submitters: 15 }
}
/** The same where nothing is refused. */
const calm = (contestant: Contestant): Contestant => ({
  ...contestant,
  label: `${contestant.label}, none refused`,
  isCalm: true
})
const effectHttp: Contestant = { label: "Effect's HttpClient on undici", file: "effectHttp" }
const undiciBatched: Contestant = { label: "undici batched 0.1 s", file: "undiciBatched" }

// ---- how Looker behaves ----

const usual = { durations: { medianMillis: 2 * second, sigma: 1, capMillis: 20 * second }, rows: 10 }
const limit = { perSecond: 100, burst: 100 }
const faults = 0.01
const tokenLifeMillis = 5 * second
const steady = (millis: number) => ({ medianMillis: millis, sigma: 0, capMillis: millis })

// ---- jobs ----

const thousand: Scenario = {
  name: "thousand",
  title: "1,000 tasks at once",
  stub: usual,
  job: { kind: "tasks", count: 1000, deadlineMillis: 60 * second },
  contestants: [eager, eagerOneQuery, byDefault, sdkLoop, sdkMulti, fetchBatched, undiciBatched],
  columns: ["requestsPerTask", "p50", "p99", "logins", "connections", "cpuUser", "rssMb", "wall", "failed"],
  targets: [
    { of: eager, metric: "requestsPerTask", atMost: 2.35 },
    { of: eager, metric: "p50", atMost: 60 },
    { of: eager, metric: "p99", atMost: 130 },
    { of: eager, metric: "cpuUser", atMost: 1.3, than: fetchBatched },
    { of: eager, metric: "rssMb", atMost: 1.3, than: fetchBatched },
    { of: eager, metric: "logins", atMost: 1 },
    { of: eager, metric: "connections", atMost: 64 },
    { of: eagerOneQuery, metric: "requestsPerTask", atMost: 1.4 },
    { of: byDefault, metric: "requestsPerTask", atMost: 2.45 },
    { of: byDefault, metric: "p50", atMost: 130 },
    { of: byDefault, metric: "p99", atMost: 450 }
  ]
}

const mixed: Scenario = {
  name: "mixed",
  title: "100 tasks at once, every 25th result of 50,000 rows, bodies at 10 MB/s",
  stub: { ...usual, large: { every: 25, rows: 50_000 }, bytesPerSecond: 10 * megabyte },
  job: { kind: "tasks", count: 100, deadlineMillis: 60 * second },
  contestants: [byDefault, sdkLoop, sdkMulti, fetchBatched, fetchOverlapping],
  columns: ["requestsPerTask", "p50", "p90", "cpuUser", "rssMb", "wall", "failed"],
  targets: [
    { of: byDefault, metric: "p50", atMost: 150 },
    { of: byDefault, metric: "p90", atMost: 400 },
    { of: byDefault, metric: "requestsPerTask", atMost: 3 }
  ]
}

const ten: Scenario = {
  name: "ten",
  title: "10 tasks at once",
  stub: usual,
  job: { kind: "tasks", count: 10, deadlineMillis: 60 * second },
  contestants: [byDefault, sdkLoop, sdkMulti],
  together: true,
  columns: ["requestsPerTask", "p50", "p99", "failed"],
  targets: [
    { of: byDefault, metric: "requestsPerTask", atMost: 8 },
    { of: byDefault, metric: "p99", atMost: 250 }
  ]
}

const limited: Scenario = {
  name: "limit",
  title: "100 tasks under a limit of 100 requests/s",
  stub: { ...usual, limit },
  job: { kind: "tasks", count: 100, deadlineMillis: 60 * second },
  contestants: [byDefault, sdkLoop, fetchNaive, sdkMultiTenTries, fetchPatient],
  together: true,
  columns: ["failed", "requestsPerTask", "tooMany", "tooManyPercent", "p50", "p99", "wall"],
  targets: [
    { of: byDefault, metric: "failed", atMost: 0 },
    { of: byDefault, metric: "requestsPerTask", atMost: 2.5 },
    { of: byDefault, metric: "tooManyPercent", atMost: 5 },
    { of: byDefault, metric: "p50", atMost: 200 },
    { of: byDefault, metric: "p99", atMost: 600 }
  ]
}

const thousandLimited: Scenario = {
  name: "thousand-limit",
  title: "1,000 tasks under a limit of 100 requests/s",
  stub: { ...usual, limit },
  job: { kind: "tasks", count: 1000, deadlineMillis: 90 * second },
  contestants: [byDefault, sdkLoop, sdkLoopTenTries, sdkMultiTenTries, fetchPatient],
  together: true,
  columns: ["failed", "requestsPerTask", "tooMany", "wall", "wallToBound", "p50", "p99"],
  targets: [
    { of: byDefault, metric: "failed", atMost: 0 },
    { of: byDefault, metric: "wallToBound", atMost: 1.1 },
    { of: byDefault, metric: "wall", atMost: 1, than: fetchPatient },
    { of: byDefault, metric: "p50", atMost: 1, than: fetchPatient },
    { of: byDefault, metric: "p99", atMost: 1, than: fetchPatient },
    { of: byDefault, metric: "tooMany", atMost: 34 }
  ]
}

const tightLimited: Scenario = {
  name: "tight-limit",
  title: "200 tasks of 0.2 s under a limit of 20 requests/s",
  stub: { durations: steady(200), rows: 10, limit: { perSecond: 20, burst: 20 } },
  job: { kind: "tasks", count: 200, deadlineMillis: 90 * second },
  contestants: [byDefault, fifteen, sdkMultiTenTries, fetchPatient],
  together: true,
  columns: ["failed", "requestsPerTask", "tooMany", "wall", "p50", "p99"],
  targets: [byDefault, fifteen].flatMap(
    (of): ReadonlyArray<Target> => [
      { of, metric: "failed", atMost: 0 },
      { of, metric: "wall", atMost: 1.05, than: fetchPatient },
      { of, metric: "p50", atMost: 1, than: fetchPatient },
      { of, metric: "p99", atMost: 1, than: fetchPatient }
    ]
  )
}

const strayRefusals: Scenario = {
  name: "stray-refusals",
  title: "200 tasks of 0.2 s, 1 % of requests refused for 1 s without a limit",
  stub: { durations: steady(200), rows: 10, refusals: { part: 0.01, retryAfterSeconds: 1 } },
  job: { kind: "tasks", count: 200, deadlineMillis: 90 * second },
  contestants: [fifteen, calm(fifteen), forty, calm(forty), sdkMultiTenTries, fetchFifteen],
  together: true,
  allowance: { perPausedMilli: 1, perPause: second / 2 },
  columns: ["failed", "requestsPerTask", "tooMany", "wall", "pauses", "paused", "wallBesidesPauses", "p50", "p99"],
  targets: []
}

const refusedCreates: Scenario = {
  name: "refused-creates",
  title: "40 tasks of 0.2 s, every tenth create refused for 2 s",
  stub: { durations: steady(200), rows: 10, refusals: { everyCreate: 10, retryAfterSeconds: 2 } },
  job: { kind: "tasks", count: 40, deadlineMillis: 90 * second },
  contestants: [byDefault, calm(byDefault), sdkMultiTenTries, fetchPatient],
  together: true,
  allowance: { perPausedMilli: 1.3 },
  columns: ["failed", "requestsPerTask", "tooMany", "wall", "pauses", "paused", "wallBesidesPauses"],
  targets: []
}

/** What refusals cost may not be more than the scenario allows. */
const withinAllowance = (scenario: Scenario, ...contestants: ReadonlyArray<Contestant>): Scenario => ({
  ...scenario,
  targets: contestants.flatMap((of) => {
    const than = scenario.contestants.find(({ label }) => label === calm(of).label)
    return than === undefined
      ? []
      : [
          { of, metric: "failed", atMost: 0 },
          { of, metric: "wallBesidesPauses", atMost: 1, than }
        ]
  })
})

const faulty: Scenario = {
  name: "faults",
  title: "200 tasks, 1 % of requests 502, 503 or a reset",
  stub: { ...usual, faults },
  job: { kind: "tasks", count: 200, deadlineMillis: 60 * second },
  contestants: [byDefault, sdkLoop, sdkLoopTenTries],
  together: true,
  columns: ["failed", "unexplainedOrphans", "requestsPerTask", "p50", "wall"],
  targets: [
    { of: byDefault, metric: "failed", atMost: 0 },
    { of: byDefault, metric: "unexplainedOrphans", atMost: 0 }
  ]
}

/** So that a run ends within four lives of a token. */
const withinFourTokens = { ...usual.durations, capMillis: 15 * second }

const tokens = (name: string, title: string, revoked: boolean): Scenario => ({
  name,
  title,
  stub: { ...usual, durations: withinFourTokens, tokens: { lifeMillis: tokenLifeMillis, revoked } },
  job: { kind: "tasks", count: 200, deadlineMillis: 40 * second },
  contestants: [byDefault, sdkLoop, sdkMulti],
  together: true,
  columns: ["failed", "logins", "requestsPerTask", "p50", "wall"],
  targets: [
    { of: byDefault, metric: "failed", atMost: 0 },
    { of: byDefault, metric: "logins", atMost: 4 }
  ]
})

const everything: Scenario = {
  name: "everything",
  title: "200 tasks, limit, faults and revoked tokens at once",
  stub: { ...usual, limit, faults, tokens: { lifeMillis: tokenLifeMillis, revoked: true } },
  job: { kind: "tasks", count: 200, deadlineMillis: 60 * second },
  contestants: [byDefault, sdkLoop, sdkLoopTenTries],
  together: true,
  columns: ["failed", "unexplainedOrphans", "logins", "tooMany", "requestsPerTask", "wall"],
  targets: [
    { of: byDefault, metric: "failed", atMost: 0 },
    { of: byDefault, metric: "unexplainedOrphans", atMost: 0 }
  ]
}

const calls: Scenario = {
  name: "calls",
  title: "query_task 5,000 times, one after another",
  stub: { ...usual, durations: steady(3600 * second) },
  job: { kind: "calls", count: 5000, deadlineMillis: 60 * second },
  contestants: [byDefault, onFetch, sdkLoop, effectHttp, fetchBatched, undiciBatched],
  columns: ["cpuPerRequestMicros", "wall", "failed"],
  targets: [
    { of: byDefault, metric: "cpuPerRequestMicros", atMost: 0.65, than: sdkLoop },
    { of: byDefault, metric: "cpuPerRequestMicros", atMost: 1.35, than: effectHttp },
    { of: onFetch, metric: "cpuPerRequestMicros", atMost: 1.1, than: sdkLoop }
  ]
}

const sdkBuffered: Contestant = { ...sdkLoop, label: "SDK, buffered" }
const fetchRows: Contestant = { ...fetchBatched, label: "row stream on fetch" }
const undiciRows: Contestant = { ...undiciBatched, label: "row stream on undici" }

const streamed: Scenario = {
  name: "stream",
  title: "one result of 500,000 rows (150 MB) as JSON",
  stub: { ...usual, durations: steady(100), rows: 500_000 },
  job: { kind: "stream", count: 1, deadlineMillis: 60 * second },
  contestants: [byDefault, sdkBuffered, fetchRows, undiciRows],
  columns: ["wall", "firstRow", "cpuUser", "rssMb", "growthMb", "failed"],
  targets: [
    { of: byDefault, metric: "wall", atMost: 1.3, than: fetchRows },
    { of: byDefault, metric: "firstRow", atMost: 50 },
    { of: byDefault, metric: "rssMb", atMost: 150 },
    { of: byDefault, metric: "growthMb", atMost: 60 }
  ]
}

const huge: Scenario = {
  ...streamed,
  name: "huge",
  title: "one result of 2,500,000 rows (750 MB) as JSON",
  stub: { ...streamed.stub, rows: 2_500_000 },
  targets: [
    { of: byDefault, metric: "failed", atMost: 0 },
    { of: byDefault, metric: "rssMb", atMost: 150 },
    { of: byDefault, metric: "growthMb", atMost: 60 }
  ]
}

const exactly: Contestant = { label: "exact numbers", file: "parsing" }
const byJsonParse: Contestant = { label: "JSON.parse", file: "parsing", options: { plain: true } }
const doublesExactly: Contestant = {
  label: "exact numbers, a long double a row",
  file: "parsing",
  options: { doubles: true }
}
const doublesByJsonParse: Contestant = {
  label: "JSON.parse, a long double a row",
  file: "parsing",
  options: { doubles: true, plain: true }
}

const parsed: Scenario = {
  name: "parsing",
  title: "500,000 rows (150 MB) of JSON parsed",
  stub: usual,
  job: { kind: "local", count: 500_000, deadlineMillis: 60 * second },
  contestants: [exactly, byJsonParse, doublesExactly, doublesByJsonParse],
  columns: ["cpuUser", "wall", "failed"],
  targets: [
    { of: exactly, metric: "cpuUser", atMost: 1.15, than: byJsonParse },
    { of: doublesExactly, metric: "cpuUser", atMost: 2, than: doublesByJsonParse }
  ]
}

const observed: Contestant = { label: "runAll with onProgress", file: "progress" }
const unobserved: Contestant = { label: "runAll without", file: "progress", options: { plain: true } }

const progress: Scenario = {
  name: "progress",
  title: "16,000 queries that end at once, 1,000 at a time",
  stub: { durations: steady(0), rows: 1 },
  job: { kind: "local", count: 16_000, deadlineMillis: 90 * second },
  contestants: [observed, unobserved],
  columns: ["cpuUser", "wall", "failed"],
  targets: [{ of: observed, metric: "cpuUser", atMost: 1.1, than: unobserved }]
}

export const scenarios: ReadonlyArray<Scenario> = [
  thousand,
  mixed,
  ten,
  limited,
  thousandLimited,
  tightLimited,
  withinAllowance(strayRefusals, fifteen, forty),
  withinAllowance(refusedCreates, byDefault),
  faulty,
  tokens("revoked", "200 tasks, tokens revoked after 5 s", true),
  tokens("expiring", "200 tasks, tokens that live 5 s", false),
  everything,
  calls,
  streamed,
  huge,
  parsed,
  progress
]

const shortContestants = 3

/** The same job in about a second, for the first few: enough to see that everything works. */
export const shorten = (scenario: Scenario): Scenario => {
  const { job, stub } = scenario
  const { medianMillis, sigma } = stub.durations
  return {
    ...scenario,
    together: true,
    contestants: scenario.contestants.slice(0, shortContestants),
    job: { ...job, count: Math.min(job.count, job.kind === "calls" ? 100 : 30), deadlineMillis: 10 * second },
    stub: {
      ...stub,
      durations: sigma === 0 ? stub.durations : { medianMillis: medianMillis / 10, sigma, capMillis: second },
      rows: Math.min(stub.rows, 5000),
      ...(stub.large && { large: { every: 10, rows: 2000 } }),
      ...(stub.refusals && { refusals: { ...stub.refusals, retryAfterSeconds: 1 } }),
      ...(stub.tokens && { tokens: { ...stub.tokens, lifeMillis: second } })
    }
  }
}
