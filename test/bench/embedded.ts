/**
 * The embedded Looker in figures: how soon it serves the sample data, how fast it loads a million rows of CSV, and how fast and in how
 * much memory a result of a million rows leaves it. Each in a process of its own.
 *
 * `npm run bench:embedded` prints them; nothing fails for being slow. `-- --short` only checks that everything works.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { createWriteStream } from "node:fs"
import { mkdtemp, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { finished } from "node:stream/promises"
import { fileURLToPath } from "node:url"

const print = (line = "") => process.stdout.write(`${line}\n`)

// ---- the server's process ----

interface Served {
  readonly baseUrl: string
  /** From the start of the process, in milliseconds: when everything was imported, and when the data was there. */
  readonly importedAt: number
  readonly servedAt: number
  /** What all cores did until then. */
  readonly cpuMillis: number
}

interface Memory {
  /** Megabytes now, and the most since it was asked the last time. */
  readonly rss: number
  readonly peak: number
}

const serve = async (data: Record<string, string>, send: (message: Served | Memory) => void) => {
  const { Effect } = await import("effect")
  const { EmbeddedLooker } = await import("effect-looker/embedded")
  const importedAt = performance.now()
  const program = Effect.gen(function* () {
    const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
    const { system, user } = process.cpuUsage()
    send({ baseUrl, importedAt, servedAt: performance.now(), cpuMillis: (system + user) / 1000 })
    let peak = 0
    setInterval(() => {
      peak = Math.max(peak, process.memoryUsage.rss())
    }, 10).unref()
    process.on("message", () => {
      const rss = process.memoryUsage.rss()
      send({ rss: rss / 1e6, peak: Math.max(peak, rss) / 1e6 })
      peak = 0
    })
    yield* Effect.promise(() => once(process, "disconnect"))
  })
  await Effect.runPromise(Effect.provide(program, EmbeddedLooker.layerServer({ data })))
}

// ---- the harness ----

const script = fileURLToPath(import.meta.url)

const start = async (
  data: Record<string, string>
): Promise<{ readonly child: ChildProcess; readonly served: Served }> => {
  const child = fork(script, [JSON.stringify(data)])
  const [served] = await once(child, "message")
  return { child, served }
}

const memory = async (child: ChildProcess): Promise<Memory> => {
  child.send("memory")
  const [answer] = await once(child, "message")
  return answer
}

/** As a client of any language would call it. */
const connect = async (baseUrl: string) => {
  const login = await fetch(`${baseUrl}/api/4.0/login`, {
    method: "POST",
    body: new URLSearchParams({ client_id: "embedded", client_secret: "embedded" })
  })
  const { access_token } = await login.json()
  const headers = { authorization: `token ${access_token}`, "content-type": "application/json" }
  const post = async (path: string, body: object) => {
    const response = await fetch(`${baseUrl}/api/4.0${path}`, { method: "POST", headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(await response.text())
    return response.json()
  }
  return {
    /** Runs it and gives the id of its task. */
    run: async (query: object, result_format: string): Promise<string> => {
      const { id: query_id } = await post("/queries", { model: "embedded", ...query })
      const { id } = await post("/query_tasks?cache=false", { query_id, result_format })
      for (;;) {
        const { status } = await (await fetch(`${baseUrl}/api/4.0/query_tasks/${id}`, { headers })).json()
        if (status === "complete") return id
        if (status !== "added" && status !== "running") throw new Error(`the task is ${status}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    /** Reads the results without keeping them, and gives their length. */
    drain: async (id: string): Promise<number> => {
      const response = await fetch(`${baseUrl}/api/4.0/query_tasks/${id}/results`, { headers })
      if (!response.ok || response.body === null) throw new Error(await response.text())
      let bytes = 0
      for await (const part of response.body) bytes += part.length
      return bytes
    }
  }
}

const rows = process.argv.includes("--short") ? 20_000 : 1_000_000

/** Ids, texts, decimals, yes/no and times, 53 MB of them. */
const writeCsv = async (path: string) => {
  const file = createWriteStream(path)
  file.write("id,status,name,price,paid,created\n")
  const states = ["new", "paid", "sent", "returned"]
  for (let row = 0; row < rows; row += 1000) {
    const lines = Array.from({ length: 1000 }, (_, index) => {
      const id = row + index
      const created = new Date(1_600_000_000_000 + id * 61_000).toISOString().slice(0, 19).replace("T", " ")
      return `${id},${states[id % 4]},customer ${(id * 7919) % 100_003},${((id * 31) % 99_991) / 100},${id % 3 === 0},${created}`
    })
    if (!file.write(`${lines.join("\n")}\n`)) await once(file, "drain")
  }
  await finished(file.end())
}

const ms = (value: number) => `${Math.round(value)} ms`
const mb = (value: number) => `${Math.round(value)} MB`

const bench = async () => {
  const sample = (name: string) =>
    fileURLToPath(new URL(`../../node_modules/vega-datasets/data/${name}`, import.meta.url))
  print("start on the sample data (airports.csv, seattle-weather.csv), from the start of the process")
  for (let run = 0; run < 3; run++) {
    const { child, served } = await start({ airports: sample("airports.csv"), weather: sample("seattle-weather.csv") })
    print(
      `  serves after ${ms(served.servedAt)}, of which imports ${ms(served.importedAt)}; CPU ${ms(served.cpuMillis)}`
    )
    child.disconnect()
    await once(child, "exit")
  }

  const folder = await mkdtemp(join(tmpdir(), "bench-"))
  try {
    const path = join(folder, "orders.csv")
    await writeCsv(path)
    const { size } = await stat(path)
    const { child, served } = await start({ orders: path })
    print(`\n${rows.toLocaleString("en-US")} rows of CSV (${mb(size / 1e6)})`)
    print(`  loaded in ${ms(served.servedAt - served.importedAt)}; RSS ${mb((await memory(child)).rss)}`)

    const client = await connect(served.baseUrl)
    const fields = ["id", "status", "name", "price", "paid", "created"].map((name) => `orders.${name}`)
    print(`\na result of all of them, ${fields.length} columns`)
    for (const format of ["json", "csv", "json_detail", "txt"]) {
      const began = performance.now()
      const id = await client.run({ view: "orders", fields, sorts: ["orders.id"], limit: "-1" }, format)
      const ran = performance.now()
      const before = await memory(child)
      const bytes = await client.drain(id)
      const took = performance.now() - ran
      const after = await memory(child)
      print(
        `  ${format.padEnd(11)} query ${ms(ran - began)}; ${mb(bytes / 1e6)} out in ${ms(took)} ` +
          `(${mb(bytes / 1000 / took)}/s); RSS ${mb(before.rss)} before, ${mb(after.peak)} at most while it is read`
      )
    }
    child.disconnect()
    await once(child, "exit")
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

if (process.send !== undefined) {
  await serve(JSON.parse(process.argv[2] ?? "{}"), (message) => process.send?.(message))
} else {
  await bench()
}
