/**
 * `/`: what the embedded Looker is doing and what it can be asked, for a person with a browser. `/docs`: the contract as a page, and
 * `/openapi.json`.
 *
 * No file and no address outside of this server is needed by either. Without scripts the page reloads as a whole; with them only the
 * tasks are fetched again, and only what changed is exchanged, so that a selection, the place in the page and what is folded out stay.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiSwagger from "effect/http-api/HttpApiSwagger"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { EmbeddedApi } from "../EmbeddedApi.ts"
import type { Explore, Field, Model } from "../model/Model.ts"
import { QueryStore } from "../tasks/QueryStore.ts"
import type { Task } from "../tasks/Task.ts"
import { TaskStore } from "../tasks/TaskStore.ts"
import { Users } from "../tasks/Users.ts"
import { isLoopback, isOwnName } from "./LocalOnly.ts"

/** Of each kind the page has so many tasks; the others are counted. */
const mostShown = 100

/** A query may be megabytes long, and a person reads its beginning. */
const mostText = 2000

// ---- text that is safe in a page ----

class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

const escaped: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

type Part = string | number | Html | ReadonlyArray<Html>

const textOf = (part: Part): string => {
  if (part instanceof Html) return part.text
  if (typeof part === "object") return part.map(textOf).join("")
  const text = String(part)
  const cut = text.length > mostText ? `${text.slice(0, mostText)} …` : text
  return cut.replaceAll(/[&<>"']/g, (character) => escaped[character] ?? "")
}

/** Whatever is not `Html` itself is text: what users send (fields, filters, errors that quote them) can be no markup. */
const html = (strings: TemplateStringsArray, ...parts: ReadonlyArray<Part>): Html =>
  new Html(String.raw({ raw: strings }, ...parts.map(textOf)))

// ---- a task ----

const nothing = html`<span class="none">–</span>`

const clock = (millis: number) => {
  const iso = DateTime.formatIso(DateTime.makeUnsafe(millis))
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(11, 19)}</time>`
}

const lengthOf = (millis: number): string => {
  if (millis < 1000) return `${millis} ms`
  if (millis < 60_000) return `${(millis / 1000).toFixed(1)} s`
  const seconds = Math.floor(millis / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

const codes = (names: ReadonlyArray<string>) => names.map((name) => html`<code>${name}</code> `)

/** What else the query asks, named as in its body. */
const askedOf = ({ stored: { query } }: Task): ReadonlyArray<Html> =>
  Object.entries({
    filters: query.filters && Object.entries(query.filters).map(([field, expression]) => `${field}: ${expression}`),
    pivots: query.pivots,
    sorts: query.sorts,
    limit: query.limit && [query.limit],
    dynamic_fields: query.dynamic_fields && [query.dynamic_fields],
    query_timezone: query.query_timezone && [query.query_timezone]
  }).flatMap(([name, values]) =>
    values && values.length > 0 ? [html`<div class="asked">${name} ${codes(values)}</div>`] : []
  )

/** Whose tasks, and when they are looked at. */
interface View {
  readonly nameOf: (userId: string) => string
  readonly now: number
}

const rowOf =
  ({ nameOf, now }: View) =>
  (task: Task): Html => {
    const { state, stored } = task
    const startedAt = "startedAt" in state ? state.startedAt : undefined
    const endedAt = "endedAt" in state ? state.endedAt : now
    const error = state.status === "error" ? html`<pre class="error">${state.error.message}</pre>` : ""
    return html`<tr id="task-${task.id}">
<td><span class="status ${state.status}">${state.status}</span></td>
<td class="query"><b>${stored.query.model ?? ""}</b> / <b>${stored.query.view ?? ""}</b>
<div>${codes(stored.query.fields ?? [])}</div>${askedOf(task)}${error}<div class="id">${task.id}</div></td>
<td>${nameOf(task.userId)}</td>
<td>${task.body.result_format}</td>
<td>${clock(task.createdAt)}</td>
<td>${startedAt === undefined ? nothing : clock(startedAt)}</td>
<td class="number">${startedAt === undefined ? nothing : lengthOf(endedAt - startedAt)}</td>
<td class="number">${state.status === "complete" ? state.result.rows.rowCount.toLocaleString("en-US") : nothing}
${state.status === "complete" && state.source === "cache" ? html`<div class="none">from cache</div>` : ""}</td>
</tr>
`
  }

const table = (id: string, title: string, tasks: ReadonlyArray<Task>, view: View, empty: string): Html => {
  const head = html`<thead><tr><th>Status</th><th class="query">Query</th><th>User</th><th>Format</th><th>Created</th><th>Started</th>
<th class="number">Run time</th><th class="number">Rows</th></tr></thead>`
  const shown = tasks.slice(0, mostShown).map(rowOf(view))
  const more = tasks.length - shown.length
  const body =
    tasks.length === 0
      ? html`<p id="${id}-none" class="none">${empty}</p>`
      : html`<div class="scroll"><table>${head}<tbody>${shown}</tbody></table></div>
<p id="${id}-more" class="none">${more > 0 ? `and ${more} more` : ""}</p>`
  return html`<section id="${id}"><h2>${title} <span class="count">${tasks.length}</span></h2>${body}</section>`
}

// ---- what can be queried ----

const fieldsOf = (title: string, fields: ReadonlyArray<Field>): Html => {
  const rows = fields.map(
    ({ label, lookerType, name }) => html`<tr><td><code>${name}</code></td><td>${label}</td><td>${lookerType}</td></tr>
`
  )
  return html`<table class="fields"><thead><tr><th>${title}</th><th>Label</th><th>Type</th></tr></thead><tbody>${rows}</tbody></table>`
}

const exploreOf = (explore: Explore): Html => {
  const fields = [...explore.fields.values()]
  const dimensions = fields.filter(({ category }) => category === "dimension")
  const measures = fields.filter(({ category }) => category === "measure")
  return html`<details><summary><b>${explore.name}</b> ${explore.label}
<span class="count">dimensions: ${dimensions.length}, measures: ${measures.length}</span></summary>
${fieldsOf("Dimension", dimensions)}${fieldsOf("Measure", measures)}</details>
`
}

const modelOf = (model: Model): Html =>
  html`<h3>Model <code>${model.name}</code></h3><div class="scroll">${[...model.explores.values()].map(exploreOf)}</div>
`

/** Everything there is, whoever may ask for it: so are the tasks of everybody shown. */
const modelsOf = (models: ReadonlyMap<string, Model>): Html =>
  html`<section class="models" id="models"><h2>What can be queried</h2>
<p class="none">A query names a <code>model</code>, an explore as its <code>view</code>, and <code>fields</code> of this explore.</p>
${[...models.values()].map(modelOf)}</section>`

// ---- the page ----

const style = `
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1c2430; --soft: #667085; --line: #e4e7ec; --code: #eef1f5;
  --blue: #175cd3; --blue-back: #e0ecff; --green: #067647; --green-back: #d9f5e5; --red: #b42318; --red-back: #fee4e2; --grey-back: #e9ecf0 }
@media (prefers-color-scheme: dark) { :root { --back: #0f1319; --card: #171c24; --text: #e6e9ee; --soft: #98a2b3; --line: #2a313c; --code: #232a35;
  --blue: #84b4ff; --blue-back: #17315c; --green: #6fd6a3; --green-back: #103d2b; --red: #ff9c92; --red-back: #4c1b17; --grey-back: #2a313c } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text); font: 14px/1.5 system-ui, sans-serif }
header, main, .models { max-width: 1320px; margin: 0 auto; padding: 0 24px }
header { padding-top: 28px; display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 20px }
h1 { font-size: 22px; margin: 0 }
h2 { font-size: 15px; margin: 28px 0 10px }
a { color: var(--blue) }
.connect { color: var(--soft); margin: 6px 0 0; flex-basis: 100% }
.count { color: var(--soft); font-weight: 400; margin-left: 4px }
h3 { font-size: 13px; font-weight: 500; margin: 16px 0 8px }
.models { padding-bottom: 40px }
details + details { border-top: 1px solid var(--line) }
summary { cursor: pointer; padding: 9px 14px }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px }
table { border-collapse: collapse; table-layout: fixed; width: 100%; min-width: 1040px }
th, td { text-align: left; vertical-align: top; padding: 9px 14px; white-space: nowrap }
th { color: var(--soft); font-weight: 500; font-size: 12px }
tbody tr { border-top: 1px solid var(--line) }
td { font-variant-numeric: tabular-nums }
th { width: 92px }
th:first-child, th:nth-child(4) { width: 112px }
th:nth-child(3) { width: 132px }
th.query { width: auto }
td.query { white-space: normal; overflow-wrap: anywhere }
td:nth-child(3) { white-space: normal; overflow-wrap: break-word }
.fields { margin-bottom: 12px }
.fields th, .fields th:first-child { width: auto }
.fields th:last-child { width: 160px }
.fields td, .fields td:nth-child(3) { white-space: normal; overflow-wrap: anywhere; padding-block: 5px }
.number { text-align: right }
code { background: var(--code); border-radius: 4px; padding: 1px 5px; font: 12.5px/1.6 ui-monospace, monospace; white-space: pre-wrap }
.asked, .none, .id { color: var(--soft) }
.id { font: 11.5px/1.7 ui-monospace, monospace }
.status { display: inline-block; border-radius: 99px; padding: 1px 10px; font-weight: 500; font-size: 12.5px; background: var(--grey-back) }
.status.running { background: var(--blue-back); color: var(--blue) }
.status.complete { background: var(--green-back); color: var(--green) }
.status.error { background: var(--red-back); color: var(--red) }
.error { color: var(--red); font: 12.5px/1.5 ui-monospace, monospace; white-space: pre-wrap; margin: 4px 0; max-height: 12em; overflow: auto }
#lost { color: var(--red) }
footer { color: var(--soft); font-size: 12.5px; padding: 20px 0 0 }
`

/** Makes the page what the server says it is now, by changing only what is different. */
const script = `
const exchange = (old, now) => {
  if (old.isEqualNode(now)) return
  if (old.nodeType !== 1 || now.nodeType !== 1 || old.nodeName !== now.nodeName || old.id !== now.id) return old.replaceWith(now)
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name)
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  const wanted = [...now.childNodes]
  const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]))
  const ids = new Set(wanted.map((node) => node.id).filter(Boolean))
  for (const child of [...old.children]) if (child.id && !ids.has(child.id)) child.remove()
  let place = old.firstChild
  for (const node of wanted) {
    const same = node.id ? byId.get(node.id) : place && !place.id ? place : undefined
    if (same === undefined) { old.insertBefore(node, place); continue }
    if (same !== place) old.insertBefore(same, place)
    const next = same.nextSibling
    exchange(same, node)
    place = next
  }
  while (place) { const next = place.nextSibling; place.remove(); place = next }
}
const lost = document.getElementById("lost")
const refresh = async () => {
  try {
    if (!document.hidden) {
      const response = await fetch("/?tasks", { cache: "no-store" })
      const page = new DOMParser().parseFromString(await response.text(), "text/html")
      exchange(document.querySelector("main"), page.querySelector("main"))
      lost.hidden = true
    }
  } catch {
    lost.hidden = false
  }
  setTimeout(refresh, 1000)
}
setTimeout(refresh, 1000)
`

const digest = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** Nothing but this style and this script, even where an escape should be missing. */
const policy =
  `default-src 'none'; img-src data:; style-src ${digest(style)}; script-src ${digest(script)}; connect-src 'self'; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const answer = (content: Html, status: number) =>
  HttpServerResponse.html(content.text).pipe(
    HttpServerResponse.setStatus(status),
    HttpServerResponse.setHeaders(
      Headers.fromInput({
        "cache-control": "no-store",
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff"
      })
    )
  )

