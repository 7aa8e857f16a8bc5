/**
 * What the tests of the embedded Looker share: files to serve, a client that shows answers as they are, and real waiting.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpBody, HttpClient, HttpClientRequest } from "effect/http"
import type { HttpMethod } from "effect/http/HttpMethod"
import { EmbeddedLooker } from "effect-looker/embedded"
import { type Answer, mistakesIn } from "./conformance.ts"

/** A folder with these files in it, for as long as the scope lives. */
export const folder = (files: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), "embedded-test-"))
      for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
      return path
    }),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )

export const orders = [
  "id,status,price,paid,created",
  "1,new,12.50,true,2001-01-10 18:20:00",
  '2,"a, ""b""",0.25,false,2001-02-11 01:00:00',
  "3,new,7.05,true,2001-02-12 00:00:00",
  "4,,,,",
  ""
].join("\n")

export type Options = Omit<EmbeddedLooker.Options, "data">

/** In process, over these files. */
export const inProcess = (
  files: Readonly<Record<string, string>>,
  options: Options = {}
): Layer.Layer<HttpClient.HttpClient, EmbeddedLooker.EmbeddedError> =>
  Layer.unwrap(Effect.map(folder(files), (data) => EmbeddedLooker.layer({ ...options, data })))

/** A server, and in place of the client in process one that talks to it with Node's fetch. */
export const withServer = <E, R>(server: Layer.Layer<EmbeddedLooker.EmbeddedServer, E, R>) =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function* () {
      const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
      const client = yield* HttpClient.HttpClient
      return HttpClient.mapRequest(
        client,
        HttpClientRequest.updateUrl((url) => url.replace(EmbeddedLooker.inProcessBaseUrl, baseUrl))
      )
    })
  ).pipe(Layer.provide(FetchHttpClient.layer), Layer.provideMerge(server))

/** Over a socket, with Node's fetch. */
export const overSocket = (
  files: Readonly<Record<string, string>>,
  options: Options = {}
): Layer.Layer<HttpClient.HttpClient | EmbeddedLooker.EmbeddedServer, EmbeddedLooker.EmbeddedError> =>
  withServer(Layer.unwrap(Effect.map(folder(files), (data) => EmbeddedLooker.layerServer({ ...options, data }))))

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export interface Sent {
  readonly token?: string
  readonly scheme?: string
  readonly json?: unknown
  readonly body?: string
  readonly form?: Record<string, string>
  /** The answer may be none of Looker's: a fault was asked for. */
  readonly faulty?: boolean
}

/** One request to a path below the host. The answer has to keep the contract, whatever the test is about. */
export const send = Effect.fnUntraced(function* (method: HttpMethod, path: string, sent: Sent = {}) {
  const client = yield* HttpClient.HttpClient
  const body =
    sent.form !== undefined
      ? HttpBody.text(new URLSearchParams(sent.form).toString(), "application/x-www-form-urlencoded")
      : sent.json !== undefined
        ? HttpBody.text(JSON.stringify(sent.json), "application/json")
        : sent.body !== undefined
          ? HttpBody.text(sent.body, "application/json")
          : HttpBody.empty
  const response = yield* client.execute(
    HttpClientRequest.make(method)(`${EmbeddedLooker.inProcessBaseUrl}${path}`, {
      headers: sent.token === undefined ? {} : { authorization: `${sent.scheme ?? "token"} ${sent.token}` },
      body
    })
  )
  const text = yield* response.text
  const answer: Answer = { status: response.status, type: response.headers["content-type"], text, json: parsed(text) }
  const mistakes = sent.faulty === true ? [] : mistakesIn(method, path, answer)
  if (mistakes.length > 0) {
    const what = `${method} ${path} answered ${answer.status} ${text.slice(0, 1000)}`
    return yield* Effect.die(new Error([what, ...mistakes].join("\n")))
  }
  return answer
})

export const call = (method: HttpMethod, path: string, sent: Sent = {}) => send(method, `/api/4.0${path}`, sent)

export const login = Effect.map(
  call("POST", "/login", { form: { client_id: "embedded", client_secret: "embedded" } }),
  (answer) => String(answer.json.access_token)
)

/** Real time, whatever the test's clock says. */
export const wait = (millis: number) =>
  Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, millis)))

export const createTask = Effect.fnUntraced(function* (token: string, query: object, format: string, params = "") {
  const created = yield* call("POST", "/queries", { token, json: { model: "embedded", ...query } })
  if (created.status !== 200) return yield* Effect.die(new Error(created.text))
  const task = yield* call("POST", `/query_tasks${params}`, {
    token,
    json: { query_id: created.json.id, result_format: format }
  })
  if (task.status !== 200) return yield* Effect.die(new Error(task.text))
  return String(task.json.id)
})

/** Asks until the task is in another state than these. */
export const leaves = Effect.fnUntraced(function* (token: string, id: string, states: ReadonlyArray<string>) {
  for (;;) {
    const task = yield* call("GET", `/query_tasks/${id}`, { token })
    if (!states.includes(task.json.status)) return String(task.json.status)
    yield* wait(5)
  }
})

export const ends = (token: string, id: string) => leaves(token, id, ["added", "running"])

/** The body of a query's results. */
export const results = Effect.fnUntraced(function* (query: object, format = "json", params = "") {
  const token = yield* login
  const id = yield* createTask(token, query, format, params)
  yield* ends(token, id)
  return yield* call("GET", `/query_tasks/${id}/results`, { token })
})
