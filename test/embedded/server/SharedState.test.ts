/**
 * Random requests of several users at the same time to one server: what one does must not show in what another gets. A failure logs the seed
 * of its round, and `SEED=… npx vitest run test/embedded/server/SharedState.test.ts` makes the same choices again. The times of the database
 * are its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { call, ends, inProcess, orders, wait } from "../support.ts"

const users = [
  { id: "1", clientId: "one", clientSecret: "s" },
  { id: "2", clientId: "two", clientSecret: "s" },
  { id: "3", clientId: "admin", clientSecret: "s", permissions: ["administer"] as const }
]

const bodies = [
  { fields: ["orders.status", "orders.count"] },
  { fields: ["orders.status", "orders.count"], limit: 1 },
  { fields: ["orders.id"], filters: { "orders.status": "new" } },
  { fields: ["orders.created_year", "orders.status", "orders.count"], pivots: ["orders.status"] }
].map((body) => ({ model: "embedded", view: "orders", ...body }))

interface Task {
  readonly id: string
  readonly owner: string
  readonly body: number
  /** The latest status that was seen: a task never goes back, and an end is final. */
  seen: string
  isKillAsked: boolean
}

const ranks: Readonly<Record<string, number>> = { added: 0, running: 1, complete: 2, killed: 2 }
const rankOf = (status: string) => ranks[status] ?? Number.NaN

const login = (client_id: string) =>
  Effect.map(call("POST", "/login", { form: { client_id, client_secret: "s" } }), ({ json }) =>
    String(json.access_token)
  )

const pick = <A>(from: ReadonlyArray<A>) =>
  Effect.map(Random.nextIntBetween(0, from.length, { halfOpen: true }), (index) => from[index])

