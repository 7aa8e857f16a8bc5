/**
 * What people and programs send by mistake, and what some would send on purpose: an answer that says what is wrong, nothing read or
 * written that is not the data, and a server that lives on.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { connect, type Socket } from "node:net"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { EmbeddedLooker } from "effect-looker/embedded"
import { call, ends, folder, login, orders, overSocket, results, withServer } from "./support.ts"

const query = { view: "orders", fields: ["orders.status", "orders.count"] }

/** It still answers, and with the right rows. */
const livesOn = Effect.gen(function* () {
  const { json, status } = yield* results({ view: "orders", fields: ["orders.count"] })
  assert.deepStrictEqual([status, json], [200, [{ "orders.count": 4 }]])
})

const over = (data: string) => withServer(EmbeddedLooker.layerServer({ data }))

// ---- what a query says ----

const word = "canary-7c1f"

/** Attempts to read `secret`, or to write `target`, from inside of a name, a literal, a number or a JSON. */
const attempts = (secret: string, target: string): ReadonlyArray<string> => [
  `read_csv('${secret}')`,
  `orders.status" FROM read_csv('${secret}') --`,
  `' UNION ALL SELECT * FROM read_text('${secret}') --`,
  `'); COPY (SELECT 42) TO '${target}'; --`,
  `"; ATTACH '${target}' AS x; --`,
  `1; SET enable_external_access = true; SELECT * FROM '${secret}'`,
  `../../../../../../../..${secret}`,
  "\\'\0\u2028\ud83d\\u0000 OR 1=1"
]

/** Every text a query, or the task for it, can carry; one at a time is the attempt. */
const carried = (
  text: string
): ReadonlyArray<{ readonly query: object; readonly task?: object; readonly params?: string }> => [
  ...[
    { model: text },
    { view: text },
    { fields: [text] },
    { fields: [`orders.${text}`] },
    { fields: [...query.fields, text], pivots: [text] },
    { pivots: [text] },
    { fill_fields: [text] },
    { filters: { [text]: "1" } },
    ...["id", "status", "price", "paid", "created", "created_month"].map((name) => ({
      filters: { [`orders.${name}`]: text }
    })),
    { filters: { "orders.count": text } },
    { filter_expression: text },
    { sorts: [text] },
    { sorts: [`orders.status ${text}`] },
    { limit: text },
    { column_limit: text },
    { subtotals: [text] },
    { dynamic_fields: text },
    ...["dimension", "measure", "table_calculation"].flatMap((kind) =>
      [
        { [kind]: text },
        { based_on: text },
        { label: text },
        { expression: text },
        { sql: text },
        { type: text },
        { value_format: text },
        { filters: { "orders.status": text } },
        { filters: { [text]: "1" } }
      ].map((part) => ({
        fields: [...query.fields, "made"],
        dynamic_fields: JSON.stringify([
          { [kind]: "made", category: kind, based_on: "orders.price", type: "sum", label: "Made", ...part }
        ])
      }))
    ),
    { dynamic_fields: JSON.stringify([{ measure: text, based_on: "orders.price", type: "sum" }]), fields: [text] },
    { query_timezone: text },
    { vis_config: { [text]: text } },
    { filter_config: { "orders.status": [{ type: text, values: [{ constant: text }] }] } },
    { visible_ui_sections: text },
    { client_id: text },
    { [text]: text }
  ].map((part) => ({ query: { ...query, ...part } })),
  { query, task: { result_format: text } },
  { query, task: { source: text } },
  { query, task: { query_id: text } },
  { query, task: { look_id: text, dashboard_id: text } },
  ...["limit", "path_prefix", "fields", "cache"].map((name) => ({
    query,
    params: `?${name}=${new URLSearchParams({ text }).toString().slice(5)}`
  }))
]