const page = (content: Html, status: number) =>
  answer(
    html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Embedded Looker</title>
<link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="2"></noscript>
<style>${new Html(style)}</style>
</head>
<body>
${content}
</body>
</html>
`,
    status
  )

/** What is fetched every second. */
const tasksOf = (tasks: ReadonlyArray<Task>, view: View): Html => {
  const newestFirst = [...tasks].reverse()
  const running = newestFirst.filter(({ state }) => state.status === "running")
  const waiting = tasks.filter(({ state }) => state.status === "added")
  const ended = newestFirst.filter(({ state }) => state.status !== "running" && state.status !== "added")
  return html`<main>
${table("running", "Running", running, view, "No task is running.")}
${table("waiting", "Waiting", waiting, view, "No task is waiting.")}
${table("finished", "Finished", ended, view, "No task has ended yet.")}
<footer>Times are UTC. A task goes some time after its end.</footer>
</main>`
}

const wholeOf = (host: string, tasks: Html, models: Html): Html => html`<header>
<h1>Embedded Looker</h1>
<a href="#models">What can be queried</a>
<a href="/docs">API reference</a>
<span id="lost" hidden>No connection: what is here is what was last known.</span>
<p class="connect">Connect with <code>LOOKERSDK_BASE_URL=http://${host}</code> and the client id and secret it was started with.</p>
</header>
${tasks}
${models}
<script>${new Html(script)}</script>`

// ---- who may see it ----

/** The tasks are shown without a login, so to this machine only: to a connection from it, and under a name that is always its own. */
const localHost = (request: HttpServerRequest.HttpServerRequest): string | undefined => {
  const { host = "" } = request.headers
  return isOwnName(host) && Option.exists(request.peerAddress, isLoopback) ? host : undefined
}

const elsewhere = html`<header><h1>Embedded Looker</h1><a href="/docs">API reference</a>
<p class="connect">It runs. Its tasks are shown without a login, and so only on its own machine, under <code>http://127.0.0.1</code> or
<code>http://localhost</code> and its port.</p></header>`

// ---- the reference ----

/** The page is two megabytes of Swagger UI, without a file from elsewhere; it is loaded for the first who asks. */
const reference = Effect.gen(function* () {
  const router = yield* HttpRouter.make
  yield* Layer.build(HttpApiSwagger.layer(EmbeddedApi)).pipe(Effect.provideService(HttpRouter.HttpRouter, router))
  return router.asHttpEffect()
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | QueryStore | TaskStore | Users> = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const store = yield* TaskStore
    const users = yield* Users
    const { models } = yield* QueryStore
    const docs = yield* Effect.cached(Effect.provideService(reference, Scope.Scope, yield* Effect.scope))
    yield* router.add("GET", "/", (request) =>
      Effect.gen(function* () {
        const host = localHost(request)
        if (host === undefined) return page(elsewhere, 403)
        const now = yield* Clock.currentTimeMillis
        const tasks = yield* store.all
        const names = new Map<string, string>()
        for (const id of new Set(tasks.map(({ userId }) => userId))) {
          const user = yield* Effect.option(users.get(id))
          if (Option.isSome(user)) names.set(id, user.value.displayName)
        }
        const shown = tasksOf(tasks, { nameOf: (id) => names.get(id) ?? id, now })
        return request.url.endsWith("?tasks") ? answer(shown, 200) : page(wholeOf(host, shown, modelsOf(models)), 200)
      })
    )
    yield* router.add("GET", "/docs", Effect.orDie(Effect.flatten(docs)))
    yield* router.add(
      "GET",
      "/openapi.json",
      Effect.sync(() => HttpServerResponse.jsonUnsafe(OpenApi.fromApi(EmbeddedApi)))
    )
  })
)
