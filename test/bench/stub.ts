/**
 * A stub Looker of plain `node:http` for the benchmark, in a process of its own: as fast as possible, slow and faulty as asked.
 *
 * Prints its port. `GET /__stats` tells what happened, `POST /__reset?seed=N` starts afresh; neither is counted.
 */
import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { now, type StubOptions, type StubStats, type StubTask } from "./protocol.ts"

const options: StubOptions = JSON.parse(process.argv[2] ?? "{}")

const apiPath = "/api/4.0"
const rowsPerBlock = 500
const usualTokenLife = 3_600_000
const userId = "1"
const idleConnectionMillis = 120_000

// ---- random ----

/** mulberry32: numbers from 0 to 1. */
const randomOf = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const durationFrom = (random: () => number): number => {
  const { capMillis, medianMillis, sigma } = options.durations
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return Math.min(capMillis, medianMillis * Math.exp(sigma * normal))
}

// ---- results ----

/** About 300 bytes. */
const rowText = (id: number) =>
  JSON.stringify({
    "orders.id": 10_000_000 + id,
    "orders.created_date": `2024-0${1 + (id % 9)}-1${id % 10}`,
    "users.email": `customer.${id}@example.com`,
    "users.state": ["California", "New York", "Texas", "Île-de-France"][id % 4],
    "users.is_active": id % 3 === 0,
    "orders.total": id * 1.25 + 0.01,
    "orders.discount": null,
    "orders.note": `said "leave it at the [back] door", {twice}, and went on to say ${"so ".repeat(18)}`
  })

const rowsText = (count: number) => Array.from({ length: count }, (_, index) => rowText(index)).join(",")

const block = Buffer.from(rowsText(rowsPerBlock))
const comma = Buffer.from(",")

/** The JSON of a result, the same block of rows over and over. */
function* resultOf(rows: number): Generator<Buffer> {
  yield Buffer.from("[")
  for (let sent = 0; sent < rows; sent += rowsPerBlock) {
    if (sent > 0) yield comma
    yield rows - sent >= rowsPerBlock ? block : Buffer.from(rowsText(rows - sent))
  }
  yield Buffer.from("]")
}

const usualResult = Buffer.concat([...resultOf(options.rows <= rowsPerBlock ? options.rows : 0)])

const resultChunks = (task: StubTask): Iterable<Buffer> =>
  task.rows === options.rows && options.rows <= rowsPerBlock ? [usualResult] : resultOf(task.rows)

// ---- state ----

interface State {
  readonly stats: { -readonly [Key in keyof StubStats]: StubStats[Key] } & {
    byEndpoint: Record<string, number>
    pauses: Array<StubStats["pauses"][number]>
    tasks: Array<StubTask>
  }
  readonly queries: Map<string, string>
  readonly tasks: Map<string, StubTask>
  readonly tokens: Map<string, number>
  readonly connections: WeakSet<Socket>
  readonly seed: number
  readonly duration: () => number
  readonly chance: () => number
  readonly allowance: { tokens: number; at: number }
  readonly counts: { creates: number }
}

const fresh = (seed: number): State => {
  const forDurations = randomOf(seed)
  return {
    stats: {
      requests: 0,
      byEndpoint: {},
      connections: 0,
      tooMany: 0,
      pauses: [],
      faults: 0,
      lostCreates: 0,
      tasks: []
    },
    queries: new Map(),
    tasks: new Map(),
    tokens: new Map(),
    connections: new WeakSet(),
    seed,
    duration: () => durationFrom(forDurations),
    chance: randomOf(seed + 1_000_000),
    allowance: { tokens: options.limit?.burst ?? 0, at: now() },
    counts: { creates: 0 }
  }
}

let state = fresh(options.seed)

// ---- endpoints ----

interface Answer {
  readonly status: number
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Iterable<Buffer>
  /** Of `/results`: whose. */
  readonly task?: StubTask
}

const json = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  type: "application/json",
  headers,
  body: [Buffer.from(JSON.stringify(body))]
})

const problem = (status: number, message: string, headers?: Readonly<Record<string, string>>) =>
  json({ message, documentation_url: "https://cloud.google.com/looker/docs/" }, status, headers)

const notFound = problem(404, "Not found")

const login = (): Answer => {
  const { lifeMillis, revoked } = options.tokens ?? { lifeMillis: usualTokenLife, revoked: false }
  const access_token = `token-${state.tokens.size + 1}`
  state.tokens.set(access_token, now() + lifeMillis)
  const expires_in = Math.floor((revoked ? usualTokenLife : lifeMillis) / 1000)
  return json({ access_token, token_type: "Bearer", expires_in })
}

const createQuery = (body: string): Answer => {
  const id = state.queries.get(body) ?? String(state.queries.size + 1)
  state.queries.set(body, id)
  const can = { run: true, see_results: true, explore: true }
  return json({ can, id, slug: `slug${id}`, client_id: `client${id}`, ...JSON.parse(body), url: `/explore/q/${id}` })
}