describe("a query", () => {
  it.live("reads and writes no file, whatever it says and wherever it says it", () =>
    Effect.gen(function* () {
      const outside = yield* folder({ "secret.csv": `word\n${word}\n` })
      const data = yield* folder({ "orders.csv": orders })
      const before = readdirSync(process.cwd())
      yield* Effect.gen(function* () {
        const token = yield* login
        let answered = 0
        let ran = 0
        const read = (text: string) => {
          answered++
          assert.notInclude(text, word)
        }
        for (const text of attempts(join(outside, "secret.csv"), join(outside, "written"))) {
          for (const { params = "", query, task } of carried(text)) {
            const created = yield* call("POST", "/queries", { token, json: { model: "embedded", ...query } })
            read(created.text)
            if (created.status !== 200) continue
            const started = yield* call("POST", `/query_tasks${params}`, {
              token,
              json: { query_id: created.json.id, result_format: "json_detail", ...task }
            })
            read(started.text)
            if (started.status !== 200 || started.json.id === undefined) continue
            const { id } = started.json
            const said = `${JSON.stringify(query)} ${params}`
            assert.strictEqual(yield* ends(token, id), "complete", said)
            ran++
            read((yield* call("GET", `/query_tasks/${id}/results`, { token })).text)
          }
        }
        assert.isAbove(answered, 500)
        assert.isAbove(ran, 50)
        yield* livesOn
      }).pipe(Effect.provide(over(data)))
      assert.deepStrictEqual(readdirSync(outside), ["secret.csv"])
      assert.deepStrictEqual(readdirSync(data), ["orders.csv"])
      assert.deepStrictEqual(readdirSync(process.cwd()), before)
    }).pipe(Effect.scoped)
  )

  it.live("over a field that does not exist is refused, and the next one runs", () =>
    Effect.gen(function* () {
      const token = yield* login
      const json = { model: "embedded", ...query, fields: ["orders.statu"] }
      const { json: body, status } = yield* call("POST", "/queries", { token, json })
      assert.deepStrictEqual([status, body.errors.length, body.errors[0].field], [422, 1, "fields"])
      assert.include(body.message, "orders.statu")
      yield* livesOn
    }).pipe(Effect.provide(overSocket({ "orders.csv": orders })))
  )
})

// ---- what a request is ----

describe("a path", () => {
  it.live("leads to no file, however its dots and slashes are written", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
      const token = yield* login
      const get = (path: string) =>
        Effect.callback<{ readonly status: number | undefined; readonly text: string }>((resume) => {
          const { hostname, port } = new URL(baseUrl)
          const headers = { authorization: `token ${token}` }
          request({ hostname, port, path, headers }, (response) => {
            let text = ""
            response.on("data", (part) => {
              text += part
            })
            response.on("end", () => resume(Effect.succeed({ status: response.statusCode, text })))
          }).end()
        })
      for (const path of [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/docs/../../../../etc/passwd",
        "/docs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/4.0/queries/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/api/4.0/queries/slug/..%5c..%5cetc%5cpasswd",
        "/api/4.0/queries/slug/%2fetc%2fpasswd%00",
        "/api/4.0/query_tasks/..%2f..%2f..%2fetc%2fpasswd/results",
        "/api/4.0/queries/%zz",
        "/api/4.0/queries/%F0%28%8C%28",
        "/%00",
        `/api/4.0/queries/${"9".repeat(10_000)}`
      ]) {
        const { status, text } = yield* get(path)
        assert.deepStrictEqual([path, status, text.includes("root:")], [path, 404, false])
      }
      yield* livesOn
    }).pipe(Effect.provide(overSocket({ "orders.csv": orders })))
  )
})

