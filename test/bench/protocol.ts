/**
 * What the processes of the benchmark tell each other: the harness starts a stub Looker and a client, each with a JSON on its
 * command line.
 */
import type { LookerPolicy } from "effect-looker"

/** How the stub Looker behaves. */
export interface StubOptions {
  /** Of every random choice below. The nth task of a run lasts as long whoever created it. */
  readonly seed: number
  /** Lognormal. With `sigma: 0` every task lasts `medianMillis`. */
  readonly durations: { readonly medianMillis: number; readonly sigma: number; readonly capMillis: number }
  readonly rows: number
  /** Every nth result has so many rows. */
  readonly large?: { readonly every: number; readonly rows: number }
  /** Bodies are sent no faster, on each connection. */
  readonly bytesPerSecond?: number
  /** Token bucket, for all requests but logins: 429 with `Retry-After` in whole seconds when it is empty. */
  readonly limit?: { readonly perSecond: number; readonly burst: number }
  /** 429 without a limit: for this part of all requests but logins, or for every nth request that creates something. */
  readonly refusals?: { readonly retryAfterSeconds: number } & (
    | { readonly part: number }
    | { readonly everyCreate: number }
  )
  /** The part of requests that end as 502, 503 or a reset: half of them before the work is done, half after it. */
  readonly faults?: number
  /** Tokens are refused after `lifeMillis`, which is what a login announces, unless they are to be revoked before. */
  readonly tokens?: { readonly lifeMillis: number; readonly revoked: boolean }
}

/** What the stub tells of a run. Times are milliseconds since the epoch, with fractions, comparable between processes. */
export interface StubStats {
  readonly requests: number
  readonly byEndpoint: Readonly<Record<string, number>>
  readonly connections: number
  readonly tooMany: number
  /** From each 429 to the end of its `Retry-After`. */
  readonly pauses: ReadonlyArray<{ readonly from: number; readonly until: number }>
  readonly faults: number
  /** Tasks whose creator never received the id, because of a fault. */
  readonly lostCreates: number
  readonly tasks: ReadonlyArray<StubTask>
}

export interface StubTask {
  readonly id: string
  readonly queryId: string
  readonly createdAt: number
  readonly doneAt: number
  readonly rows: number
  killed: boolean
  /** When the first byte of its `/results` was sent. */
  resultsAt?: number
}

/** What a client has to do. */
export interface Job {
  readonly baseUrl: string
  /** Run so many tasks, call `query_task` so often, read one result of many rows as a stream, or do so much without a Looker. */
  readonly kind: "tasks" | "calls" | "stream" | "local"
  readonly count: number
  /** Whatever has not ended by then has failed. */
  readonly deadlineMillis: number
  /** One query body for all tasks. */
  readonly oneQuery?: boolean
  readonly options: ClientOptions
}

/** What makes two clients out of one file. */
export interface ClientOptions {
  readonly pollMillis?: number
  readonly chunk?: number
  /** Ask about ids that are in no open request, instead of one round after another. */
  readonly overlap?: boolean
  /** How often a request may be sent. */
  readonly tries?: number
  /** How many queries and tasks are being created at a time. */
  readonly submitters?: number
  /** How many queries run at a time; all, unless it is set. */
  readonly atATime?: number
  readonly http?: "undici" | "fetch"
  /** Of a client without a Looker: which of the two ways that are compared. */
  readonly plain?: boolean
  /** A number of 16 or 17 digits in each row. */
  readonly doubles?: boolean
  readonly policy?: Pick<
    LookerPolicy.Options,
    "chunkSize" | "pollInterval" | "pollIntervalMax" | "pollRequestsPerSecond" | "lostAnswer"
  >
}

/** One of the job's queries has ended. */
export interface Delivery {
  readonly index: number
  readonly taskId?: string
  readonly at: number
  readonly rows: number
  readonly error?: string
}

/** The line a client prints. */
export interface ClientReport {
  readonly deliveries: ReadonlyArray<Delivery>
  readonly wallMillis: number
  /** From the start of the job: neither start-up nor imports. */
  readonly cpuUserMillis: number
  readonly cpuSystemMillis: number
  readonly maxRssMb: number
  /** What the process had taken before the job. */
  readonly startRssMb: number
  readonly firstRowAt?: number
}

/** Milliseconds since the epoch, the same in every process of a machine. */
export const now = (): number => performance.timeOrigin + performance.now()

/** Credentials the stub takes; it takes any. */
export const credentials = { clientId: "bench", clientSecret: "secret" }

/** The nth query of a job. */
export const queryOf = (job: Job, index: number) => ({
  model: "thelook",
  view: "orders",
  fields: ["orders.id", "orders.created_date", "users.email", "users.state", "orders.total"],
  filters: { "orders.created_date": "7 days", "orders.batch": job.oneQuery ? "0" : String(index) },
  sorts: ["orders.created_date desc"],
  limit: "500"
})
