import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { HttpClient, HttpClientError } from "effect/http"
import { LookerApi, type LookerError, LookerHttp, LookerPolicy, Queries, QueryTasks } from "effect-looker"
import { httpClients, looker } from "./support/layers.ts"
import * as observe from "./support/observe.ts"
import * as StubLooker from "./support/StubLooker.ts"
import { eventually, pass, runOut, timed } from "./support/time.ts"

const once: LookerPolicy.Options = { retry: Schedule.recurs(0) }
const quickly: LookerPolicy.Options = { retry: Schedule.spaced("1 millis").pipe(Schedule.upTo({ times: 5 })) }

type Scripted = StubLooker.Answer | Effect.Effect<StubLooker.Answer>

/** One answer for everything but login and logout; the last one goes on for ever. */
const always = (...answers: ReadonlyArray<Scripted>) => {
  let request = 0
  return StubLooker.withLogin(({ path }) =>
    path === "/api/4.0/login" || path === "/api/4.0/logout"
      ? undefined
      : (answers[Math.min(request++, answers.length - 1)] as Scripted)
  )
}

const withoutSession = (received: ReadonlyArray<StubLooker.Received>) =>
  received.filter(({ path }) => !/\/log(in|out)$/.test(path))

const query = Queries.Queries.use((queries) => queries.query("1"))
const createQuery = Queries.Queries.use((queries) => queries.createQuery({ model: "m", view: "v" }))
const createQueryTask = QueryTasks.QueryTasks.use((tasks) =>
  tasks.createQueryTask({ query_id: "7", result_format: "json" })
)
const killQuery = QueryTasks.QueryTasks.use((tasks) => tasks.killQuery("t1"))

const page = (title: string) =>
  `<!DOCTYPE html>\n<html><head><title>${title}</title></head><body>${"<p>x</p>".repeat(500)}</body></html>`

describe("a trace", () => {
  it.effect("is kept, and sent to Looker, where a tracer is installed, and not elsewhere", () => {
    const { layer, received } = StubLooker.inProcess(always({ json: { id: "1" } }))
    const observer = observe.make()
    return Effect.gen(function* () {
      yield* query
      yield* Effect.provide(query, observer.layer)
      const [untraced, traced] = withoutSession(received)
      assert.deepStrictEqual(
        [untraced, traced].map((request) => Object.keys(request?.headers ?? {}).includes("traceparent")),
        [false, true]
      )
      assert.sameMembers(
        observer.spans.map(({ name }) => name),
        ["Queries.query", "GET /queries/{query_id}"]
      )
    }).pipe(Effect.provide(looker(layer)))
  })
})