describe("half a request", () => {
  it.live("keeps no other client waiting, and keeps no server alive", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const looker = yield* Layer.buildWithScope(overSocket({ "orders.csv": orders }), scope)
      const sockets: Array<Socket> = []
      yield* Effect.gen(function* () {
        const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
        const token = yield* login
        const halves = [
          "",
          "GET /api/4.0/user HTT",
          "GET /api/4.0/user HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
          `POST /api/4.0/queries HTTP/1.1\r\nhost: localhost\r\nauthorization: token ${token}\r\n` +
            'content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"model":',
          "POST /api/4.0/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n" +
            "transfer-encoding: chunked\r\n\r\n5\r\nclien"
        ]
        for (let index = 0; index < 200; index++) {
          const socket = connect(Number(new URL(baseUrl).port), "127.0.0.1")
          sockets.push(socket.on("error", () => {}))
          yield* Effect.promise(() => once(socket, "connect"))
          socket.write(halves[index % halves.length] ?? "")
        }
        for (const garbage of [
          "\0\xff\r\n\r\n",
          "GET / HTTP/9.9\r\n\r\n",
          `GET /${"a".repeat(100_000)} HTTP/1.1\r\n\r\n`
        ]) {
          const socket = connect(Number(new URL(baseUrl).port), "127.0.0.1")
            .on("error", () => {})
            .resume()
          socket.write(garbage)
          yield* Effect.promise(() => new Promise((resolve) => socket.on("close", resolve)))
        }
        yield* livesOn
      }).pipe(Effect.provide(looker))
      yield* Scope.close(scope, Exit.void).pipe(Effect.timeout("2 seconds"))
      for (const socket of sockets) socket.destroy()
    }).pipe(Effect.timeout("20 seconds"))
  )
})

/** Garbage goes at once, however busy the machine is: what remains is what the server keeps. */
const collecting = ["--expose-gc", `--import=data:text/javascript,setInterval(() => gc({ type: "minor" }), 10).unref()`]

/** A server in a process of its own, whose memory can be read. */
const inOwnProcess = (data: string) =>
  Effect.gen(function* () {
    const script = fileURLToPath(new URL("serve.ts", import.meta.url))
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [...collecting, "--conditions=effect-looker-source", script, data], {
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (child) => Effect.promise(() => (child.kill() ? once(child, "exit") : Promise.resolve([])))
    )
    const [line] = yield* Effect.promise(() => once(child.stdout, "data"))
    return { baseUrl: String(line).trim(), pid: child.pid ?? 0 }
  })

/** The most a process has ever had, in megabytes. Known on Linux only. */
const peakOf = (pid: number) =>
  existsSync(`/proc/${pid}/status`)
    ? Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024
    : 0

describe("a body of 100 MB", () => {
  it.live("is refused with an answer the client gets to see, in memory that stays flat", () =>
    Effect.gen(function* () {
      const data = yield* folder({ "orders.csv": orders })
      const { baseUrl, pid } = yield* inOwnProcess(data)
      // A connection for each: one that is kept open may be closed by the server just before it is used again.
      const post = (path: string, headers: Record<string, string>, body: Buffer) =>
        Effect.callback<{ readonly status: number | undefined; readonly json: Record<string, string> }>((resume) => {
          const options = { method: "POST", headers, agent: false }
          const sending = request(`${baseUrl}/api/4.0${path}`, options, (response) => {
            let text = ""
            response.setEncoding("utf8").on("data", (part) => {
              text += part
            })
            response.on("end", () => resume(Effect.succeed({ status: response.statusCode, json: JSON.parse(text) })))
          })
          sending.on("error", (error) => resume(Effect.die(error))).end(body)
        })
      const form = { "content-type": "application/x-www-form-urlencoded" }
      const enter = post("/login", form, Buffer.from("client_id=embedded&client_secret=embedded"))
      const { access_token } = (yield* enter).json
      const headers = { authorization: `token ${access_token}`, "content-type": "application/json" }

      const before = peakOf(pid)
      const body = Buffer.alloc(100_000_000, "a")
      for (const [path, sent] of [
        ["/queries", headers],
        ["/query_tasks", headers],
        ["/login", form]
      ] as const) {
        const { json, status } = yield* post(path, sent, body)
        assert.deepStrictEqual([path, status, json.message], [path, 413, "The request body is larger than 10 MB."])
      }
      assert.strictEqual((yield* post("/queries", { "content-type": "application/json" }, body)).status, 401)
      // Without its length: the server cannot know before it has read too much.
      const chunked = yield* Effect.callback<number | string | undefined>((resume) => {
        const sending = request(`${baseUrl}/api/4.0/queries`, { method: "POST", headers }, (response) => {
          response.resume().on("end", () => resume(Effect.succeed(response.statusCode)))
        })
        sending.on("error", ({ message }) => resume(Effect.succeed(message)))
        for (let part = 0; part < 100; part++) sending.write(body.subarray(0, 1_000_000))
        sending.end()
      })
      assert.strictEqual(chunked, 413)
      assert.isBelow(peakOf(pid) - before, 100)
      assert.strictEqual((yield* enter).status, 200)
    }).pipe(Effect.scoped)
  )

  it.live("is refused where it is deep instead of long", () =>
    Effect.gen(function* () {
      const token = yield* login
      for (const body of [
        `{"model":"embedded","view":"orders","vis_config":${"[".repeat(200_000)}${"]".repeat(200_000)}}`,
        `{"model":"embedded","view":"orders","filters":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}`,
        "[".repeat(1_000_000)
      ]) {
        const { status } = yield* call("POST", "/queries", { token, body })
        assert.include([400, 422], status)
      }
      yield* livesOn
    }).pipe(Effect.provide(overSocket({ "orders.csv": orders })))
  )
})