const taskBody = (task: StubTask, status: string) => ({
  can: { index: true, show: true, kill: true, see_results: true },
  id: task.id,
  query_id: task.queryId,
  generate_links: true,
  force_production: false,
  path_prefix: "/explore",
  cache: false,
  server_table_calcs: true,
  cache_only: false,
  cache_key: null,
  status,
  source: "api",
  runtime: null,
  rebuild_pdts: false,
  result_source: null,
  look_id: null,
  dashboard_id: null,
  result_format: "json"
})

/** Of the projections a client may ask for, the one that is asked for: `fields=id`. */
const createTask = (query: string, body: string): Answer => {
  const number = state.stats.tasks.length + 1
  const createdAt = now()
  const { large } = options
  const task: StubTask = {
    id: createHash("md5").update(`${state.seed}-${number}`).digest("hex"),
    queryId: String(JSON.parse(body).query_id),
    createdAt,
    doneAt: createdAt + state.duration(),
    rows: large !== undefined && number % large.every === 0 ? large.rows : options.rows,
    killed: false
  }
  state.tasks.set(task.id, task)
  state.stats.tasks.push(task)
  return json(new URLSearchParams(query).get("fields") === "id" ? { id: task.id } : taskBody(task, "added"))
}

const statusOf = (task: StubTask) => (task.killed ? "killed" : now() >= task.doneAt ? "complete" : "running")

function* multiResultsBody(ids: ReadonlyArray<string>): Generator<Buffer> {
  let text = "{"
  for (const [index, id] of ids.entries()) {
    const task = state.tasks.get(id)
    const status = task === undefined ? "missing" : statusOf(task)
    text += `${index > 0 ? "," : ""}"${id}":{"status":"${status}"`
    if (task !== undefined && status === "complete") {
      yield Buffer.from(`${text},"result_source":"query","data":`)
      yield* resultChunks(task)
      text = ""
    }
    text += "}"
  }
  yield Buffer.from(`${text}}`)
}

/** Looker does not keep to the order of the request. */
const multiResults = (query: string): Answer => {
  const ids = (new URLSearchParams(query).get("query_task_ids") ?? "").split(",").sort()
  const isLarge = ids.some((id) => (state.tasks.get(id)?.rows ?? 0) > rowsPerBlock)
  const body = multiResultsBody(ids)
  return { status: 200, type: "application/json", body: isLarge ? body : [...body] }
}

const results = (task: StubTask): Answer =>
  statusOf(task) === "complete"
    ? { status: 200, type: "application/json", body: resultChunks(task), task }
    : { status: 202, type: "text/plain", body: [Buffer.from("The query is not finished")] }

const runningQueries = (): Answer =>
  json(
    state.stats.tasks
      .filter((task) => statusOf(task) === "running")
      .map((task) => ({
        id: task.id,
        user: { id: userId },
        created_at: new Date(task.createdAt).toISOString(),
        query_id: task.queryId,
        query_task_id: task.id
      }))
  )

const kill = (task: StubTask): Answer => {
  if (now() >= task.doneAt) return notFound
  task.killed = true
  return { status: 204 }
}

/** The endpoint's name, and the answer once the request has been let in. */
const route = (method: string, path: string, query: string, body: string): [string, () => Answer] => {
  if (path === "/query_tasks/multi_results") return ["multi_results", () => multiResults(query)]
  const [, resource, id = "", part] = path.split("/")
  const withTask = (use: (task: StubTask) => Answer) => () => {
    const task = state.tasks.get(id)
    return task === undefined ? notFound : use(task)
  }
  if (method === "POST" && resource === "login") return ["login", login]
  if (method === "DELETE" && resource === "logout") return ["logout", () => ({ status: 204 })]
  if (method === "POST" && resource === "queries") return ["create_query", () => createQuery(body)]
  if (method === "POST" && resource === "query_tasks") return ["create_query_task", () => createTask(query, body)]
  if (method === "GET" && resource === "query_tasks" && part === "results") return ["results", withTask(results)]
  if (method === "GET" && resource === "query_tasks") {
    return ["query_task", withTask((task) => json(taskBody(task, statusOf(task))))]
  }
  if (method === "GET" && resource === "running_queries") return ["all_running_queries", runningQueries]
  if (method === "GET" && resource === "user") return ["me", () => json({ id: userId })]
  if (method === "DELETE" && resource === "running_queries") return ["kill_query", withTask(kill)]
  return ["unknown", () => notFound]
}

// ---- gates ----

/** Seconds to wait, in whole ones; undefined for a request within the limit. */
const overLimit = (): number | undefined => {
  if (options.limit === undefined) return undefined
  const { burst, perSecond } = options.limit
  const { allowance } = state
  const at = now()
  allowance.tokens = Math.min(burst, allowance.tokens + ((at - allowance.at) / 1000) * perSecond)
  allowance.at = at
  if (allowance.tokens < 1) return Math.ceil((1 - allowance.tokens) / perSecond)
  allowance.tokens--
  return undefined
}

