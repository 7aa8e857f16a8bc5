/**
 * The pages for people, read as bytes and in a headless Chromium, which is the one of CHROMIUM_PATH or /usr/bin/chromium.
 */
import { existsSync } from "node:fs"
import { request } from "node:http"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { EmbeddedLooker } from "effect-looker/embedded"
import { chromium, type Page } from "playwright-core"
import { createTask, ends, folder, leaves, login, type Options, orders, overSocket, send } from "../support.ts"

const executablePath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium"
const hasChromium = existsSync(executablePath)

const script = "<script>document.title = 'taken'</script><img src=x onerror=document.title='taken'>"
const query = {
  view: "orders",
  fields: ["orders.status", "orders.count"],
  filters: { "orders.status": `"${script}"` }
}
const overflowing = { view: "huge", fields: ["huge.total_n"] }

const served = (options: Options = {}) =>
  overSocket({ "orders.csv": orders, "huge.csv": `n\n${"9".repeat(38)}\n${"9".repeat(38)}\n` }, options)

/** A GET with any `host` header, which `fetch` does not allow. */
const getAs = (path: string, host: string) =>
  Effect.flatMap(EmbeddedLooker.EmbeddedServer, ({ baseUrl }) =>
    Effect.callback<{ readonly status: number | undefined; readonly text: string }>((resume) => {
      request(`${baseUrl}${path}`, { headers: { host } }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (part) => {
          text += part
        })
        response.on("end", () => resume(Effect.succeed({ status: response.statusCode, text })))
      }).end()
    })
  )