// ---- what the data is ----

describe("a data folder", () => {
  it.live("may have files with any names, which become plain names of explores", () =>
    Effect.gen(function* () {
      const data = yield* folder({
        "..csv": "n\n0\n",
        "..%2f..%2fetc%2fpasswd.csv": "n\n1\n",
        "a'; DROP TABLE orders; --.csv": "n\n2\n",
        'b"; ATTACH x; --.csv': "n\n3\n",
        "orders.csv": orders
      })
      yield* Effect.gen(function* () {
        const names = ["_2f_2fetc_2fpasswd", "a_drop_table_orders_", "b_attach_x_"]
        for (const [index, name] of names.entries()) {
          const { json } = yield* results({ view: name, fields: [`${name}.n`] })
          assert.deepStrictEqual(json, [{ [`${name}.n`]: index + 1 }])
        }
        yield* livesOn
      }).pipe(Effect.provide(over(data)))
    }).pipe(Effect.scoped)
  )

  it.live("may have links to files that are elsewhere", () =>
    Effect.gen(function* () {
      const outside = yield* folder({ "large.csv": "n\n7\n" })
      const data = yield* folder({ "orders.csv": orders })
      symlinkSync(join(outside, "large.csv"), join(data, "linked.csv"))
      yield* Effect.gen(function* () {
        assert.deepStrictEqual((yield* results({ view: "linked", fields: ["linked.n"] })).json, [{ "linked.n": 7 }])
        yield* livesOn
      }).pipe(Effect.provide(over(data)))
    }).pipe(Effect.scoped)
  )

  it.live("is refused by the name of a link that is broken, or leads to a folder", () =>
    Effect.gen(function* () {
      const outside = yield* folder({})
      mkdirSync(join(outside, "inner"))
      for (const target of [join(outside, "gone.csv"), join(outside, "inner")]) {
        const data = yield* folder({ "orders.csv": orders })
        symlinkSync(target, join(data, "linked.csv"))
        const error = yield* Effect.flip(Layer.build(EmbeddedLooker.layer({ data })))
        assert.deepStrictEqual([error._tag, error.path], ["EmbeddedError", join(data, "linked.csv")])
      }
    }).pipe(Effect.scoped)
  )

  it.live("is refused by the name of a file that does not parse, and the rest of the program goes on", () =>
    Effect.gen(function* () {
      for (const [name, text] of [
        ["broken.json", '[{"a": 1}, {"a": '],
        ["broken.ndjson", '{"a": 1}\n{"a": \n'],
        ["broken.parquet", "PAR1 and nothing more"],
        ["broken.csv", 'a,b\n1,2\n"3,4\n5,6,7,8\n'],
        ["broken.csv", "\0\0\0\xff\xfe"]
      ] as const) {
        const data = yield* folder({ "orders.csv": orders })
        writeFileSync(join(data, name), text, "latin1")
        const error = yield* Effect.flip(Effect.scoped(Layer.build(EmbeddedLooker.layer({ data }))))
        assert.deepStrictEqual([error._tag, error.path], ["EmbeddedError", join(data, name)], text)
        assert.include(error.message, name)
      }
      yield* livesOn.pipe(Effect.provide(overSocket({ "orders.csv": orders })))
    }).pipe(Effect.scoped)
  )
})
