/**
 * `/`: the tasks of the server and the models that can be queried, for a person with a browser.
 *
 * The page needs no other file and no other host. Without scripts it reloads as a whole. With scripts only the tasks are fetched again.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { QueryStore } from "../tasks/QueryStore.ts"

import { TaskStore } from "../tasks/TaskStore.ts"
import { Users } from "../tasks/Users.ts"
import { isLoopback, isOwnName } from "./LocalOnly.ts"
import { Html, html } from "./StatusPage/Html.ts"
import { modelList } from "./StatusPage/ModelList.ts"
import { script } from "./StatusPage/Script.ts"
import { style } from "./StatusPage/Style.ts"
import { taskTables } from "./StatusPage/TaskTables.ts"

/** The hash is `node:crypto`'s because the policy is a constant of the module. */
const digest = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** Allows this style and this script only, in case that something is not escaped. */
const policy =
  `default-src 'none'; img-src data:; style-src ${digest(style)}; script-src ${digest(script)}; connect-src 'self'; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const respond = (content: Html, status: number) =>
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
  respond(
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

const content = (host: string, tasks: Html, models: Html): Html => html`<header>
<h1>Embedded Looker</h1>
<a href="#models">What can be queried</a>
<a href="/docs">API reference</a>
<span id="lost" hidden>No connection: the page shows the latest known state.</span>
<p class="connect">Connect with <code>LOOKERSDK_BASE_URL=http://${host}</code> and the client id and secret that the server was started with.</p>
</header>
${tasks}
${models}
<script>${new Html(script)}</script>`

/**
 * The host of a request that may see the tasks. They are shown without a login, and so only to a connection from this machine, under a name
 * that always means this machine.
 */
const localHost = (request: HttpServerRequest.HttpServerRequest): string | undefined => {
  const { host = "" } = request.headers
  return isOwnName(host) && Option.exists(request.peerAddress, isLoopback) ? host : undefined
}

const forbidden = html`<header><h1>Embedded Looker</h1><a href="/docs">API reference</a>
<p class="connect">It runs. Its tasks are shown without a login, and so only on its own machine, under <code>http://127.0.0.1</code> or
<code>http://localhost</code> and its port.</p></header>`

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | QueryStore | TaskStore | Users> = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const store = yield* TaskStore
    const users = yield* Users
    const { models } = yield* QueryStore
    yield* router.add("GET", "/", (request) =>
      Effect.gen(function* () {
        const host = localHost(request)
        if (host === undefined) return page(forbidden, 403)
        const now = yield* Clock.currentTimeMillis
        const tasks = yield* store.all
        const names = new Map<string, string>()
        for (const id of new Set(tasks.map(({ userId }) => userId))) {
          const user = yield* Effect.option(users.get(id))
          if (Option.isSome(user)) names.set(id, user.value.displayName)
        }
        const tables = taskTables(tasks, { nameOf: (id) => names.get(id) ?? id, now })
        return request.url.endsWith("?tasks")
          ? respond(tables, 200)
          : page(content(host, tables, modelList(models)), 200)
      })
    )
  })
)