/** Seconds to wait after a refusal that no limit is the reason of. */
const refusal = (method: string): number | undefined => {
  const { refusals } = options
  if (refusals === undefined) return undefined
  const isRefused =
    "part" in refusals
      ? state.chance() < refusals.part
      : method === "POST" && ++state.counts.creates % refusals.everyCreate === 0
  return isRefused ? refusals.retryAfterSeconds : undefined
}

const isLoggedIn = (authorization: string | undefined) =>
  (state.tokens.get((authorization ?? "").replace(/^(Bearer|token) /i, "")) ?? 0) > now()

type Fault = { readonly kind: 502 | 503 | "reset"; readonly afterWork: boolean }

const faultOf = (): Fault | undefined => {
  if (options.faults === undefined || state.chance() >= options.faults) return undefined
  const kind = ([502, 503, "reset"] as const)[Math.floor(state.chance() * 3)] ?? 502
  return { kind, afterWork: state.chance() < 0.5 }
}

// ---- sending ----

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const drained = (response: ServerResponse) =>
  new Promise<void>((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done)
      resolve()
    }
    response.on("drain", done).on("close", done)
  })

/** A body of many chunks: as fast as the other side reads, or as `bytesPerSecond` says. */
const sendChunks = async (response: ServerResponse, chunks: Iterable<Buffer>) => {
  const startedAt = now()
  let sent = 0
  for (const chunk of chunks) {
    if (response.destroyed) return
    sent += chunk.length
    if (!response.write(chunk)) await drained(response)
    if (options.bytesPerSecond !== undefined) {
      const early = startedAt + (sent / options.bytesPerSecond) * 1000 - now()
      if (early > 1) await sleep(early)
    }
  }
  response.end()
}

const send = (response: ServerResponse, answer: Answer) => {
  const { body = [], headers = {}, status, task, type } = answer
  if (task !== undefined) task.resultsAt ??= now()
  response.statusCode = status
  if (type !== undefined) response.setHeader("content-type", type)
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  if (Array.isArray(body) && options.bytesPerSecond === undefined) response.end(Buffer.concat(body))
  else void sendChunks(response, body)
}

/** Half of the answer, and then nothing. */
const sendHalf = (response: ServerResponse, answer: Answer) => {
  const whole = Buffer.concat([...(answer.body ?? [])])
  response.statusCode = answer.status
  if (answer.type !== undefined) response.setHeader("content-type", answer.type)
  response.setHeader("content-length", whole.length)
  response.write(whole.subarray(0, whole.length / 2), () => response.destroy())
}

const errorPage = [Buffer.from("<html><title>Server Error</title><h1>Server Error</h1></html>")]

const sendFault = (response: ServerResponse, fault: Fault, answer: Answer | undefined) => {
  if (fault.kind !== "reset") send(response, { status: fault.kind, type: "text/html", body: errorPage })
  else if (answer === undefined) response.destroy()
  else sendHalf(response, answer)
}

// ---- server ----

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  if (request.method !== "POST") return ""
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const control = (url: URL, response: ServerResponse) => {
  if (url.pathname === "/__reset") state = fresh(Number(url.searchParams.get("seed") ?? options.seed))
  send(response, json(state.stats, 200, { connection: "close" }))
}

const serve = async (request: IncomingMessage, response: ServerResponse) => {
  const { method = "GET", url = "/" } = request
  if (url.startsWith("/__")) return control(new URL(url, "http://stub"), response)
  const { stats } = state
  if (!state.connections.has(request.socket)) {
    state.connections.add(request.socket)
    stats.connections++
  }
  const [path = "", query = ""] = url.slice(apiPath.length).split("?")
  const [endpoint, work] = route(method, path, query, await bodyOf(request))
  stats.requests++
  stats.byEndpoint[endpoint] = (stats.byEndpoint[endpoint] ?? 0) + 1
  const wait = endpoint === "login" ? undefined : (overLimit() ?? refusal(method))
  if (wait !== undefined) {
    stats.tooMany++
    stats.pauses.push({ from: now(), until: now() + wait * 1000 })
    return send(response, problem(429, "Too many requests", { "retry-after": String(wait) }))
  }
  const fault = faultOf()
  if (fault !== undefined) {
    stats.faults++
    if (!fault.afterWork) return sendFault(response, fault, undefined)
  }
  const answer =
    endpoint === "login" || isLoggedIn(request.headers.authorization)
      ? work()
      : problem(401, "Requires authentication.")
  if (fault === undefined) return send(response, answer)
  if (endpoint === "create_query_task" && answer.status === 200) stats.lostCreates++
  sendFault(response, fault, answer)
}

const server = createServer((request, response) => void serve(request, response))
server.keepAliveTimeout = idleConnectionMillis
server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