describe("a status", () => {
  const tags: ReadonlyArray<readonly [number, LookerError.HttpError["_tag"]]> = [
    [302, "UnexpectedResponse"],
    [304, "UnexpectedResponse"],
    [400, "BadRequest"],
    [401, "Unauthorized"],
    [403, "UnexpectedResponse"],
    [404, "NotFound"],
    [405, "UnexpectedResponse"],
    [409, "UnexpectedResponse"],
    [418, "UnexpectedResponse"],
    [422, "UnexpectedResponse"],
    [429, "TooManyRequests"],
    [500, "LookerUnavailable"],
    [501, "UnexpectedResponse"],
    [502, "LookerUnavailable"],
    [503, "LookerUnavailable"],
    [504, "LookerUnavailable"]
  ]
  const bodies: ReadonlyArray<StubLooker.Answer & { readonly name: string; readonly says?: string }> = [
    {
      name: "Looker's JSON",
      json: { message: "Looker says no", documentation_url: "https://docs" },
      says: "Looker says no"
    },
    {
      name: "a page of type text/html",
      text: page("A page"),
      headers: { "content-type": "text/html" },
      says: "A page"
    },
    { name: "a page of type */*", text: page("A page"), headers: { "content-type": "*/*" }, says: "A page" },
    {
      name: "a page that calls itself JSON",
      text: page("A page"),
      headers: { "content-type": "application/json" },
      says: "A page"
    },
    { name: "no body" },
    {
      name: "broken JSON",
      text: '{"message":"Looker sa',
      headers: { "content-type": "application/json" },
      says: "Looker sa"
    },
    { name: "JSON without a message", json: { message: null, documentation_url: null } },
    { name: "JSON that is no object", json: ["no"] },
    { name: "JSON with a message that is no text", json: { message: { en: "no" }, errors: "none" } },
    { name: "plain text", text: "upstream connect error", says: "upstream connect error" }
  ]

  it.effect.each(tags.flatMap(([status, tag]) => bodies.map((body) => ({ ...body, status, tag }))))(
    "$status with $name is $tag",
    ({ says, status, tag, ...answer }) => {
      const stub = StubLooker.inProcess(
        always({ ...answer, status, headers: { ...answer.headers, "X-B3-TraceId": "trace-1" } })
      )
      return Effect.gen(function* () {
        const error = yield* Effect.flip(query)
        assert.strictEqual(error._tag, tag)
        assert.isNotEmpty(error.message)
        assert.isBelow(error.message.length, 700)
        if (says && status !== 304) assert.include(error.message, says)
        assert.strictEqual(error.endpoint, "GET /queries/1")
        assert.strictEqual(error.traceId, "trace-1")
        if (answer.name === "Looker's JSON" && status !== 304)
          assert.strictEqual(error.documentationUrl, "https://docs")
        if (error._tag === "UnexpectedResponse" || error._tag === "LookerUnavailable") {
          assert.strictEqual(error.status, status)
        }
      }).pipe(Effect.provide(looker(stub.layer, { policy: once })))
    }
  )

  it.effect("that the contract lacks here keeps the beginning of the body", () => {
    const stub = StubLooker.inProcess(always({ status: 409, json: { message: "m", documentation_url: null } }))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(query)
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.strictEqual(error.message, "Looker's contract has no such response here: m")
    }).pipe(Effect.provide(looker(stub.layer, { policy: once })))
  })

  it.effect.each([
    { name: "create_query", call: createQuery },
    { name: "create_query_task", call: createQueryTask },
    { name: "kill_query", call: killQuery }
  ] as ReadonlyArray<{
    name: string
    call: Effect.Effect<unknown, LookerError.HttpError, Queries.Queries | QueryTasks.QueryTasks>
  }>)("422 of $name is ValidationFailed with its fields", ({ call }) => {
    const errors = [
      { field: "view", code: "missing_field", message: "This field is required.", documentation_url: "https://docs" },
      { field: null, code: null, message: null, documentation_url: "https://docs" },
      {}
    ]
    const stub = StubLooker.inProcess(
      always({ status: 422, json: { message: "Validation Failed", errors, documentation_url: "https://docs" } })
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip(call)
      assert.strictEqual(error._tag, "ValidationFailed")
      assert.strictEqual(error.message, "Validation Failed")
      assert.deepStrictEqual(error._tag === "ValidationFailed" && error.errors, errors)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect.each([{ errors: null }, {}, { errors: [] }])("422 has no fields when Looker names none: %j", (errors) => {
    const stub = StubLooker.inProcess(
      always({ status: 422, json: { message: "Validation Failed", documentation_url: null, ...errors } })
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip(createQuery)
      assert.strictEqual(error.message, "Validation Failed")
      assert.deepStrictEqual(error._tag === "ValidationFailed" && error.errors, [])
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect.each([createQuery, createQueryTask] as ReadonlyArray<
    Effect.Effect<unknown, LookerError.HttpError, Queries.Queries | QueryTasks.QueryTasks>
  >)("409 is Conflict where something is created (%#)", (call) => {
    const stub = StubLooker.inProcess(
      always({ status: 409, json: { message: "exists already", documentation_url: "https://docs" } })
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip(call)
      assert.strictEqual(error._tag, "Conflict")
      assert.strictEqual(error.message, "exists already")
      assert.strictEqual(withoutSession(stub.received).length, 1)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect.each([
    {
      name: "a login page",
      text: page("Log in"),
      headers: { "content-type": "text/html" },
      snippet: "<title>Log in</title>"
    },
    {
      name: "a login page that calls itself JSON",
      text: page("Log in"),
      headers: { "content-type": "application/json" },
      snippet: "Log in"
    },
    { name: "a list", json: [1, 2], snippet: "[1,2]" },
    { name: "null", text: "null", snippet: "null" },
    { name: "a field of the wrong type", json: { id: "1", model: 5 }, snippet: '"model":5' },
    { name: "nothing", text: "", snippet: "" }
  ] as ReadonlyArray<StubLooker.Answer & { name: string; snippet: string }>)(
    "200 with $name is UnexpectedResponse with status and the beginning of the body",
    ({ snippet, ...answer }) => {
      const stub = StubLooker.inProcess(
        always({ ...answer, headers: { ...answer.headers, "x-b3-traceid": "trace-1" } })
      )
      return Effect.gen(function* () {
        const error = yield* Effect.flip(query)
        assert.strictEqual(error._tag, "UnexpectedResponse")
        if (error._tag !== "UnexpectedResponse") return
        assert.strictEqual(error.status, 200)
        assert.include(error.snippet ?? "", snippet)
        assert.isBelow(error.snippet?.length ?? 0, 510)
        assert.strictEqual(error.endpoint, "GET /queries/1")
        assert.strictEqual(error.traceId, "trace-1")
        assert.strictEqual(withoutSession(stub.received).length, 1)
      }).pipe(Effect.provide(looker(stub.layer)))
    }
  )

  it.effect.each([201, 202, 204, 206])("%d where 200 is due is UnexpectedResponse", (status) => {
    const stub = StubLooker.inProcess(always({ status, json: { id: "1" } }))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(query)
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.strictEqual(error._tag === "UnexpectedResponse" && error.status, status)
    }).pipe(Effect.provide(looker(stub.layer)))
  })
})

describe("a request", () => {
  it.effect("prefers JSON, says who sends it, and carries the token", () => {
    const stub = StubLooker.inProcess(always({ json: { id: "1" } }))
    return Effect.gen(function* () {
      yield* query
      for (const { headers } of stub.received) {
        assert.match(headers.accept ?? "", /^application\/json/)
        assert.strictEqual(headers["x-looker-appid"], "effect-looker")
      }
      assert.strictEqual(stub.received[1]?.headers.authorization, "Bearer token-1")
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("goes under the path of a proxy, and its errors name it without", () => {
    const stub = StubLooker.inProcess(({ path }) =>
      path === "/looker/api/4.0/login" ? { json: { access_token: "t", expires_in: 60 } } : { status: 404 }
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip(query)
      assert.strictEqual(stub.received[1]?.path, "/looker/api/4.0/queries/1")
      assert.strictEqual(error.endpoint, "GET /queries/1")
    }).pipe(Effect.provide(looker(stub.layer, { baseUrl: "https://proxy.acme.com/looker/" })))
  })

  it.effect("can be made to an endpoint that has no service", () => {
    const stub = StubLooker.inProcess(always({ json: { id: 5, display_name: "A. User", a_new_key: true } }))
    return Effect.gen(function* () {
      const user = yield* LookerHttp.LookerHttp.use((http) =>
        http.call(LookerApi.me, (send) => send({ query: { fields: "id" } }))
      )
      assert.strictEqual(user.id, "5")
      assert.strictEqual(user.a_new_key, true)
      assert.strictEqual(stub.received[1]?.target, "/api/4.0/user?fields=id")
    }).pipe(Effect.provide(looker(stub.layer)))
  })
})

describe("a body", () => {
  const results = (answer: StubLooker.Answer) => {
    const stub = StubLooker.inProcess(always(answer))
    return LookerHttp.LookerHttp.use(({ call }) =>
      call(LookerApi.queryTaskResults, (send) => send({ params: { query_task_id: "t1" } }))
    ).pipe(Effect.provide(looker(stub.layer)))
  }

  it.effect("is what the contract says of its status: bytes, a text, or nothing", () =>
    Effect.gen(function* () {
      const bytes = yield* results({ text: "[1, 2]", headers: { "content-type": "application/json" } })
      assert.isTrue(Stream.isStream(bytes))
      if (Stream.isStream(bytes)) assert.strictEqual(yield* Stream.mkString(Stream.decodeText(bytes)), "[1, 2]")
      assert.strictEqual(yield* results({ status: 202, text: "not finished" }), "not finished")
      assert.isUndefined(yield* results({ status: 204 }))
    })
  )

  it.effect("is an error at a success status that the contract does not have", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(results({ status: 206, text: "a part" }))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      if (error._tag !== "UnexpectedResponse") return
      assert.strictEqual(error.status, 206)
      assert.strictEqual(error.snippet, "a part")
      assert.strictEqual(error.endpoint, "GET /query_tasks/t1/results")
    })
  )

  it.effect("comes with the response where that is asked for", () => {
    const stub = StubLooker.inProcess(always({ json: { id: 5 }, headers: { "x-b3-traceid": "trace-1" } }))
    return Effect.gen(function* () {
      const [user, response] = yield* LookerHttp.LookerHttp.use(({ call }) =>
        call(LookerApi.me, (send) => send({ query: {}, responseMode: "decoded-and-response" }))
      )
      assert.strictEqual(user.id, "5")
      assert.strictEqual(response.headers["x-b3-traceid"], "trace-1")
    }).pipe(Effect.provide(looker(stub.layer)))
  })
})

/** When each request came, in milliseconds since the first. */
const timeline = (...answers: ReadonlyArray<Scripted>) => {
  const times: Array<number> = []
  const timedAnswers = answers.map((answer) =>
    Effect.gen(function* () {
      times.push(yield* Clock.currentTimeMillis)
      return Effect.isEffect(answer) ? yield* answer : answer
    })
  )
  return {
    ...StubLooker.inProcess(always(...timedAnswers)),
    pauses: () => times.slice(1).map((time, index) => time - (times[index] ?? 0))
  }
}

describe("a retry", () => {
  it.effect("comes five times, after 0.25 s and then twice as long each time, give or take a fifth", () => {
    const stub = timeline({ status: 503 })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(query))
      assert.strictEqual(error._tag, "LookerUnavailable")
      const pauses = stub.pauses()
      assert.strictEqual(pauses.length, 5)
      for (const [index, pause] of pauses.entries()) {
        const expected = 250 * 2 ** index
        assert.isAtLeast(pause, expected * 0.8 - 10)
        assert.isAtMost(pause, expected * 1.2 + 10)
      }
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("ends with the first success", () => {
    const stub = timeline({ status: 503, text: page("Down") }, { status: 429 }, { json: { id: "1" } })
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(query)).id, "1")
      assert.strictEqual(withoutSession(stub.received).length, 3)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  const date = (seconds: number) => new Date(seconds * 1000).toUTCString()

  it.effect.each([
    { header: "7", least: 7000, most: 7000 },
    { header: " 7 ", least: 7000, most: 7000 },
    { header: "60", least: 60_000, most: 60_000 },
    { header: "61", least: 60_000, most: 60_000 },
    { header: "86400", least: 60_000, most: 60_000 },
    { header: "99999999999999999999999999", least: 60_000, most: 60_000 },
    { header: date(30), least: 30_000, most: 30_000 },
    { header: date(3600), least: 60_000, most: 60_000 },
    { header: date(-3600), least: 200, most: 310 },
    { header: "0", least: 200, most: 310 },
    { header: "-5", least: 200, most: 310 },
    { header: "1.5", least: 200, most: 310 },
    { header: "soon", least: 200, most: 310 },
    { header: "", least: 200, most: 310 },
    { header: undefined, least: 200, most: 310 },
    { header: "5", status: 503, least: 5000, most: 5000 },
    { header: date(20), status: 503, least: 20_000, most: 20_000 },
    { header: "30", cap: "10 seconds", least: 10_000, most: 10_000 }
  ] as ReadonlyArray<{ header?: string; status?: number; cap?: Duration.Input; least: number; most: number }>)(
    "after $status with Retry-After: $header waits $least to $most ms (cap $cap)",
    ({ cap, header, least, most, status }) => {
      const stub = timeline(
        { status: status ?? 429, ...(header === undefined ? {} : { headers: { "Retry-After": header } }) },
        { json: { id: "1" } }
      )
      return Effect.gen(function* () {
        yield* runOut(query)
        const [pause = 0] = stub.pauses()
        assert.isAtLeast(pause, least)
        assert.isAtMost(pause, most)
      }).pipe(Effect.provide(looker(stub.layer, { policy: cap === undefined ? {} : { retryAfterCap: cap } })))
    }
  )

  it.effect("waits for the server's wish each time, and never less than the backoff", () => {
    const stub = timeline({ status: 429, headers: { "retry-after": "2" } })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(query))
      assert.strictEqual(error._tag, "TooManyRequests")
      const pauses = stub.pauses()
      assert.strictEqual(pauses.length, 5)
      assert.deepStrictEqual(pauses.slice(0, 3), [2000, 2000, 2000])
      assert.isAtLeast(pauses[4] ?? 0, 3190)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("gives the caller the Retry-After of the server when it gives up", () => {
    const stub = timeline({ status: 429, headers: { "retry-after": "90" } })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(query), { step: "1 second" })
      assert.strictEqual(error._tag, "TooManyRequests")
      const wish = error._tag === "TooManyRequests" ? error.retryAfter : undefined
      assert.strictEqual(wish?._tag === "Duration" ? Duration.toSeconds(wish.duration) : 0, 90)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  const codes = {
    no: [
      "ECONNREFUSED",
      "ENOTFOUND",
      "EAI_AGAIN",
      "EHOSTUNREACH",
      "ENETUNREACH",
      "UND_ERR_CONNECT_TIMEOUT",
      "ConnectionRefused"
    ],
    maybe: ["ECONNRESET", "EPIPE", "ETIMEDOUT", "UND_ERR_SOCKET"]
  }
  const failures: ReadonlyArray<{ name: string; answer: Scripted; safe: boolean }> = [
    { name: "429", answer: { status: 429 }, safe: true },
    { name: "503", answer: { status: 503 }, safe: true },
    { name: "503 with a page", answer: { status: 503, text: page("Down") }, safe: true },
    ...codes.no.map((code) => ({ name: code, answer: { reset: "before" as const, code }, safe: true })),
    { name: "500", answer: { status: 500 }, safe: false },
    { name: "502", answer: { status: 502 }, safe: false },
    { name: "502 with a page", answer: { status: 502, text: page("Bad Gateway") }, safe: false },
    { name: "504", answer: { status: 504 }, safe: false },
    { name: "silence", answer: Effect.never, safe: false },
    { name: "half of a body", answer: { json: { id: "1", model: "m" }, reset: "midway" }, safe: false },
    { name: "half of a body and silence", answer: { json: { id: "1", model: "m" }, stall: true }, safe: false },
    {
      name: "half of an error and silence",
      answer: { status: 502, json: { message: "no" }, stall: true },
      safe: false
    },
    ...codes.maybe.map((code) => ({ name: code, answer: { reset: "before" as const, code }, safe: false }))
  ]
  const methods: ReadonlyArray<{
    name: string
    call: Effect.Effect<unknown, LookerError.HttpError, Queries.Queries | QueryTasks.QueryTasks>
    repeatable: boolean
    policy?: LookerPolicy.Options
  }> = [
    { name: "GET /queries/1", call: query, repeatable: true },
    { name: "POST /queries", call: createQuery, repeatable: true },
    { name: "DELETE /running_queries/t1", call: killQuery, repeatable: true },
    { name: "POST /query_tasks", call: createQueryTask, repeatable: false },
    {
      name: "POST /query_tasks with lostAnswer",
      call: createQueryTask,
      repeatable: true,
      policy: { lostAnswer: "repeat" }
    }
  ]

  it.effect.each(
    methods.flatMap(({ name, ...method }) =>
      failures
        .filter((failure) => !(method.call === killQuery && failure.name.startsWith("half of a body")))
        .map((failure) => ({
          ...failure,
          ...method,
          method: name,
          requests: failure.safe || method.repeatable ? 6 : 1
        }))
    )
  )("sends $method $requests times through $name", ({ answer, call, policy, requests }) => {
    const stub = StubLooker.inProcess(always(answer))
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(call), { step: "100 millis" })
      assert.include(["LookerUnavailable", "TooManyRequests"], error._tag)
      assert.strictEqual(withoutSession(stub.received).length, requests)
    }).pipe(Effect.provide(looker(stub.layer, { timeout: "3 seconds", policy: policy ?? {} })))
  })

  it.effect.each([
    { code: "DEPTH_ZERO_SELF_SIGNED_CERT", says: "Set LOOKERSDK_CA_FILE" },
    { code: "SELF_SIGNED_CERT_IN_CHAIN", says: "NODE_EXTRA_CA_CERTS" },
    { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", says: "Set LOOKERSDK_CA_FILE" },
    { code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", says: "Set LOOKERSDK_CA_FILE" },
    { code: "CERT_REVOKED", says: "is not trusted" },
    { code: "CERT_HAS_EXPIRED", says: "has to be renewed" },
    { code: "CERT_NOT_YET_VALID", says: "clock of this machine" },
    { code: "ERR_TLS_CERT_ALTNAME_INVALID", says: "Write the name in it as the base URL" },
    { code: "ERR_SSL_WRONG_VERSION_NUMBER", says: "write http://" },
    { code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", says: "No TLS connection with looker.test" },
    { code: "EPROTO", says: "No TLS connection with looker.test" }
  ])("does not come after a TLS handshake that failed with $code, and the error says what to set", ({ code, says }) => {
    const stub = StubLooker.inProcess(always({ reset: "before", code }))
    return Effect.gen(function* () {
      const { millis, value: error } = yield* timed(Effect.flip(query))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.include(error.message, code)
      assert.include(error.message, says)
      assert.strictEqual(millis, 0)
      assert.strictEqual(withoutSession(stub.received).length, 1)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect.each(["ERR_SSL_UNEXPECTED_EOF_WHILE_READING", "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC"])(
    "comes after a TLS connection that broke with %s",
    (code) => {
      const stub = StubLooker.inProcess(always({ reset: "before", code }, { json: { id: "1" } }))
      return Effect.gen(function* () {
        assert.strictEqual((yield* runOut(query)).id, "1")
      }).pipe(Effect.provide(looker(stub.layer)))
    }
  )

  it.effect.each([
    { name: "a host that does not exist", answer: { reset: "before", code: "ENOTFOUND" } },
    { name: "a port where nothing listens", answer: { reset: "before", code: "ECONNREFUSED" } },
    { name: "a server that is down", answer: { status: 502 } }
  ] as const)("says in the end how often and how long $name was tried", ({ answer }) => {
    const stub = timeline(answer)
    return Effect.gen(function* () {
      const { millis, value: error } = yield* timed(Effect.flip(query))
      assert.strictEqual(error._tag, "LookerUnavailable")
      const [, seconds] = /\(tried 6 times in (\d+\.\d) s\)$/.exec(error.message) ?? []
      // The steps of test time come between the two readings of the clock.
      assert.closeTo(Number(seconds), millis / 1000, 0.15)
      assert.strictEqual(withoutSession(stub.received).length, 6)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("is not mentioned where there was none", () => {
    const stub = timeline({ status: 502 })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(query)
      assert.strictEqual(error.message, "HTTP status 502")
    }).pipe(Effect.provide(looker(stub.layer, { policy: once })))
  })

  it.effect.each([400, 403, 404, 409, 418, 422])("does not come after %d", (status) => {
    const stub = StubLooker.inProcess(always({ status }))
    return Effect.gen(function* () {
      yield* runOut(Effect.flip(query))
      assert.strictEqual(withoutSession(stub.received).length, 1)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("follows the caller's schedule, with the server's wish as the least", () => {
    const stub = timeline(
      { status: 503 },
      { status: 503, headers: { "retry-after": "5" } },
      { status: 503, headers: { "retry-after": "1" } }
    )
    return Effect.gen(function* () {
      yield* runOut(Effect.flip(query))
      assert.deepStrictEqual(stub.pauses(), [3000, 5000, 3000])
    }).pipe(
      Effect.provide(
        looker(stub.layer, { policy: { retry: Schedule.spaced("3 seconds").pipe(Schedule.upTo({ times: 3 })) } })
      )
    )
  })

  it.effect("is never a second create_query_task, whatever the caller's schedule", () => {
    const stub = timeline({ status: 502 })
    return Effect.gen(function* () {
      yield* runOut(Effect.flip(createQueryTask))
      assert.strictEqual(withoutSession(stub.received).length, 1)
    }).pipe(Effect.provide(looker(stub.layer, { policy: { retry: Schedule.spaced("1 second") } })))
  })

  it.effect.each([400, 404, 409, 418])("does not come after %d on the caller's schedule either", (status) => {
    const stub = timeline({ status })
    return Effect.gen(function* () {
      yield* runOut(Effect.flip(query))
      assert.strictEqual(withoutSession(stub.received).length, 1)
    }).pipe(Effect.provide(looker(stub.layer, { policy: { retry: Schedule.spaced("1 second") } })))
  })

  it.effect("comes at another moment for each of the fibers that failed at once", () => {
    const stub = timeline(...Array.from({ length: 20 }, () => ({ status: 503 })), { json: { id: "1" } })
    return Effect.gen(function* () {
      yield* runOut(Effect.replicateEffect(query, 20, { concurrency: "unbounded" }))
      const moments = stub.pauses().slice(19)
      assert.strictEqual(moments.length, 20)
      assert.isAbove(moments.filter((pause) => pause > 0).length, 3)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("stops when its fiber is interrupted", () => {
    const stub = timeline({ status: 503 })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(query)
      yield* pass("1 second")
      yield* Fiber.interrupt(fiber)
      const before = stub.received.length
      yield* pass("1 minute", "1 second")
      assert.strictEqual(stub.received.length, before)
    }).pipe(Effect.provide(looker(stub.layer)))
  })
})

describe("the timeout", () => {
  it.effect.each([
    { name: "no answer", answer: Effect.never },
    { name: "half of an answer", answer: { json: { id: "1", model: "m" }, stall: true } }
  ] as ReadonlyArray<{ name: string; answer: Scripted }>)("ends a request with $name", ({ answer }) => {
    const stub = StubLooker.inProcess(always(answer))
    return Effect.gen(function* () {
      const { millis, value } = yield* timed(Effect.flip(query))
      assert.strictEqual(millis, 7000)
      assert.strictEqual(value._tag, "LookerUnavailable")
      assert.strictEqual(value.message, "No response within 7 s")
      assert.strictEqual(value.endpoint, "GET /queries/1")
    }).pipe(Effect.provide(looker(stub.layer, { timeout: "7 seconds", policy: once })))
  })

  it.effect("is 120 seconds unless set", () => {
    const stub = StubLooker.inProcess(always(Effect.never))
    return Effect.gen(function* () {
      const { millis } = yield* timed(Effect.flip(query), { step: "1 second" })
      assert.strictEqual(millis, 120_000)
    }).pipe(Effect.provide(looker(stub.layer, { policy: once })))
  })

  it.effect("counts anew for each try, and not while it waits for the next", () => {
    const stub = StubLooker.inProcess(
      always(
        { status: 429, headers: { "retry-after": "60" } },
        Effect.delay(Effect.succeed({ json: { id: "1" } }), "6 seconds")
      )
    )
    return Effect.gen(function* () {
      const { millis } = yield* timed(query, { step: "100 millis" })
      assert.strictEqual(millis, 66_000)
    }).pipe(Effect.provide(looker(stub.layer, { timeout: "7 seconds" })))
  })

  it.live.each(
    httpClients.flatMap((client) => [
      { ...client, after: "no answer", answer: Effect.never },
      { ...client, after: "half of an answer", answer: { json: { id: "1", model: "m".repeat(1000) }, stall: true } },
      {
        ...client,
        after: "half of an error",
        answer: { status: 502, json: { message: "m".repeat(1000) }, stall: true }
      }
    ])
  )("closes the socket after $after ($name)", ({ answer, http }) =>
    Effect.gen(function* () {
      const stub = yield* StubLooker.onSocket(always(answer))
      const start = yield* Clock.currentTimeMillis
      const abandoned = yield* Effect.gen(function* () {
        const error = yield* Effect.flip(query)
        assert.strictEqual(error._tag, "LookerUnavailable")
        assert.isBelow((yield* Clock.currentTimeMillis) - start, 2000)
        yield* eventually(() => stub.abandoned.length > 0)
        return stub.abandoned.map(({ path }) => path)
      }).pipe(Effect.provide(looker(http, { baseUrl: stub.baseUrl, timeout: "200 millis", policy: once })))
      assert.deepStrictEqual(abandoned, ["/api/4.0/queries/1"])
    })
  )

  it.live.each(httpClients)("an interruption closes the socket ($name)", ({ http }) =>
    Effect.gen(function* () {
      const stub = yield* StubLooker.onSocket(always(Effect.never))
      yield* Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(query)
        while (withoutSession(stub.received).length === 0) yield* Effect.sleep("5 millis")
        yield* Fiber.interrupt(fiber)
        yield* eventually(() => stub.abandoned.length > 0)
        assert.strictEqual(stub.abandoned.length, 1)
      }).pipe(Effect.provide(looker(http, { baseUrl: stub.baseUrl })))
    })
  )
})

describe.each(httpClients)("over a socket, with $name,", ({ http }) => {
  it.live("a server that speaks no TLS is distinguished from one that is away, after one request", () =>
    Effect.gen(function* () {
      const stub = yield* StubLooker.onSocket(always({ json: {} }))
      const baseUrl = stub.baseUrl.replace("http:", "https:")
      const error = yield* Effect.flip(query).pipe(Effect.provide(looker(http, { baseUrl })))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.include(error.message, "write http://")
    })
  )

  const live = (script: StubLooker.Script, policy: LookerPolicy.Options = quickly) =>
    Effect.map(StubLooker.onSocket(script), (stub) => ({
      ...stub,
      layer: looker(http, { baseUrl: stub.baseUrl, policy })
    }))

  it.live.each(["before", "midway"] as const)("a connection reset %s the answer is retried", (reset) =>
    Effect.gen(function* () {
      const answer = { json: { id: "1", model: "m".repeat(100_000) } }
      const stub = yield* live(always({ ...answer, reset }, { ...answer, reset }, answer))
      const found = yield* query.pipe(Effect.provide(stub.layer))
      assert.strictEqual(found.model?.length, 100_000)
      assert.strictEqual(withoutSession(stub.received).length, 3)
    })
  )

  it.live.each(["before", "midway"] as const)(
    "a connection reset %s the answer does not start a second task",
    (reset) =>
      Effect.gen(function* () {
        const stub = yield* live(always({ json: { id: "t1", source: "m".repeat(100_000) }, reset }))
        const error = yield* Effect.flip(createQueryTask.pipe(Effect.provide(stub.layer)))
        assert.strictEqual(error._tag, "LookerUnavailable")
        assert.strictEqual(error._tag === "LookerUnavailable" && error.reached, "maybe")
        assert.strictEqual(error.endpoint, "POST /query_tasks")
        assert.strictEqual(withoutSession(stub.received).length, 1)
      })
  )

  it.live("a refused connection was not reached, and is named", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* Effect.scoped(StubLooker.onSocket(() => ({})))
      const error = yield* Effect.flip(createQueryTask.pipe(Effect.provide(looker(http, { baseUrl, policy: quickly }))))
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.strictEqual(error._tag === "LookerUnavailable" && error.reached, "no")
      assert.include(error.message, "ECONNREFUSED")
    })
  )

  it.live("a host that does not exist was not reached, and is named", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        query.pipe(Effect.provide(looker(http, { baseUrl: "http://looker.invalid", policy: once })))
      )
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.strictEqual(error._tag === "LookerUnavailable" && error.reached, "no")
      assert.include(error.message, "looker.invalid")
    })
  )

  it.live("a redirect to a login page is UnexpectedResponse, and the other host sees no token", () =>
    Effect.gen(function* () {
      const other = yield* StubLooker.onSocket(() => ({
        text: page("Log in"),
        headers: { "content-type": "text/html" }
      }))
      const stub = yield* live(always({ status: 302, headers: { location: `${other.baseUrl}/login` } }))
      const error = yield* Effect.flip(query.pipe(Effect.provide(stub.layer)))
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.isTrue(other.received.every(({ headers }) => headers.authorization === undefined))
    })
  )

  it.live("answers keep their connection open for the next request", () =>
    Effect.gen(function* () {
      const stub = yield* live(always({ json: { id: "1" } }, { status: 404 }, { status: 503 }, { json: { id: "1" } }))
      yield* Effect.gen(function* () {
        for (let call = 0; call < 10; call++) yield* Effect.ignore(query)
      }).pipe(Effect.provide(stub.layer))
      assert.isAtLeast(withoutSession(stub.received).length, 10)
      assert.isAtMost(stub.sockets.size, 2)
    })
  )
})

describe("an error of the connection", () => {
  const failing = (cause: unknown, description?: string) =>
    Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) =>
        Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, cause, ...(description ? { description } : {}) })
          })
        )
      )
    )
  const refused = Object.assign(new Error("connect ECONNREFUSED ::1:443"), { code: "ECONNREFUSED" })

  it.effect.each([
    { name: "an AggregateError", cause: new AggregateError([refused]), says: "ECONNREFUSED", reached: "no" },
    {
      name: "a cause of a cause",
      cause: new TypeError("fetch failed", { cause: refused }),
      says: "ECONNREFUSED",
      reached: "no"
    },
    {
      name: "an AggregateError as the cause",
      cause: new TypeError("fetch failed", { cause: new AggregateError([refused]) }),
      says: "ECONNREFUSED",
      reached: "no"
    },
    { name: "an error without a code", cause: new Error("socket hang up"), says: "socket hang up", reached: "maybe" },
    { name: "an error without words", cause: new Error(""), says: "Error", reached: "maybe" },
    { name: "a text", cause: "broken", says: "the connection broke", reached: "maybe" },
    { name: "nothing", cause: undefined, says: "the connection broke", reached: "maybe" },
    { name: "a numeric code", cause: Object.assign(new Error("odd"), { code: 7 }), says: "odd", reached: "maybe" }
  ] as const)("is read from $name", ({ cause, reached, says }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(query)
      assert.strictEqual(error._tag, "LookerUnavailable")
      assert.strictEqual(error._tag === "LookerUnavailable" && error.reached, reached)
      assert.include(error.message, says)
    }).pipe(Effect.provide(looker(failing(cause), { policy: once })))
  )
})

describe("settings for certificates", () => {
  it.effect.each([
    { settings: { verifySsl: false }, says: "verify_ssl is off, which" },
    { settings: { caFile: "/etc/ca.pem" }, says: "ca_file is set, which" },
    { settings: { verifySsl: false, caFile: "/etc/ca.pem" }, says: "verify_ssl is off and ca_file is set, which" }
  ])("are warned about where the HTTP client does not read them: $says", ({ settings, says }) => {
    const observer = observe.make()
    const { layer } = StubLooker.inProcess(always({ json: { id: "1" } }))
    return Effect.gen(function* () {
      yield* Effect.provide(query, looker(layer, settings))
      assert.include(observer.text(), says)
      assert.include(observer.text(), "effect-looker/node")
    }).pipe(Effect.provide(observer.layer))
  })
})

describe("LookerPolicy", () => {
  it.effect.each([
    { chunkSize: 0 },
    { chunkSize: 251 },
    { chunkSize: 1.5 },
    { chunkSize: -1 },
    { chunkSize: Number.NaN },
    { pollInterval: 0 },
    { pollInterval: "-1 seconds" },
    { pollInterval: "often" },
    { pollIntervalMax: 0 },
    { pollRequestsPerSecond: 0 },
    { pollRequestsPerSecond: -10 },
    { pollRequestsPerSecond: Number.NaN },
    { grace: 0 },
    { cleanupTimeout: 0 },
    { retryAfterCap: -1 },
    { tokenLead: -1 },
    { tokenLead: "a while" },
    { grace: Number.NaN },
    { cleanupTimeout: {} },
    { pollRequestsPerSecond: "25" },
    { chunkSize: "100" },
    { retry: "often" },
    { poll: 5 },
    { rateLimit: { limit: "100", window: "1 second" } },
    { rateLimit: { limit: 100, window: "a second" } },
    { rateLimit: { limit: Number.NaN, window: "1 second" } },
    { rateLimit: { limit: 100, window: Number.NaN } }
  ] as unknown as ReadonlyArray<LookerPolicy.Options>)("refuses %j and names it", (options) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.void.pipe(Effect.provide(LookerPolicy.layer(options))))
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.include(error.message, Object.keys(options)[0] ?? "")
    })
  )

  it.effect.each([
    { chunkSize: 1 },
    { chunkSize: 250 },
    { tokenLead: 0 },
    { pollRequestsPerSecond: 0.1 },
    { pollRequestsPerSecond: Number.POSITIVE_INFINITY },
    { grace: "1 hour" }
  ] as ReadonlyArray<LookerPolicy.Options>)("takes %j", (options) => LookerPolicy.make(options))

  it.effect("polls as seldom as pollInterval says, even where that is more than pollIntervalMax", () =>
    Effect.gen(function* () {
      const policy = yield* LookerPolicy.make({ pollInterval: "10 seconds" })
      const step = yield* Schedule.toStep(policy.poll)
      const [, pause] = yield* step(0, { waiting: 1, age: Duration.zero })
      assert.strictEqual(Duration.toSeconds(pause), 10)
    })
  )

  it.effect("has its defaults without a layer", () =>
    Effect.gen(function* () {
      const policy = yield* LookerPolicy.LookerPolicy
      assert.strictEqual(policy.chunkSize, 100)
      assert.strictEqual(policy.lostAnswer, "adopt")
      assert.strictEqual(Duration.toSeconds(policy.tokenLead), 60)
    })
  )
})
