import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Option, Schedule, Stream } from "effect"
import { type QueryTask, QueryTasks } from "effect-looker"
import { httpClients, looker } from "./support/layers.ts"
import * as StubLooker from "./support/StubLooker.ts"
import { eventually, pass, runOut, timed } from "./support/time.ts"

const tasks = QueryTasks.QueryTasks

const withoutSession = (received: ReadonlyArray<StubLooker.Received>) =>
  received.filter(({ path }) => !/\/log(in|out)$/.test(path))

/** Answers everything but login and logout with `answer`. */
const answering = (answer: StubLooker.Answer) => {
  const stub = StubLooker.inProcess(
    StubLooker.withLogin(({ path }) => (/\/log(in|out)$/.test(path) ? undefined : answer))
  )
  return { layer: looker(stub.layer), all: stub.received, asked: () => withoutSession(stub.received) }
}

const overSocket = (http: (typeof httpClients)[number]["http"], answer: StubLooker.Answer, timeout = "2 seconds") =>
  Effect.map(
    StubLooker.onSocket(StubLooker.withLogin(({ path }) => (/\/log(in|out)$/.test(path) ? undefined : answer))),
    (stub) => ({
      ...stub,
      asked: () => withoutSession(stub.received),
      layer: looker(http, {
        baseUrl: stub.baseUrl,
        timeout: timeout as "2 seconds",
        policy: { retry: Schedule.recurs(0) }
      })
    })
  )