layer(served(), { excludeTestServices: true })("the page of tasks", (it) => {
  it.effect("shows how a task ended, with what a user sent as text", () =>
    Effect.gen(function* () {
      const token = yield* login
      const complete = yield* createTask(token, query, "csv")
      yield* ends(token, complete)
      assert.notInclude((yield* send("GET", "/")).text, "from cache")
      const again = yield* createTask(token, query, "json")
      const failed = yield* createTask(token, overflowing, "json")
      for (const id of [again, failed]) yield* ends(token, id)
      const page = yield* send("GET", "/")
      assert.strictEqual(page.status, 200)
      assert.include(page.type, "text/html")
      for (const text of [complete, again, failed, "orders.count", "&lt;script&gt;", "Overflow", "from cache"])
        assert.include(page.text, text)
      assert.notInclude(page.text, script)
      assert.notInclude(page.text, "<img")
    })
  )

  it.effect("names what can be queried, once: not with the tasks that are fetched every second", () =>
    Effect.gen(function* () {
      const { text } = yield* send("GET", "/")
      for (const part of [
        "<code>embedded</code>",
        "<b>orders</b>",
        "<b>huge</b>",
        "<tr><td><code>orders.created_month</code></td><td>Orders Created Month</td><td>date_month</td></tr>",
        "<tr><td><code>orders.total_price</code></td><td>Orders Total Price</td><td>sum</td></tr>"
      ]) {
        assert.include(text, part)
      }
      const again = yield* send("GET", "/?tasks")
      assert.match(again.text, /^<main>[\s\S]*<\/main>$/)
      for (const part of ["total_price", "<summary>", "<style>"]) assert.notInclude(again.text, part)
    })
  )

  it.effect("shows the newest hundred of many, and counts the others", () =>
    Effect.gen(function* () {
      const token = yield* login
      for (let index = 0; index < 120; index++) yield* ends(token, yield* createTask(token, query, "json"))
      const { text } = yield* send("GET", "/")
      assert.lengthOf(text.match(/<tr id="task-/g) ?? [], 100)
      assert.match(text, /and \d+ more/)
      const finished = Number(/<h2>Finished <span class="count">(\d+)<\/span>/.exec(text)?.[1])
      assert.isAtLeast(finished, 120)
      assert.include(text, `<p id="finished-more" class="none">and ${finished - 100} more</p>`)
      assert.isTrue(text.endsWith("</script>\n</body>\n</html>\n"))
    })
  )

  it.effect("names no credentials and no token", () =>
    Effect.gen(function* () {
      const token = yield* login
      const { text } = yield* send("GET", "/")
      assert.notInclude(text, token)
      assert.notMatch(text, /client_secret|CLIENT_SECRET/)
    })
  )

  it.effect("is shown under the machine's own names only, so that no page of the web can read it", () =>
    Effect.gen(function* () {
      const token = yield* login
      const id = yield* createTask(token, query, "json")
      for (const host of ["localhost", "LOCALHOST:1", "app.localhost:80", "127.0.0.1:1234", "127.1.2.3", "[::1]:1"]) {
        const page = yield* getAs("/", host)
        assert.deepStrictEqual([host, page.status, page.text.includes(id)], [host, 200, true])
      }
      for (const host of ["rebound.example", "127.0.0.1.example:80", "localhost.example", "notlocalhost", "10.0.0.1"]) {
        const page = yield* getAs("/", host)
        assert.deepStrictEqual([host, page.status, page.text.includes(id)], [host, 403, false])
        assert.notInclude(page.text, "orders")
        assert.notInclude(page.text, host)
      }
    })
  )

  it.effect("keeps the API to the machine's own names, too, where it listens there only", () =>
    Effect.gen(function* () {
      for (const [host, status] of [
        ["localhost", 401],
        ["rebound.example", 403]
      ] as const) {
        const answer = yield* getAs("/api/4.0/user", host)
        assert.deepStrictEqual([host, answer.status], [host, status])
        assert.isString(JSON.parse(answer.text).message)
      }
    })
  )

  it.effect("leaves other paths to Looker's errors", () =>
    Effect.gen(function* () {
      const answer = yield* send("GET", "/explore")
      assert.strictEqual(answer.status, 404)
      const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
      assert.include(answer.json.message, `Every path begins with /api/4.0; the base_url is`)
      assert.include(answer.json.message, `such as ${baseUrl}.`)
    })
  )

  it.effect("has the contract as an OpenAPI document, with Looker's names", () =>
    Effect.gen(function* () {
      const { json } = yield* send("GET", "/openapi.json")
      assert.strictEqual(json.paths["/api/4.0/query_tasks/multi_results"].get.operationId, "query_task_multi_results")
      assert.deepStrictEqual(json.paths["/api/4.0/login"].post.security, [])
    })
  )
})

it.live("shows the name of a model as text", () =>
  Effect.gen(function* () {
    const { text } = yield* send("GET", "/")
    assert.include(text, "<code>&lt;i&gt;sales&lt;/i&gt;</code>")
    assert.notInclude(text, "<i>")
  }).pipe(Effect.provide(served({ model: "<i>sales</i>" })))
)

it.live("answers to any name where it listens for others", () =>
  Effect.gen(function* () {
    assert.strictEqual((yield* getAs("/api/4.0/user", "looker.example")).status, 401)
  }).pipe(
    Effect.provide(
      Layer.unwrap(
        Effect.map(folder({ "orders.csv": orders }), (data) => EmbeddedLooker.layerServer({ data, host: "0.0.0.0" }))
      )
    )
  )
)

/** A page that may load from the server alone, and what it tried to load from elsewhere. */
const browse = Effect.gen(function* () {
  const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
  const browser = yield* Effect.acquireRelease(
    Effect.promise(() =>
      chromium.launch({
        executablePath,
        args: [
          "--headless",
          "--no-sandbox",
          "--disable-gpu",
          "--disable-quic",
          "--no-first-run",
          "--disable-background-networking",
          "--disable-component-update",
          "--disable-sync"
        ]
      })
    ),
    (browser) => Effect.promise(() => browser.close())
  )
  const page: Page = yield* Effect.promise(() => browser.newPage())
  const elsewhere: Array<string> = []
  yield* Effect.promise(() =>
    page.route(
      (url) => !url.href.startsWith(`${baseUrl}/`),
      (route) => {
        elsewhere.push(route.request().url())
        return route.abort()
      }
    )
  )
  return { baseUrl, elsewhere, page }
})

describe.skipIf(!hasChromium)(
  hasChromium ? "in Chromium" : `in Chromium: SKIPPED, there is none at ${executablePath} (CHROMIUM_PATH)`,
  // Each has a browser and a server of its own, and mostly waits.
  { concurrent: true },
  () => {
    it.live("a task goes from running to complete on the page, without a reload", () =>
      Effect.gen(function* () {
        const { baseUrl, elsewhere, page } = yield* browse
        const token = yield* login
        // First, because the start of the browser may take longer than the task.
        yield* Effect.promise(() => page.goto(baseUrl))
        const id = yield* createTask(token, query, "csv")
        yield* leaves(token, id, ["added"])
        const status = page.locator(`#running #task-${id} .status`)
        yield* Effect.promise(() => status.waitFor())
        assert.strictEqual(yield* Effect.promise(() => status.innerText()), "running")
        // What a reload would lose: a mark in the page, and a selection in a row that stays.
        yield* Effect.promise(() =>
          page.evaluate((id) => {
            document.body.dataset.mark = "here"
            getSelection()?.selectAllChildren(document.querySelector("h1") ?? document.body)
            return id
          }, id)
        )
        yield* Effect.promise(() => page.locator(`#finished #task-${id} .status.complete`).waitFor())
        const kept = yield* Effect.promise(() =>
          page.evaluate(() => [document.body.dataset.mark, String(getSelection()), document.title])
        )
        assert.deepStrictEqual(kept, ["here", "Embedded Looker", "Embedded Looker"])
        assert.strictEqual(yield* Effect.promise(() => page.locator("#running tr").count()), 0)
        const shown = yield* Effect.promise(() => page.locator(`#task-${id}`).innerText())
        for (const text of [script, "orders.count", "csv"]) assert.include(shown, text)
        assert.deepStrictEqual(elsewhere, [])
      }).pipe(Effect.scoped, Effect.provide(served({ taskDelay: "3 seconds" })))
    )

    it.live("what is folded out stays so, with its fields, while tasks come", () =>
      Effect.gen(function* () {
        const { baseUrl, page } = yield* browse
        yield* Effect.promise(() => page.goto(baseUrl))
        const explore = page.locator("details", { hasText: "orders.total_price" })
        const measure = explore.getByText("orders.total_price")
        assert.isFalse(yield* Effect.promise(() => measure.isVisible()))
        yield* Effect.promise(() => explore.locator("summary").click())
        assert.isTrue(yield* Effect.promise(() => measure.isVisible()))
        const id = yield* createTask(yield* login, query, "csv")
        yield* Effect.promise(() => page.locator(`#finished #task-${id} .status.complete`).waitFor())
        assert.isTrue(yield* Effect.promise(() => measure.isVisible()))
      }).pipe(Effect.scoped, Effect.provide(served()))
    )

    it.live("a selection inside of a row stays while others change, and a server that is gone is shown", () =>
      Effect.gen(function* () {
        const { page, token, first } = yield* Effect.gen(function* () {
          const { baseUrl, page } = yield* browse
          const token = yield* login
          const first = yield* createTask(token, query, "csv")
          yield* ends(token, first)
          yield* Effect.promise(() => page.goto(baseUrl))
          yield* Effect.promise(() =>
            page.evaluate((id) => {
              getSelection()?.selectAllChildren(document.querySelector(`#task-${id} .id`) ?? document.body)
            }, first)
          )
          return { page, token, first }
        })
        const second = yield* createTask(token, { ...query, limit: "3" }, "json")
        yield* Effect.promise(() => page.locator(`#finished #task-${second} .status.complete`).waitFor())
        assert.strictEqual(yield* Effect.promise(() => page.evaluate(() => String(getSelection()))), first)
        const order = yield* Effect.promise(() =>
          page.locator("#finished tbody tr").evaluateAll((rows) => rows.map((row) => row.id))
        )
        assert.deepStrictEqual(order, [`task-${second}`, `task-${first}`])
        assert.isFalse(yield* Effect.promise(() => page.locator("#lost").isVisible()))
        yield* Effect.promise(() => page.route("**/*", (route) => route.abort()))
        yield* Effect.promise(() => page.locator("#lost").waitFor())
        yield* Effect.promise(() => page.unroute("**/*"))
        yield* Effect.promise(() => page.locator("#lost").waitFor({ state: "hidden" }))
      }).pipe(Effect.scoped, Effect.provide(served()))
    )

    it.live("the reference is there without a network, and sends what a person tries", () =>
      Effect.gen(function* () {
        const { baseUrl, elsewhere, page } = yield* browse
        yield* Effect.promise(() => page.goto(`${baseUrl}/docs`))
        yield* Effect.promise(() => page.getByText("query_task_multi_results").first().waitFor())
        const me = page.locator(".opblock", { hasText: "/api/4.0/user" })
        yield* Effect.promise(() => me.locator(".opblock-summary-control").click())
        yield* Effect.promise(() => me.getByRole("button", { name: "Try it out" }).click())
        yield* Effect.promise(() => me.getByRole("button", { name: "Execute" }).click())
        yield* Effect.promise(() => me.getByText("Requires authentication.").first().waitFor())
        assert.deepStrictEqual(elsewhere, [])
      }).pipe(Effect.scoped, Effect.provide(served()))
    )
  }
)