/** One round: what its requests have in common, and what each of them has to see. */
const makeRound = Effect.gen(function* () {
  const tasks: Array<Task> = []
  const admin = yield* login("admin")
  const ids: Array<string> = []
  const texts: Array<string> = []
  for (const body of bodies) {
    const { json } = yield* call("POST", "/queries", { token: admin, json: body })
    const task = yield* call("POST", "/query_tasks", {
      token: admin,
      json: { query_id: json.id, result_format: "json" }
    })
    yield* ends(admin, task.json.id)
    ids.push(json.id)
    texts.push((yield* call("GET", `/query_tasks/${task.json.id}/results`, { token: admin })).text)
  }

  /** Records a status that a request saw which began when `before` was the latest. */
  const see = (task: Task, before: string, status: string) => {
    assert.isAtLeast(rankOf(status), rankOf(before), `${before} became ${status}`)
    if (rankOf(before) === 2) assert.strictEqual(status, before, "an end is final")
    if (status === "killed") assert.isTrue(task.isKillAsked, "nobody has killed it")
    if (rankOf(status) > rankOf(task.seen)) task.seen = status
  }

  const client = Effect.fnUntraced(function* (user: (typeof users)[number], steps: number) {
    const isAdmin = user.clientId === "admin"
    let token = yield* login(user.clientId)
    let workspace = "production"
    const own = () => pick(tasks.filter(({ owner }) => owner === user.id))
    const foreign = () => pick(tasks.filter(({ owner }) => owner !== user.id))

    const createQuery = Effect.gen(function* () {
      const body = yield* Random.nextIntBetween(0, bodies.length - 1)
      const { json } = yield* call("POST", "/queries", { token, json: { ...bodies[body], total: null } })
      assert.strictEqual(json.id, ids[body])
    })
    const createTask = Effect.gen(function* () {
      const body = yield* Random.nextIntBetween(0, bodies.length - 1)
      const cache = yield* Random.nextBoolean
      const json = { query_id: ids[body], result_format: "json" }
      const created = yield* call("POST", `/query_tasks?cache=${cache}`, { token, json })
      assert.strictEqual(created.json.status, "added")
      tasks.push({ id: created.json.id, owner: user.id, body, seen: "added", isKillAsked: false })
    })
    const poll = Effect.gen(function* () {
      const task = yield* own()
      if (task === undefined) return
      const before = task.seen
      const { json } = yield* call("GET", `/query_tasks/${task.id}`, { token })
      assert.strictEqual(json.query_id, ids[task.body])
      see(task, before, json.status)
    })
    const readResults = Effect.gen(function* () {
      const task = yield* own()
      if (task === undefined) return
      const before = task.seen
      const { status, text } = yield* call("GET", `/query_tasks/${task.id}/results`, { token })
      if (status === 202) return assert.isBelow(rankOf(before), 2)
      see(task, before, status === 200 ? "complete" : "killed")
      if (status === 200) assert.strictEqual(text, texts[task.body])
    })
    const readMany = Effect.gen(function* () {
      const asked = [yield* own(), yield* own(), yield* own()].filter((task) => task !== undefined)
      const other = yield* foreign()
      const before = new Map(asked.map((task) => [task, task.seen]))
      const names = [...new Set([...asked.map(({ id }) => id), other?.id ?? "none", "unknown"])]
      const { json } = yield* call("GET", `/query_tasks/multi_results?query_task_ids=${names.join(",")}`, { token })
      assert.deepStrictEqual(Object.keys(json).sort(), names.sort())
      assert.deepStrictEqual([json[other?.id ?? "none"].status, json.unknown.status], ["missing", "missing"])
      for (const [task, seen] of before) {
        see(task, seen, json[task.id].status)
        if (json[task.id].status === "complete") {
          assert.deepStrictEqual(json[task.id].data, JSON.parse(texts[task.body] ?? ""))
        }
      }
    })
    const kill = Effect.gen(function* () {
      const task = isAdmin ? yield* pick(tasks) : yield* own()
      if (task === undefined) return
      const before = task.seen
      task.isKillAsked = true
      const { status } = yield* call("DELETE", `/running_queries/${task.id}`, { token })
      if (status === 204) return see(task, before, "killed")
      assert.strictEqual(status, 404)
    })
    const touchForeign = Effect.gen(function* () {
      const task = yield* foreign()
      if (task === undefined) return
      assert.strictEqual((yield* call("GET", `/query_tasks/${task.id}`, { token })).status, 404)
      assert.strictEqual((yield* call("GET", `/query_tasks/${task.id}/results`, { token })).status, 404)
      if (isAdmin) return
      assert.strictEqual((yield* call("DELETE", `/running_queries/${task.id}`, { token })).status, 404)
    })
    const readRunning = Effect.gen(function* () {
      const { json } = yield* call("GET", "/running_queries", { token })
      for (const { query_id, query_task_id, user: owner } of json) {
        const task = tasks.find(({ id }) => id === query_task_id)
        // A task that is created at this moment is not known here yet.
        if (task !== undefined) assert.deepStrictEqual([owner.id, query_id], [task.owner, ids[task.body]])
        if (!isAdmin) assert.strictEqual(owner.id, user.id)
      }
    })
    const chooseWorkspace = Effect.gen(function* () {
      workspace = (yield* Random.nextBoolean) ? "dev" : "production"
      yield* call("PATCH", "/session", { token, json: { workspace_id: workspace } })
    })
    const readSession = Effect.gen(function* () {
      assert.strictEqual((yield* call("GET", "/session", { token })).json.workspace_id, workspace)
      assert.strictEqual((yield* call("GET", "/user", { token })).json.id, user.id)
    })
    const loginAgain = Effect.gen(function* () {
      const former = token
      token = yield* login(user.clientId)
      assert.strictEqual((yield* call("GET", "/session", { token: former })).json.workspace_id, workspace)
      yield* call("DELETE", "/logout", { token: former })
      assert.strictEqual((yield* call("GET", "/user", { token: former })).status, 401)
      workspace = "production"
    })

    const choices = [createQuery, createTask, createTask, createTask, poll, poll, readResults, readResults, readMany]
    const rare = [kill, touchForeign, readRunning, chooseWorkspace, readSession, loginAgain]
    for (let step = 0; step < steps; step++) {
      const action = yield* pick([...choices, ...rare])
      if (action !== undefined) yield* action
      const pause = yield* Random.nextIntBetween(0, 4)
      yield* pause === 0 ? Effect.yieldNow : wait(pause - 1)
    }
  })

  /** Without a kill a task ends complete, with its rows. */
  const finish = Effect.gen(function* () {
    const tokens = new Map<string, string>()
    for (const { clientId, id } of users) tokens.set(id, yield* login(clientId))
    for (const task of tasks) {
      const token = tokens.get(task.owner) ?? ""
      see(task, task.seen, yield* ends(token, task.id))
      assert.strictEqual(task.isKillAsked || task.seen === "complete", true)
      const { status, text } = yield* call("GET", `/query_tasks/${task.id}/results`, { token })
      if (task.seen === "killed") assert.strictEqual(status, 404)
      else assert.deepStrictEqual([status, text], [200, texts[task.body]])
    }
    assert.deepStrictEqual((yield* call("GET", "/running_queries", { token: admin })).json, [])
    return tasks
  })
  return { client, finish }
})

describe("requests of several users at the same time", () => {
  const given = process.env.SEED
  const seeds = given === undefined ? [1, 2, Date.now() % 1_000_000_000] : [Number(given)]

  it.live("see their own tasks, sessions and rows, whatever the others do", () =>
    Effect.gen(function* () {
      for (const seed of seeds) {
        yield* Effect.gen(function* () {
          const round = yield* makeRound
          // Each user twice: with two sessions and the same tasks.
          const clients = [...users, ...users].map((user, index) =>
            Random.withSeed(round.client(user, 30), `${seed} ${index}`)
          )
          yield* Effect.all(clients, { concurrency: "unbounded", discard: true })
          const tasks = yield* round.finish
          assert.isAbove(tasks.length, 10)
          assert.isTrue(tasks.some(({ seen }) => seen === "complete"))
        }).pipe(
          Effect.provide(inProcess({ "orders.csv": orders }, { users, taskDelay: 2 })),
          Effect.tapCause(() => Effect.logError(`SEED=${seed}`))
        )
      }
    })
  )
})