describe("createQueryTask", () => {
  it.effect("sends its parameters as true, false and whole numbers, and the task as JSON", () => {
    const { asked, layer } = answering({ json: { id: "t1" } })
    return Effect.gen(function* () {
      yield* tasks.use((tasks) =>
        tasks.createQueryTask(
          { query_id: "7", result_format: "json_bi", deferred: false, source: "effect", a_new_key: 1 },
          {
            limit: 500,
            apply_formatting: true,
            apply_vis: false,
            cache: false,
            generate_drill_links: true,
            force_production: false,
            cache_only: true,
            path_prefix: "/a b&c",
            rebuild_pdts: false,
            server_table_calcs: true,
            fields: "id,status"
          }
        )
      )
      const [request] = asked()
      assert.strictEqual(request?.method, "POST")
      assert.strictEqual(
        request?.target,
        "/api/4.0/query_tasks?limit=500&apply_formatting=true&apply_vis=false&cache=false&generate_drill_links=true&force_production=false&cache_only=true&path_prefix=%2Fa+b%26c&rebuild_pdts=false&server_table_calcs=true&fields=id%2Cstatus"
      )
      assert.deepStrictEqual(JSON.parse(request?.body ?? ""), {
        query_id: "7",
        result_format: "json_bi",
        deferred: false,
        source: "effect",
        a_new_key: 1
      })
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    [undefined, "/api/4.0/query_tasks"],
    [{}, "/api/4.0/query_tasks"],
    [{ cache: undefined, limit: undefined }, "/api/4.0/query_tasks"],
    [{ limit: 0 }, "/api/4.0/query_tasks?limit=0"],
    [{ limit: -1 }, "/api/4.0/query_tasks?limit=-1"]
  ] as const)("with the parameters %j asks for %s", ([params, target]) => {
    const { asked, layer } = answering({ json: { id: "t1" } })
    return Effect.gen(function* () {
      yield* tasks.use((tasks) => tasks.createQueryTask({ query_id: "7", result_format: "json" }, params))
      assert.strictEqual(asked()[0]?.target, target)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    [{ query_id: "7", result_format: "png" }, {}],
    [{ query_id: "7", result_format: "JSON" }, {}],
    [{ query_id: 7, result_format: "json" }, {}],
    [{ result_format: "json" }, {}],
    [{ query_id: "7", result_format: "json" }, { limit: 1.5 }],
    [{ query_id: "7", result_format: "json" }, { limit: Number.NaN }],
    [{ query_id: "7", result_format: "json" }, { limit: "500" }],
    [{ query_id: "7", result_format: "json" }, { cache: "no" }]
  ])("refuses %j as BadRequest, and asks Looker nothing", ([task, params]) => {
    const { asked, layer } = answering({ json: { id: "t1" } })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(tasks.use((tasks) => tasks.createQueryTask(task as never, params as never)))
      assert.strictEqual(error._tag, "BadRequest")
      assert.strictEqual(asked().length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes an answer of nothing but an id, even a number", () => {
    const { layer } = answering({ json: { id: 5 } })
    return Effect.gen(function* () {
      const task = yield* tasks.use((tasks) => tasks.createQueryTask({ query_id: "7", result_format: "json" }))
      assert.deepStrictEqual(task, { id: "5" })
    }).pipe(Effect.provide(layer))
  })
})

describe("an interruption of createQueryTask", () => {
  const interrupted = Effect.fnUntraced(function* (
    answer: Effect.Effect<StubLooker.Answer>,
    options?: { readonly onCreated: (task: QueryTask.QueryTask) => Effect.Effect<void> }
  ) {
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ path }) => (/\/query_tasks$/.test(path) ? answer : undefined))
    )
    const create = tasks.use((tasks) =>
      tasks.createQueryTask({ query_id: "7", result_format: "json" }, undefined, options)
    )
    const fiber = yield* Effect.forkChild(Effect.provide(create, looker(stub.layer)))
    yield* pass("1 second")
    const { millis } = yield* timed(Fiber.interrupt(fiber))
    return { millis, asked: withoutSession(stub.received).length }
  })

  it.effect("waits for the response to a request that was sent where onCreated needs the task", () => {
    const created: Array<string> = []
    const onCreated = ({ id }: QueryTask.QueryTask) => Effect.sync(() => void created.push(id))
    return Effect.gen(function* () {
      const answer = Effect.delay(Effect.succeed({ json: { id: "t1" } }), "3 seconds")
      const { asked, millis } = yield* interrupted(answer, { onCreated })
      assert.deepStrictEqual(created, ["t1"])
      assert.isAtLeast(millis, 1_900)
      assert.isAtMost(millis, 2_200)
      assert.strictEqual(asked, 1)
    })
  })

  it.effect("waits no longer than the policy allows, and for no response without onCreated", () => {
    const created: Array<string> = []
    const onCreated = ({ id }: QueryTask.QueryTask) => Effect.sync(() => void created.push(id))
    return Effect.gen(function* () {
      const waited = yield* interrupted(Effect.never, { onCreated })
      assert.isAtLeast(waited.millis, 4_900)
      assert.isAtMost(waited.millis, 5_200)
      assert.deepStrictEqual(created, [])
      assert.isAtMost((yield* interrupted(Effect.never)).millis, 200)
    })
  })

  it.effect("does not wait for a retry", () => {
    const created: Array<string> = []
    const onCreated = ({ id }: QueryTask.QueryTask) => Effect.sync(() => void created.push(id))
    return Effect.gen(function* () {
      const answer = Effect.succeed({ status: 429, headers: { "retry-after": "3" } })
      const { asked, millis } = yield* interrupted(answer, { onCreated })
      assert.isAtMost(millis, 200)
      assert.strictEqual(asked, 1)
      assert.deepStrictEqual(created, [])
    })
  })
})

describe("queryTask", () => {
  it.effect("asks for one task, by its encoded id", () => {
    const { asked, layer } = answering({
      json: { id: "a/b c", status: "running", query_id: 7, runtime: "0.4", x: null }
    })
    return Effect.gen(function* () {
      const task = yield* tasks.use((tasks) => tasks.queryTask("a/b c", { fields: "id,status" }))
      assert.strictEqual(asked()[0]?.target, "/api/4.0/query_tasks/a%2Fb%20c?fields=id%2Cstatus")
      assert.deepStrictEqual(task, { id: "a/b c", status: "running", query_id: "7", runtime: "0.4", x: null })
    }).pipe(Effect.provide(layer))
  })

  it.effect("is a task of the name multi_results when the id says so, and not the other endpoint's answer", () => {
    const { layer } = answering({ json: { t1: { status: "running" } } })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(tasks.use((tasks) => tasks.queryTask("multi_results")))
      assert.strictEqual(error._tag, "UnexpectedResponse")
    }).pipe(Effect.provide(layer))
  })
})

describe("an id", () => {
  const calls = [
    { name: "queryTask", call: (id: string) => tasks.use((tasks) => tasks.queryTask(id)) },
    { name: "queryTaskResults", call: (id: string) => tasks.use((tasks) => tasks.queryTaskResults(id)) },
    { name: "killQuery", call: (id: string) => tasks.use((tasks) => tasks.killQuery(id)) }
  ] as const

  it.effect.each(calls.flatMap((call) => ["", ".", ".."].map((id) => ({ ...call, id }))))(
    "of $id is refused by $name as BadRequest, and Looker is asked nothing",
    ({ call, id }) => {
      const { asked, layer } = answering({ json: {} })
      return Effect.gen(function* () {
        const error = yield* Effect.flip(call(id))
        assert.strictEqual(error._tag, "BadRequest")
        assert.strictEqual(asked().length, 0)
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect.each([
    ["queryTaskResults", "/api/4.0/query_tasks/..%2F7%3Fx/results", calls[1].call],
    ["killQuery", "/api/4.0/running_queries/..%2F7%3Fx", calls[2].call]
  ] as const)("with odd characters is encoded by %s", ([, target, call]) => {
    const { asked, layer } = answering({ status: 204 })
    return Effect.gen(function* () {
      yield* call("../7?x")
      assert.strictEqual(asked()[0]?.target, target)
    }).pipe(Effect.provide(layer))
  })
})

describe("queryTaskMultiResults", () => {
  const ask = (ids: ReadonlyArray<string>) => tasks.use((tasks) => tasks.queryTaskMultiResults(ids))

  it.live.each(httpClients)("sends its ids as one value with encoded commas ($name)", ({ http }) =>
    Effect.gen(function* () {
      const { asked, layer } = yield* overSocket(http, { json: {} })
      yield* ask(["a1", "b2", "c3"]).pipe(Effect.provide(layer))
      assert.strictEqual(asked()[0]?.target, "/api/4.0/query_tasks/multi_results?query_task_ids=a1%2Cb2%2Cc3")
    })
  )

  it.effect("asks about a repeated id once, in the order given", () => {
    const { asked, layer } = answering({ json: {} })
    return Effect.gen(function* () {
      yield* ask(["b", "a", "b", "c", "a"])
      assert.strictEqual(asked()[0]?.query.get("query_task_ids"), "b,a,c")
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks nothing for no ids, not even a token", () => {
    const { all, layer } = answering({ json: {} })
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* ask([]), {})
      assert.strictEqual(all.length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([["a,b"], [""], ["a", ""], ["a", "b,"]])(
    "refuses ids that would be read as others, or as none: %j, %j",
    (...ids) => {
      const { asked, layer } = answering({ json: {} })
      return Effect.gen(function* () {
        const error = yield* Effect.flip(ask(ids.flat().filter((id) => typeof id === "string")))
        assert.strictEqual(error._tag, "BadRequest")
        assert.strictEqual(asked().length, 0)
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("encodes what else an id may hold", () => {
    const { asked, layer } = answering({ json: {} })
    return Effect.gen(function* () {
      yield* ask(["a&b=c", "d e", "é"])
      assert.strictEqual(asked()[0]?.query.get("query_task_ids"), "a&b=c,d e,é")
      assert.deepStrictEqual([...(asked()[0]?.query.keys() ?? [])], ["query_task_ids"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives the values as they came, whatever their shape and order, and ids it did not ask for", () => {
    const json = {
      c: { status: "complete", data: [{ x: null }] },
      a: "odd",
      b: null,
      other: { status: "running", new: [1] }
    }
    const { layer } = answering({ json })
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* ask(["a", "b", "c"]), json)
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps a key that Object has of its own", () => {
    const { layer } = answering({ text: '{"__proto__":{"status":"running"}}' })
    return Effect.gen(function* () {
      const entries = yield* ask(["__proto__"])
      assert.deepStrictEqual(Object.entries(entries), [["__proto__", { status: "running" }]])
    }).pipe(Effect.provide(layer))
  })

  it.effect.each(["[]", "null", '"text"', "", "<html>Log in</html>", '{"a":'])(
    "fails with UnexpectedResponse for an answer of %j",
    (text) => {
      const { asked, layer } = answering({ text })
      return Effect.gen(function* () {
        const error = yield* Effect.flip(ask(["a"]))
        assert.strictEqual(error._tag, "UnexpectedResponse")
        assert.strictEqual(error.endpoint, "GET /query_tasks/multi_results")
        assert.strictEqual(asked().length, 1)
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect.each(["[]", "null", '"text"', "", "<html>Log in</html>", '{"a":'])(
    "fails with UnexpectedResponse for an answer of %j whose length is not known",
    (text) => {
      const { asked, layer } = answering({ text, chunked: true })
      return Effect.gen(function* () {
        const error = yield* Effect.flip(ask(["a"]))
        assert.strictEqual(error._tag, "UnexpectedResponse")
        assert.strictEqual(error.endpoint, "GET /query_tasks/multi_results")
        assert.strictEqual(asked().length, 1)
      }).pipe(Effect.provide(layer))
    }
  )
})

describe("queryTaskMultiResults, as its answer arrives,", () => {
  const parts = Stream.unwrap(tasks.use((tasks) => Effect.succeed(tasks.queryTaskMultiResultsStream(["a", "b", "c"]))))
  const small = { a: { status: "running" }, b: { status: "complete", data: [{ x: 1 }] }, c: { status: "killed" } }

  it.effect("gives an entry for each member, in the order of the answer", () => {
    const { layer } = answering({ json: small })
    return Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* Stream.runCollect(parts),
        Object.entries(small).map(([taskId, entry]) => ({ _tag: "Entry" as const, taskId, entry }))
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks nothing for no ids, not even a token", () => {
    const { all, layer } = answering({ json: {} })
    return Effect.gen(function* () {
      const none = yield* tasks.use((tasks) => Stream.runCollect(tasks.queryTaskMultiResultsStream([])))
      assert.strictEqual(none.length, 0)
      assert.strictEqual(all.length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks about further ids when it is sent, each id once", () => {
    const { all, layer } = answering({ json: {} })
    return Effect.gen(function* () {
      const service = yield* QueryTasks.QueryTasks
      const asking = service.queryTaskMultiResultsStream(["a", "b"], { onSend: () => ["b", "c"] })
      assert.isFalse(all.some(({ path }) => path.endsWith("/multi_results")))
      yield* Stream.runDrain(asking)
      const [request] = all.filter(({ path }) => path.endsWith("/multi_results"))
      assert.strictEqual(request?.query.get("query_task_ids"), "a,b,c")
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives numbers that a double cannot hold as their text", () => {
    const { layer } = answering({ text: '{"a":{"status":"complete","data":[{"n":12345678901234567890,"m":1.5}]}}' })
    return Effect.gen(function* () {
      const entries = yield* tasks.use((tasks) => tasks.queryTaskMultiResults(["a"]))
      assert.deepStrictEqual(entries, { a: { status: "complete", data: [{ n: "12345678901234567890", m: 1.5 }] } })
    }).pipe(Effect.provide(layer))
  })

  it.live.each(httpClients)("hands an entry over before the answer has ended ($name)", ({ http }) =>
    Effect.gen(function* () {
      const received = yield* Deferred.make<void>()
      let sent = 1
      // The second half comes after the first entry has been handed over, or never.
      const drip = Effect.suspend(() => (++sent === 3 ? Deferred.await(received) : Effect.void))
      const { layer } = yield* overSocket(http, { json: { ...small, c: { status: "x".repeat(60) } }, drip })
      const times: Array<number> = []
      yield* Stream.runForEach(parts, () => {
        times.push(sent)
        return Deferred.succeed(received, undefined)
      }).pipe(Effect.provide(layer))
      assert.strictEqual(times.length, 3)
      assert.isBelow(times[0] ?? 0, times[2] ?? 0)
    })
  )

  it.live.each(httpClients)("announces a large entry while it is still coming ($name)", ({ http }) =>
    Effect.gen(function* () {
      const json = {
        a: { status: "running" },
        b: { status: "complete", data: ["x".repeat(400_000)] },
        c: { status: "killed" }
      }
      const { layer } = yield* overSocket(http, { json, drip: Effect.sleep("50 millis") })
      const collected = yield* Stream.runCollect(parts).pipe(Effect.provide(layer))
      assert.deepStrictEqual(
        collected.map(({ _tag, taskId }) => [_tag, taskId]),
        [
          ["Entry", "a"],
          ["Large", "b"],
          ["Entry", "b"],
          ["Entry", "c"]
        ]
      )
    })
  )

  it.effect.each([
    { name: "breaks off", end: { reset: "midway" } },
    { name: "stalls", end: { stall: true } }
  ] as const)("fails with LookerUnavailable when it $name", ({ end }) => {
    const { asked, layer } = answering({ json: small, chunked: true, ...end })
    return Effect.gen(function* () {
      const seen: Array<string> = []
      const error = yield* runOut(
        Effect.flip(Stream.runForEach(parts, ({ taskId }) => Effect.sync(() => void seen.push(taskId)))),
        { step: "1 second" }
      )
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.strictEqual(error.endpoint, "GET /query_tasks/multi_results")
      assert.deepStrictEqual(seen, ["a"])
      assert.strictEqual(asked().length, 1)
    }).pipe(Effect.provide(layer))
  })

  const failure = (answer: StubLooker.Answer) => {
    const { layer } = answering({ headers: { "x-b3-traceid": "0af7" }, ...answer })
    return timed(Effect.flip(Stream.runDrain(parts)), { step: "1 second" }).pipe(Effect.provide(layer))
  }

  it.effect.each([
    { name: "whole", chunked: false, wait: 120_000 },
    { name: "in chunks", chunked: true, wait: 120_000 }
  ])("fails with LookerUnavailable after the timeout when it stalls, read $name", ({ chunked, wait }) =>
    Effect.gen(function* () {
      const { millis, value } = yield* failure({ json: small, stall: true, chunked })
      assert.strictEqual(value._tag, "LookerUnavailable")
      assert.strictEqual(value.message, "No response within 120 s")
      assert.strictEqual(value.endpoint, "GET /query_tasks/multi_results")
      assert.isTrue(millis >= wait && millis <= wait + 1000, String(millis))
    })
  )

  it.effect.each([false, true])(
    "fails with LookerUnavailable that may have reached Looker when it breaks off: %s",
    (chunked) =>
      Effect.gen(function* () {
        const { value } = yield* failure({ json: small, reset: "midway", chunked })
        assert.deepInclude(value, { _tag: "LookerUnavailable", reached: "maybe" })
        assert.include(value.message, "terminated")
      })
  )

  it.effect.each([false, true])("says what is wrong with one that is not readable, and how it begins: %s", (chunked) =>
    Effect.gen(function* () {
      const { value } = yield* failure({ text: `{"a":{"status":"running"},"b":${"x".repeat(600)}}`, chunked })
      assert.isTrue(value._tag === "UnexpectedResponse")
      if (value._tag !== "UnexpectedResponse") return
      assert.include(value.message, "no object of task ids: SyntaxError")
      assert.include(value.snippet, '{"a":{"status":"running"},"b":xxx')
      assert.strictEqual(value.status, 200)
      assert.strictEqual(value.traceId, "0af7")
    })
  )

  it.effect.each([
    // Read as it arrives: without a length, one of more than 64 kB, and one that is compressed (its length is not that of the text).
    { name: "has no length", length: undefined, encoding: undefined, seen: ["a"] },
    { name: "has 65,537 bytes", length: "65537", encoding: undefined, seen: ["a"] },
    { name: "has a content encoding", length: "10", encoding: "identity", seen: ["a"] },
    { name: "has 65,536 bytes", length: "65536", encoding: undefined, seen: [] },
    { name: "has 10 bytes", length: "10", encoding: undefined, seen: [] }
  ])("gives $seen before it breaks off when it $name", ({ encoding, length, seen }) => {
    const headers = {
      ...(length === undefined ? {} : { "content-length": length }),
      ...(encoding === undefined ? {} : { "content-encoding": encoding })
    }
    const { layer } = answering({ json: small, reset: "midway", chunked: true, headers })
    return Effect.gen(function* () {
      const found: Array<string> = []
      yield* Effect.flip(Stream.runForEach(parts, ({ taskId }) => Effect.sync(() => void found.push(taskId))))
      assert.deepStrictEqual(found, seen)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([false, true])(
    "gives numbers that a double cannot hold as their text, also in chunks: %s",
    (chunked) => {
      const text = '{"a":{"status":"complete","data":[{"n":12345678901234567890,"m":1.5}]}}'
      const { layer } = answering({ text, chunked })
      return Effect.gen(function* () {
        const entry = { status: "complete", data: [{ n: "12345678901234567890", m: 1.5 }] }
        assert.deepStrictEqual(yield* Stream.runCollect(parts), [{ _tag: "Entry" as const, taskId: "a", entry }])
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect.each([
    { name: "65,536 characters, its first quote among them,", length: 65_535, large: false },
    { name: "one more", length: 65_536, large: true }
  ])("takes an entry of $name as large: $large", ({ large, length }) => {
    // The entry is a text. All of it but the last quote arrives.
    const text = `{"b":"${"x".repeat(length)}`
    const rest = '"}'
    const padding = " ".repeat(text.length - rest.length)
    const { layer } = answering({ text: text + rest + padding, stall: true, chunked: true })
    return Effect.gen(function* () {
      const found: Array<string> = []
      yield* runOut(Effect.flip(Stream.runForEach(parts, ({ _tag }) => Effect.sync(() => void found.push(_tag)))), {
        step: "1 second"
      })
      assert.deepStrictEqual(found, large ? ["Large"] : [])
    }).pipe(Effect.provide(layer))
  })

  it.effect("is asked for again as a whole when it breaks off", () => {
    const { asked, layer } = answering({ json: small, reset: "midway" })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(tasks.use((tasks) => tasks.queryTaskMultiResults(["a"]))))
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.strictEqual(asked().length, 6)
    }).pipe(Effect.provide(layer))
  })
})

describe("killQuery", () => {
  it.effect("deletes the running query of the task", () => {
    const { asked, layer } = answering({ status: 204 })
    return Effect.gen(function* () {
      assert.isUndefined(yield* tasks.use((tasks) => tasks.killQuery("t1")))
      assert.deepStrictEqual(
        asked().map(({ method, target }) => [method, target]),
        [["DELETE", "/api/4.0/running_queries/t1"]]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with NotFound for a task that is finished, as JSON or as the page that was recorded", () =>
    Effect.gen(function* () {
      for (const answer of [
        { status: 404, json: { message: "Not found", documentation_url: null } },
        { status: 404, text: "<html><title>Looker Not Found (404)</title></html>", headers: { "content-type": "*/*" } }
      ]) {
        const error = yield* Effect.flip(
          tasks.use((tasks) => tasks.killQuery("t1")).pipe(Effect.provide(answering(answer).layer))
        )
        assert.strictEqual(error._tag, "NotFound")
      }
    })
  )
})

describe("allRunningQueries", () => {
  it.effect("gives what runs, with ids as text and everything else as it came", () => {
    const { asked, layer } = answering({
      json: [
        {
          id: 1,
          query_task_id: "t1",
          status: "Running",
          runtime: 0.5,
          user: { id: 5 },
          query: { id: 7 },
          a_new_key: 1
        },
        { id: "2" }
      ]
    })
    return Effect.gen(function* () {
      const running = yield* tasks.use((tasks) => tasks.allRunningQueries)
      assert.strictEqual(asked()[0]?.target, "/api/4.0/running_queries")
      assert.deepStrictEqual(running, [
        {
          id: "1",
          query_task_id: "t1",
          status: "Running",
          runtime: 0.5,
          user: { id: 5 },
          query: { id: "7" },
          a_new_key: 1
        },
        { id: "2" }
      ])
    }).pipe(Effect.provide(layer))
  })
})

describe("queryTaskResults", () => {
  const results = tasks.use((tasks) => tasks.queryTaskResults("t1"))
  const body = Effect.flatMap(results, (found) =>
    Option.match(found, { onNone: () => Effect.die(new Error("not finished")), onSome: Effect.succeed })
  )
  const text = Effect.flatMap(body, ({ text }) => text)
  const collected = Effect.flatMap(body, ({ bytes }) => Stream.mkString(Stream.decodeText(bytes)))

  it.effect.each([
    { name: "202 with a text", answer: { status: 202, text: "The query is not finished" } },
    { name: "202 with JSON", answer: { status: 202, json: { message: "not finished" } } },
    { name: "202 without a body", answer: { status: 202 } },
    { name: "204", answer: { status: 204 } }
  ])("is none while the query runs: $name", ({ answer }) => {
    const { asked, layer } = answering(answer)
    return Effect.gen(function* () {
      assert.isTrue(Option.isNone(yield* runOut(results)))
      assert.strictEqual(asked().length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    { type: "text/csv", text: "Origin,Count\nSFO,3\n" },
    { type: "application/json; charset=utf-8", text: '[{"a":1}]' },
    { type: "application/sql", text: "SELECT 1" },
    { type: "text/html", text: "<table></table>" },
    { type: "*/*", text: "a\tb\n" },
    { type: "text/csv", text: "" }
  ])("gives a body of type $type as it came: $text", ({ text: sent, type }) => {
    const { asked, layer } = answering({ text: sent, headers: { "content-type": type } })
    return Effect.gen(function* () {
      assert.strictEqual((yield* body).contentType, type)
      assert.strictEqual(yield* text, sent)
      assert.strictEqual(yield* collected, sent)
      assert.strictEqual(asked()[0]?.target, "/api/4.0/query_tasks/t1/results")
    }).pipe(Effect.provide(layer))
  })

  it.live("has an empty content type where Looker sends none", () =>
    Effect.gen(function* () {
      const { layer } = yield* overSocket(httpClients[0].http, { status: 200 })
      assert.strictEqual((yield* Effect.provide(body, layer)).contentType, "")
    })
  )

  it.effect("fails with BadRequest for a query that failed, and does not ask again", () => {
    const { asked, layer } = answering({
      status: 400,
      json: { message: "SQL Error: no such column", documentation_url: null }
    })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(results))
      assert.strictEqual(error._tag, "BadRequest")
      assert.strictEqual(error.message, "SQL Error: no such column")
      assert.strictEqual(asked().length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    { name: "text", read: text },
    { name: "bytes", read: collected }
  ])("fails with TruncatedResult when $name stall for the timeout", ({ read }) => {
    const { layer } = answering({ text: "Origin\nSFO\n", stall: true })
    return Effect.gen(function* () {
      const { millis, value } = yield* timed(Effect.flip(read), { step: "1 second" })
      assert.strictEqual(value._tag, "TruncatedResult")
      assert.strictEqual(value._tag === "TruncatedResult" && value.taskId, "t1")
      assert.strictEqual(millis, 120_000)
    }).pipe(Effect.provide(layer))
  })

  const csv = `Origin,Count\n${"SFO,3\n".repeat(100_000)}`

  describe.each(httpClients)("over a socket, with $name,", ({ http }) => {
    it.live("gives a large body as text and as bytes", () =>
      Effect.gen(function* () {
        const { layer } = yield* overSocket(http, { text: csv, headers: { "content-type": "text/csv" } })
        assert.isTrue((yield* text.pipe(Effect.provide(layer))) === csv)
        assert.isTrue((yield* collected.pipe(Effect.provide(layer))) === csv)
      })
    )

    it.live("gives an empty body as empty text and as no bytes", () =>
      Effect.gen(function* () {
        const { layer } = yield* overSocket(http, { text: "" })
        assert.strictEqual(yield* text.pipe(Effect.provide(layer)), "")
        assert.strictEqual(yield* collected.pipe(Effect.provide(layer)), "")
      })
    )

    it.live.each([
      { name: "text", read: text },
      { name: "bytes", read: collected }
    ])("fails with TruncatedResult when the body of $name breaks off", ({ read }) =>
      Effect.gen(function* () {
        const { asked, layer } = yield* overSocket(http, { text: csv, reset: "midway" })
        const error = yield* Effect.flip(read.pipe(Effect.provide(layer)))
        assert.strictEqual(error._tag, "TruncatedResult")
        assert.strictEqual(asked().length, 1)
      })
    )

    it.live("hands over the bytes that came before the body broke off", () =>
      Effect.gen(function* () {
        const { layer } = yield* overSocket(http, { text: "0123456789", stall: true }, "300 millis")
        const seen: Array<string> = []
        const error = yield* Effect.flip(
          Effect.flatMap(body, ({ bytes }) =>
            Stream.runForEach(bytes, (chunk) => Effect.sync(() => void seen.push(new TextDecoder().decode(chunk))))
          ).pipe(Effect.provide(layer))
        )
        assert.strictEqual(error._tag, "TruncatedResult")
        assert.strictEqual(seen.join(""), "01234")
      })
    )

    it.live.each([
      { name: "text", read: text },
      { name: "bytes", read: collected }
    ])("closes the socket when $name stall", ({ read }) =>
      Effect.gen(function* () {
        const { abandoned, layer } = yield* overSocket(http, { text: csv.slice(0, 1000), stall: true }, "200 millis")
        yield* Effect.gen(function* () {
          const start = yield* Clock.currentTimeMillis
          const error = yield* Effect.flip(read)
          assert.strictEqual(error._tag, "TruncatedResult")
          assert.isBelow((yield* Clock.currentTimeMillis) - start, 2_000)
          yield* eventually(() => abandoned.length > 0)
          assert.strictEqual(abandoned.length, 1)
        }).pipe(Effect.provide(layer))
      })
    )

    it.live("gives bytes that keep coming more time than the timeout in all", () =>
      Effect.gen(function* () {
        const { layer } = yield* overSocket(
          http,
          { text: "0123456789abcdef", drip: Effect.sleep("200 millis") },
          "600 millis"
        )
        assert.strictEqual(yield* collected.pipe(Effect.provide(layer)), "0123456789abcdef")
      })
    )

    it.live("closes the socket when the reader has had enough, or is interrupted", () =>
      Effect.gen(function* () {
        const { abandoned, layer } = yield* overSocket(http, { text: csv, stall: true })
        yield* Effect.gen(function* () {
          yield* Effect.flatMap(body, ({ bytes }) => Stream.runDrain(Stream.take(bytes, 1)))
          yield* eventually(() => abandoned.length > 0)
          assert.strictEqual(abandoned.length, 1)
          const fiber = yield* Effect.forkChild(text)
          yield* Effect.sleep("100 millis")
          yield* Fiber.interrupt(fiber)
          yield* eventually(() => abandoned.length > 1)
          assert.strictEqual(abandoned.length, 2)
        }).pipe(Effect.provide(layer))
      })
    )

    it.live("asks many times for a result that is not finished over few connections", () =>
      Effect.gen(function* () {
        const { layer, sockets } = yield* overSocket(http, { status: 202, text: "The query is not finished" })
        yield* Effect.gen(function* () {
          for (let count = 0; count < 20; count++) assert.isTrue(Option.isNone(yield* results))
        }).pipe(Effect.provide(layer))
        assert.isAtMost(sockets.size, 3)
      })
    )
  })
})
