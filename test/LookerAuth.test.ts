import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Redacted, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Looker, LookerAuth, LookerConfig, LookerPolicy, Queries, QueryTasks } from "effect-looker"
import { credentials, httpClients, looker } from "./support/layers.ts"
import * as observe from "./support/observe.ts"
import * as StubLooker from "./support/StubLooker.ts"
import { eventually, pass, runOut, settle, timed } from "./support/time.ts"

const baseUrl = "http://looker.test"

/** What Looker does with tokens: each login gives the next one, a revoked one is 401. */
const tokens = (options: { readonly expiresIn?: number; readonly loginTakes?: Duration.Input } = {}) => {
  let issued = 0
  const revoked = new Set<string>()
  const script = StubLooker.withLogin(({ headers, path }) => {
    if (path === "/api/4.0/login") {
      const token = `token-${++issued}`
      const answer: StubLooker.Answer = {
        json: { access_token: token, token_type: "Bearer", expires_in: options.expiresIn ?? 3600 }
      }
      return options.loginTakes === undefined ? answer : Effect.delay(Effect.succeed(answer), options.loginTakes)
    }
    if (!path.startsWith("/api/4.0/queries/")) return undefined
    const token = headers.authorization?.replace(/^Bearer /, "") ?? ""
    return token === "" || revoked.has(token)
      ? {
          status: 401,
          json: { message: "Requires authentication.", documentation_url: "http://docs.looker.com/" },
          headers: { "x-b3-traceid": "trace-401" }
        }
      : { json: { id: 1, model: "m", view: "v" } }
  })
  return { ...StubLooker.inProcess(script), script, revoked }
}

const calls = (received: ReadonlyArray<StubLooker.Received>) =>
  received.map(({ headers, method, path }) => [
    `${method} ${path.replace("/api/4.0", "")}`,
    ...(headers.authorization ? [headers.authorization] : [])
  ])

const count = (received: ReadonlyArray<StubLooker.Received>, endpoint: string) =>
  calls(received).filter(([name]) => name === endpoint).length

const query = Queries.Queries.use((queries) => queries.query("1"))

/** LookerAuth alone. */
const auth = (
  http: Parameters<typeof looker>[0],
  options: { readonly policy?: LookerPolicy.Options } & Partial<LookerConfig.Options> = {}
) => {
  const { policy, ...config } = options
  return LookerAuth.layer.pipe(
    Layer.provide(LookerConfig.layer({ baseUrl, ...credentials, ...config })),
    Layer.provide(http),
    Layer.provide(LookerPolicy.layer(policy ?? {})),
    Layer.orDie
  )
}

const token = LookerAuth.LookerAuth.use(({ token }) => Effect.map(token, Redacted.value))

describe("LookerAuth", () => {
  it.effect("asks for one login when 20 fibers start at once", () => {
    const stub = tokens({ loginTakes: "1 second" })
    return Effect.gen(function* () {
      yield* runOut(Effect.replicateEffect(query, 20, { concurrency: "unbounded" }))
      assert.strictEqual(count(stub.received, "POST /login"), 1)
      assert.strictEqual(count(stub.received, "GET /queries/1"), 20)
      assert.deepStrictEqual(
        new Set(stub.received.slice(1).map(({ headers }) => headers.authorization)),
        new Set(["Bearer token-1"])
      )
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("sends id and secret as a form, and no token", () => {
    const stub = tokens()
    return Effect.gen(function* () {
      yield* token
      const [login] = stub.received
      assert.strictEqual(login?.target, "/api/4.0/login")
      assert.strictEqual(login?.headers["content-type"], "application/x-www-form-urlencoded")
      assert.strictEqual(login?.body, "client_id=an+id%26&client_secret=a%3Dsecret")
      assert.isUndefined(login?.headers.authorization)
    }).pipe(Effect.provide(auth(stub.layer, { clientId: "an id&", clientSecret: "a=secret" })))
  })

  it.effect("logs in only when a token is asked for", () => {
    const stub = tokens()
    return Effect.gen(function* () {
      yield* settle
      assert.strictEqual(stub.received.length, 0)
    }).pipe(Effect.provide(auth(stub.layer)))
  })

  it.effect("goes on with the login when the fiber that began it is interrupted", () => {
    const stub = tokens({ loginTakes: "1 second" })
    return Effect.gen(function* () {
      const first = yield* Effect.forkChild(query)
      yield* settle
      const second = yield* Effect.forkChild(query)
      yield* pass("500 millis")
      yield* Fiber.interrupt(first)
      yield* runOut(Fiber.join(second))
      assert.strictEqual(count(stub.received, "POST /login"), 1)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("begins anew when every fiber that waited for the login is interrupted", () => {
    const stub = tokens({ loginTakes: "1 second" })
    return Effect.gen(function* () {
      const first = yield* Effect.forkChild(query)
      yield* pass("500 millis")
      yield* Fiber.interrupt(first)
      yield* runOut(query)
      assert.strictEqual(count(stub.received, "POST /login"), 2)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect.each([
    { expiresIn: 3600, usable: 3540 },
    { expiresIn: 3599, usable: 3539 },
    { expiresIn: 600, usable: 540 },
    { expiresIn: 60, usable: 54 },
    { expiresIn: 5, usable: 4.5 },
    { expiresIn: 3600, usable: 3300, tokenLead: "5 minutes" },
    { expiresIn: 3600, usable: 3240, tokenLead: "1 hour" },
    { expiresIn: 3600, usable: 3600, tokenLead: 0 }
  ] as ReadonlyArray<{ expiresIn: number; usable: number; tokenLead?: Duration.Input }>)(
    "renews a token of $expiresIn s after $usable s (lead $tokenLead)",
    ({ expiresIn, tokenLead, usable }) => {
      const stub = tokens({ expiresIn })
      return Effect.gen(function* () {
        assert.strictEqual(yield* token, "token-1")
        yield* TestClock.adjust(Duration.millis(usable * 1000 - 10))
        assert.strictEqual(yield* token, "token-1")
        yield* TestClock.adjust("10 millis")
        assert.strictEqual(yield* token, "token-2")
        assert.strictEqual(yield* token, "token-2")
      }).pipe(Effect.provide(auth(stub.layer, { policy: tokenLead === undefined ? {} : { tokenLead } })))
    }
  )

  it.effect.each([0, -5, 0.001])("gets along with a token that ends at once (expires_in %d)", (expiresIn) => {
    const stub = tokens({ expiresIn })
    return Effect.gen(function* () {
      yield* query
      yield* TestClock.adjust("1 second")
      yield* query
      assert.strictEqual(count(stub.received, "POST /login"), 2)
      assert.strictEqual(count(stub.received, "GET /queries/1"), 2)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("shares one new login among 20 fibers whose token died, and sends each request again", () => {
    const stub = tokens({ loginTakes: "1 second" })
    return Effect.gen(function* () {
      yield* runOut(query)
      stub.revoked.add("token-1")
      stub.received.length = 0
      yield* runOut(Effect.replicateEffect(query, 20, { concurrency: "unbounded" }))
      assert.strictEqual(count(stub.received, "POST /login"), 1)
      assert.deepStrictEqual(
        stub.received.map(({ headers }) => headers.authorization ?? "login"),
        [...Array(20).fill("Bearer token-1"), "login", ...Array(20).fill("Bearer token-2")]
      )
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("sends the same body again after a new login", () => {
    let refused = 0
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ path }) =>
        path !== "/api/4.0/query_tasks" ? undefined : refused++ === 0 ? { status: 401 } : { json: { id: "t1" } }
      )
    )
    return Effect.gen(function* () {
      const task = yield* QueryTasks.QueryTasks.use((tasks) =>
        tasks.createQueryTask({ query_id: "7", result_format: "json" }, { cache: false })
      )
      assert.strictEqual(task.id, "t1")
      const [first, second] = stub.received.filter(({ path }) => path === "/api/4.0/query_tasks")
      assert.strictEqual(second?.body, first?.body)
      assert.strictEqual(second?.target, first?.target)
      assert.deepStrictEqual(JSON.parse(second?.body ?? ""), { query_id: "7", result_format: "json" })
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("fails with Unauthorized at the second 401, without a retry", () => {
    const stub = tokens()
    stub.revoked.add("token-1").add("token-2")
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(query))
      assert.strictEqual(error._tag, "Unauthorized")
      assert.strictEqual(error.message, "Requires authentication.")
      assert.strictEqual(error.endpoint, "GET /queries/1")
      assert.strictEqual(error.traceId, "trace-401")
      assert.deepStrictEqual(calls(stub.received), [
        ["POST /login"],
        ["GET /queries/1", "Bearer token-1"],
        ["POST /login"],
        ["GET /queries/1", "Bearer token-2"]
      ])
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("logs in again for the call after that", () => {
    const stub = tokens()
    stub.revoked.add("token-1").add("token-2")
    return Effect.gen(function* () {
      yield* runOut(Effect.flip(query))
      assert.strictEqual((yield* runOut(query)).id, "1")
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("joins the renewal that is under way when a 401 for the old token comes in", () => {
    let logins = 0
    let dead = new Set<string>()
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ headers, path }) => {
        if (path === "/api/4.0/login") {
          const login = ++logins
          const answer = { json: { access_token: `token-${login}`, expires_in: 10 } }
          return login === 1 ? answer : Effect.delay(Effect.succeed(answer), login === 2 ? "10 seconds" : "1 second")
        }
        if (!path.startsWith("/api/4.0/queries/")) return undefined
        const answer = dead.has(headers.authorization ?? "") ? { status: 401 } : { json: { id: path.slice(-4) } }
        return path.endsWith("slow") ? Effect.delay(Effect.succeed(answer), "5 seconds") : answer
      })
    )
    return Effect.gen(function* () {
      const queries = yield* Queries.Queries
      yield* queries.query("0001")
      dead.add("Bearer token-1")
      yield* pass("8 seconds", "100 millis")
      const old = yield* Effect.forkChild(queries.query("slow"))
      yield* pass("2 seconds", "100 millis")
      const renewing = yield* Effect.forkChild(queries.query("0002"))
      yield* runOut(Fiber.joinAll([old, renewing]))
      assert.strictEqual(logins, 2)
      dead = new Set(["Bearer token-2"])
      assert.strictEqual((yield* runOut(queries.query("0003"))).id, "0003")
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  describe("a refused login", () => {
    const page = `<!DOCTYPE html><html><head><title>Looker Not Found (404)</title></head><body>${"x".repeat(2000)}</body></html>`
    it.effect.each([
      {
        name: "404 as JSON",
        status: 404,
        json: { message: "Not found", documentation_url: "http://docs.looker.com/" }
      },
      { name: "404 as a page of type */*", status: 404, text: page, headers: { "content-type": "*/*" } },
      { name: "404 as a page of type text/html", status: 404, text: page, headers: { "content-type": "text/html" } },
      { name: "404 without a body", status: 404 },
      { name: "400", status: 400, json: { message: "bad", documentation_url: null } },
      { name: "401", status: 401, json: { message: "Requires authentication.", documentation_url: null } },
      { name: "403", status: 403, json: { message: "Forbidden", documentation_url: null } }
    ] as ReadonlyArray<StubLooker.Answer & { readonly name: string }>)(
      "is Unauthorized after one request: $name",
      (answer) => {
        const stub = StubLooker.inProcess(
          StubLooker.withLogin(({ path }) => (path === "/api/4.0/login" ? answer : undefined))
        )
        return Effect.gen(function* () {
          const error = yield* runOut(Effect.flip(query))
          assert.strictEqual(error._tag, "Unauthorized")
          assert.include(error.message, "a-client-id")
          if (answer.status === 404) {
            assert.include(error.message, "client id or secret is wrong (Looker responds with 404 to both)")
          }
          assert.strictEqual(error.endpoint, "POST /login")
          assert.isBelow(error.message.length, 700)
          if (answer.text) assert.include(error.message, "Looker Not Found (404)")
          assert.strictEqual(stub.received.length, 1)
        }).pipe(Effect.provide(looker(stub.layer)))
      }
    )

    it.effect("is tried again by the next call", () => {
      let logins = 0
      const stub = StubLooker.inProcess(
        StubLooker.withLogin(({ path }) => {
          if (path === "/api/4.0/login" && ++logins === 1) return { status: 404 }
          return path === "/api/4.0/queries/1" ? { json: { id: "1" } } : undefined
        })
      )
      return Effect.gen(function* () {
        assert.strictEqual((yield* runOut(Effect.flip(query)))._tag, "Unauthorized")
        assert.strictEqual((yield* runOut(query)).id, "1")
      }).pipe(Effect.provide(looker(stub.layer)))
    })
  })

  it.effect.each([
    { name: "a login page", text: "<html><head><title>Log in</title></head></html>" },
    { name: "an empty body", text: "" },
    { name: "an empty object", json: {} },
    { name: "a list", json: [] },
    { name: "an empty token", json: { access_token: "", expires_in: 3600 } },
    { name: "a token of several lines", json: { access_token: "hunter2\nx-admin: yes", expires_in: 3600 } },
    { name: "a token with a space", json: { access_token: "hunter2 hunter2", expires_in: 3600 } },
    { name: "a token no header can hold", json: { access_token: "hunter2\u0000é", expires_in: 3600 } },
    { name: "a lifetime in words", json: { access_token: "hunter2", expires_in: "an hour" } },
    { name: "a token in a list", json: { access_token: ["hunter2"], expires_in: 3600 } },
    { name: "broken JSON", text: '{"access_token":"hunter2","expires_in":36' }
  ] as ReadonlyArray<StubLooker.Answer & { readonly name: string }>)(
    "fails with UnexpectedResponse, and shows no token, when the login answers $name",
    (answer) => {
      const stub = StubLooker.inProcess(
        StubLooker.withLogin(({ path }) => (path === "/api/4.0/login" ? answer : undefined))
      )
      return Effect.gen(function* () {
        const error = yield* runOut(Effect.flip(query))
        assert.strictEqual(error._tag, "UnexpectedResponse")
        assert.strictEqual(error._tag === "UnexpectedResponse" && error.status, 200)
        assert.strictEqual(error.endpoint, "POST /login")
        assert.notInclude(observe.printed(error), "hunter2")
        assert.strictEqual(stub.received.length, 1)
      }).pipe(Effect.provide(looker(stub.layer)))
    }
  )

  it.effect.each([
    { name: "as text", expires_in: "3600", usable: 3540 },
    { name: "absent", expires_in: undefined, usable: 3540 },
    { name: "null", expires_in: null, usable: 3540 }
  ])("renews a token whose lifetime is $name after $usable s", ({ expires_in, usable }) => {
    let logins = 0
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ path }) =>
        path === "/api/4.0/login" ? { json: { access_token: `token-${++logins}`, expires_in } } : undefined
      )
    )
    return Effect.gen(function* () {
      assert.strictEqual(yield* token, "token-1")
      yield* TestClock.adjust(Duration.millis(usable * 1000 - 10))
      assert.strictEqual(yield* token, "token-1")
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(yield* token, "token-2")
    }).pipe(Effect.provide(auth(stub.layer)))
  })

  it.effect.each([
    { name: "429", answer: { status: 429 }, tag: "TooManyRequests" },
    {
      name: "429 with Retry-After: 60",
      answer: { status: 429, headers: { "retry-after": "60" } },
      tag: "TooManyRequests"
    },
    { name: "503", answer: { status: 503 }, tag: "LookerUnavailable" },
    { name: "502", answer: { status: 502, text: "<html>Bad Gateway</html>" }, tag: "LookerUnavailable" },
    { name: "a broken connection", answer: { reset: "before" }, tag: "LookerUnavailable" },
    { name: "silence", answer: Effect.never, tag: "LookerUnavailable" }
  ] as ReadonlyArray<{ name: string; answer: StubLooker.Answer | Effect.Effect<never>; tag: string }>)(
    "retries a login that meets $name five times, and the call that needed it not at all",
    ({ answer, tag }) => {
      const stub = StubLooker.inProcess(
        StubLooker.withLogin(({ path }) => (path === "/api/4.0/login" ? answer : undefined))
      )
      return Effect.gen(function* () {
        const error = yield* runOut(Effect.flip(query), { limit: "3 hours", step: "1 second" })
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(error.endpoint, "POST /login")
        assert.strictEqual(stub.received.length, 6)
      }).pipe(Effect.provide(looker(stub.layer)))
    }
  )

  it.effect("goes on with the call once the login went through", () => {
    let logins = 0
    const stub = StubLooker.inProcess(
      StubLooker.withLogin(({ path }) => {
        if (path === "/api/4.0/login" && ++logins <= 3) return { status: 503 }
        return path === "/api/4.0/queries/1" ? { json: { id: "1" } } : undefined
      })
    )
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(query)).id, "1")
      assert.strictEqual(logins, 4)
    }).pipe(Effect.provide(looker(stub.layer)))
  })

  it.effect("counts the time of the login and the time of the request separately", () => {
    const stub = tokens({ loginTakes: "9 seconds" })
    return Effect.gen(function* () {
      const slow = Queries.Queries.use((queries) => queries.query("1"))
      assert.strictEqual((yield* runOut(slow)).id, "1")
      assert.strictEqual(count(stub.received, "POST /login"), 1)
    }).pipe(Effect.provide(looker(stub.layer, { timeout: "10 seconds" })))
  })

  describe("a workspace", () => {
    /** What `PATCH /session` answers to each token; `tokens` answers 404 to every other token. */
    const withSession = (answers: (token: string) => StubLooker.Answer) => {
      const stub = tokens()
      const script: StubLooker.Script = (request) =>
        request.path === "/api/4.0/session"
          ? answers(request.headers.authorization?.replace(/^Bearer /, "") ?? "")
          : stub.script(request)
      return { ...StubLooker.inProcess(script), revoked: stub.revoked }
    }

    it.effect("is chosen again after every login, before the token is used", () => {
      const stub = withSession(() => ({ json: { workspace_id: "dev", sudo_user_id: null, can: {} } }))
      stub.revoked.add("token-1")
      return Effect.gen(function* () {
        yield* runOut(query)
        assert.deepStrictEqual(calls(stub.received), [
          ["POST /login"],
          ["PATCH /session", "Bearer token-1"],
          ["GET /queries/1", "Bearer token-1"],
          ["POST /login"],
          ["PATCH /session", "Bearer token-2"],
          ["GET /queries/1", "Bearer token-2"]
        ])
        const bodies = stub.received.filter(({ method }) => method === "PATCH").map(({ body }) => JSON.parse(body))
        assert.deepStrictEqual(bodies, [{ workspace_id: "dev" }, { workspace_id: "dev" }])
      }).pipe(Effect.provide(looker(stub.layer, { workspace: "dev" })))
    })

    it.effect.each([400, 403, 404, 422])("that is refused (%d) is Unauthorized, and the token is ended", (status) => {
      const stub = withSession(() => ({ status, json: { message: "no such workspace" } }))
      return Effect.gen(function* () {
        const { value: error } = yield* timed(Effect.flip(query))
        assert.strictEqual(error._tag, "Unauthorized")
        assert.match(error.message, /refused the workspace "dev": .*no such workspace/)
        assert.deepStrictEqual(calls(stub.received).at(-1), ["DELETE /logout", "Bearer token-1"])
      }).pipe(Effect.provide(looker(stub.layer, { workspace: "dev" })))
    })

    it.effect("that is not asked for is left alone", () => {
      const stub = tokens()
      return Effect.gen(function* () {
        yield* query
        assert.strictEqual(count(stub.received, "PATCH /session"), 0)
      }).pipe(Effect.provide(looker(stub.layer)))
    })
  })

  describe("logout", () => {
    const calling = (stub: { readonly layer: Parameters<typeof looker>[0] }, policy: LookerPolicy.Options = {}) =>
      timed(query.pipe(Effect.provide(looker(stub.layer, { policy }))), { limit: "10 minutes" })

    it.effect("ends the token when the scope closes", () => {
      const stub = tokens()
      return Effect.gen(function* () {
        yield* calling(stub)
        assert.deepStrictEqual(calls(stub.received), [
          ["POST /login"],
          ["GET /queries/1", "Bearer token-1"],
          ["DELETE /logout", "Bearer token-1"]
        ])
      })
    })

    it.effect("ends the token in use, not one that was replaced", () => {
      const stub = tokens()
      stub.revoked.add("token-1")
      return Effect.gen(function* () {
        yield* calling(stub)
        assert.deepStrictEqual(calls(stub.received).at(-1), ["DELETE /logout", "Bearer token-2"])
        assert.strictEqual(count(stub.received, "DELETE /logout"), 1)
      })
    })

    it.effect("is left out when there was no login", () => {
      const stub = tokens()
      return Effect.gen(function* () {
        yield* Effect.void.pipe(Effect.provide(looker(stub.layer)))
        assert.strictEqual(stub.received.length, 0)
      })
    })

    it.effect("is left out for a token that is invalid", () => {
      const stub = tokens()
      return Effect.gen(function* () {
        yield* LookerAuth.LookerAuth.use(({ invalidate, token }) => Effect.flatMap(token, invalidate)).pipe(
          Effect.provide(auth(stub.layer))
        )
        assert.deepStrictEqual(calls(stub.received), [["POST /login"]])
      })
    })

    it.effect("is left out when the token has ended and the next login is refused", () => {
      let logins = 0
      const login = { access_token: "token-1", token_type: "Bearer", expires_in: 60 }
      const stub = StubLooker.inProcess(({ path }) => {
        if (path === "/api/4.0/login") return logins++ === 0 ? { json: login } : { status: 404 }
        return path === "/api/4.0/logout" ? { status: 204 } : { json: { id: 1, model: "m", view: "v" } }
      })
      return Effect.gen(function* () {
        const twice = Effect.gen(function* () {
          yield* query
          yield* Effect.sleep("2 minutes")
          assert.strictEqual((yield* Effect.flip(query))._tag, "Unauthorized")
        })
        yield* runOut(twice.pipe(Effect.provide(looker(stub.layer))))
        assert.deepStrictEqual(calls(stub.received), [
          ["POST /login"],
          ["GET /queries/1", "Bearer token-1"],
          ["POST /login"]
        ])
      })
    })

    it.effect("is left out when the login was refused", () => {
      const stub = StubLooker.inProcess(() => ({ status: 404 }))
      return Effect.gen(function* () {
        yield* runOut(Effect.flip(query.pipe(Effect.provide(looker(stub.layer)))))
        assert.deepStrictEqual(calls(stub.received), [["POST /login"]])
      })
    })

    it.effect.each([
      { name: "404", answer: { status: 404 } },
      { name: "401", answer: { status: 401 } },
      { name: "500", answer: { status: 500 } },
      { name: "429 for a minute", answer: { status: 429, headers: { "retry-after": "60" } } },
      { name: "a login page", answer: { text: "<html></html>" } },
      { name: "a broken connection", answer: { reset: "before" } },
      { name: "silence", answer: Effect.never }
    ] as ReadonlyArray<{ name: string; answer: StubLooker.Answer | Effect.Effect<never> }>)(
      "may meet $name, which is over within 5 s and no error of the caller",
      ({ answer }) => {
        const stub = StubLooker.inProcess(
          StubLooker.withLogin(({ path }) => {
            if (path === "/api/4.0/logout") return answer
            return path === "/api/4.0/queries/1" ? { json: { id: "1" } } : undefined
          })
        )
        return Effect.gen(function* () {
          const { millis, value } = yield* calling(stub)
          assert.strictEqual(value.id, "1")
          assert.isAtMost(millis, 5_000)
          assert.isAtLeast(count(stub.received, "DELETE /logout"), 1)
        })
      }
    )

    it.effect("takes no longer than the policy's cleanupTimeout", () => {
      const stub = StubLooker.inProcess(
        StubLooker.withLogin(({ path }) => {
          if (path === "/api/4.0/logout") return Effect.never
          return path === "/api/4.0/queries/1" ? { json: { id: "1" } } : undefined
        })
      )
      return Effect.gen(function* () {
        const { millis } = yield* calling(stub, { cleanupTimeout: "200 millis" })
        assert.strictEqual(millis, 200)
      })
    })

    it.live.each(httpClients)("closes the socket of a logout that hangs ($name)", ({ http }) =>
      Effect.gen(function* () {
        const stub = yield* StubLooker.onSocket(
          StubLooker.withLogin(({ path }) => {
            if (path === "/api/4.0/logout") return Effect.never
            return path === "/api/4.0/queries/1" ? { json: { id: "1" } } : undefined
          })
        )
        const start = yield* Clock.currentTimeMillis
        yield* query.pipe(
          Effect.provide(looker(http, { baseUrl: stub.baseUrl, policy: { cleanupTimeout: "200 millis" } }))
        )
        assert.isBelow((yield* Clock.currentTimeMillis) - start, 2_000)
        yield* eventually(() => stub.abandoned.length > 0)
        assert.deepStrictEqual(
          stub.abandoned.map(({ path }) => path),
          ["/api/4.0/logout"]
        )
      })
    )
  })

  describe("layerToken", () => {
    const withToken = (stub: { readonly layer: Parameters<typeof looker>[0] }, token: string | Redacted.Redacted) =>
      Looker.layerToken({ baseUrl, token }).pipe(Layer.provide(stub.layer), Layer.orDie)

    it.effect.each(["mine", Redacted.make("mine")])("sends the token without login or logout (%s)", (mine) => {
      const stub = tokens()
      return Effect.gen(function* () {
        yield* query.pipe(Effect.provide(withToken(stub, mine)))
        assert.deepStrictEqual(calls(stub.received), [["GET /queries/1", "Bearer mine"]])
      })
    })

    it.effect("prints the token by its name", () =>
      Effect.gen(function* () {
        const { token } = yield* LookerAuth.LookerAuth
        assert.strictEqual(String(yield* token), "<redacted:access_token>")
      }).pipe(Effect.provide(LookerAuth.layerToken("mine")))
    )

    it.effect("fails with Unauthorized when Looker refuses the token, after one request", () => {
      const stub = tokens()
      stub.revoked.add("mine")
      return Effect.gen(function* () {
        const error = yield* runOut(Effect.flip(query.pipe(Effect.provide(withToken(stub, "mine")))))
        assert.strictEqual(error._tag, "Unauthorized")
        assert.include(error.message, "Looker refused the given token")
        assert.include(error.message, "Requires authentication.")
        assert.strictEqual(error.traceId, "trace-401")
        assert.deepStrictEqual(calls(stub.received), [["GET /queries/1", "Bearer mine"]])
      })
    })

    it.effect.each([undefined, null, "", "  "])(
      "fails with Unauthorized before the first request without one (%j)",
      (none) => {
        const stub = tokens()
        return Effect.gen(function* () {
          const error = yield* Effect.flip(query.pipe(Effect.provide(withToken(stub, none as string))))
          assert.strictEqual(error._tag, "Unauthorized")
          assert.include(error.message, "The token is empty")
          assert.strictEqual(stub.received.length, 0)
        })
      }
    )
  })

  it.effect.each([
    { config: {}, missing: ["clientId", "clientSecret"] },
    { config: { clientId: "i" }, missing: ["clientSecret"] },
    { config: { clientSecret: "s" }, missing: ["clientId"] },
    { config: { clientId: "", clientSecret: "" }, missing: ["clientId", "clientSecret"] }
  ] as ReadonlyArray<{ config: Partial<LookerConfig.Options>; missing: ReadonlyArray<string> }>)(
    "refuses to be built without $missing",
    ({ config, missing }) => {
      const stub = tokens()
      return Effect.gen(function* () {
        const error = yield* Effect.flip(
          query.pipe(Effect.provide(Looker.layer({ baseUrl, ...config })), Effect.provide(stub.layer))
        )
        assert.strictEqual(error._tag, "ConfigurationError")
        assert.deepStrictEqual(error._tag === "ConfigurationError" && error.missing, missing)
        assert.include(error.message, "layerToken")
      })
    }
  )

  describe("secrets", () => {
    const secret = "hunter2secret"
    const access = "hunter2token"
    const secrets = { clientId: "a-client-id", clientSecret: secret }
    /** Once through everything that can happen to a request. */
    const script = () => {
      let queries = 0
      return StubLooker.withLogin(({ path }) => {
        if (path === "/api/4.0/login") return { json: { access_token: access, expires_in: 3600 } }
        if (path !== "/api/4.0/queries/1") return undefined
        const answers: ReadonlyArray<StubLooker.Answer> = [
          { status: 401 },
          { status: 503, text: "<html>down</html>" },
          { reset: "before" },
          { json: { id: "1" } },
          { json: { model: 5 } },
          { status: 404 },
          { status: 418, text: "teapot" },
          { status: 400, json: { message: "no", documentation_url: null } }
        ]
        return answers[queries++] ?? { json: { id: "1" } }
      })
    }
    const everything = Effect.gen(function* () {
      const errors: Array<unknown> = []
      for (let call = 0; call < 6; call++) {
        const result = yield* Effect.result(query)
        if (result._tag === "Failure") {
          errors.push(result.failure)
          yield* Effect.logError("failed", result.failure)
        }
      }
      const unauthorized = yield* Effect.exit(QueryTasks.QueryTasks.use((tasks) => tasks.queryTask("unknown")))
      yield* Effect.logError(unauthorized._tag === "Failure" ? unauthorized.cause : "")
      return errors
    }).pipe(Effect.withSpan("everything"))

    const assertClean = (text: string) => {
      assert.notInclude(text, secret)
      assert.notInclude(text, access)
      assert.notInclude(text, Buffer.from(secret).join(","))
      assert.notInclude(
        text,
        Buffer.from(secret)
          .toString("hex")
          .replace(/..(?!$)/g, "$& ")
      )
    }

    it.live.each(httpClients)("are in no log line, span or error, over a socket with $name", ({ http }) =>
      Effect.gen(function* () {
        const observer = observe.make()
        const stub = yield* StubLooker.onSocket(script())
        const errors = yield* everything.pipe(
          Effect.provide(looker(http, { ...secrets, baseUrl: stub.baseUrl, policy: { retry: quickly } }), {
            local: true
          }),
          Effect.provide(observer.layer)
        )
        assert.strictEqual(
          stub.received.filter(({ headers }) => headers.authorization === `Bearer ${access}`).length > 6,
          true
        )
        assert.strictEqual(errors.length, 4)
        assertClean(observer.text())
        assertClean(errors.map(observe.printed).join("\n"))
        const names = new Set(observer.spans.map(({ name }) => name))
        for (const name of ["LookerAuth.login", "LookerAuth.logout", "Queries.query"])
          assert.isTrue(names.has(name), name)
      })
    )

    it.live.each(httpClients)("are in no trace of a login that is refused, over a socket with $name", ({ http }) =>
      Effect.gen(function* () {
        const observer = observe.make()
        const stub = yield* StubLooker.onSocket(() => ({ status: 404, text: "<html>no</html>" }))
        const error = yield* query.pipe(
          Effect.provide(looker(http, { ...secrets, baseUrl: stub.baseUrl })),
          Effect.flip,
          Effect.tap((error) => Effect.logError(error)),
          Effect.provide(observer.layer)
        )
        assert.isTrue(stub.received[0]?.body.includes(secret))
        assertClean(observer.text())
        assertClean(observe.printed(error))
      })
    )

    it.live.each(httpClients)("are not in the error about a token that no header can hold ($name)", ({ http }) =>
      Effect.gen(function* () {
        const observer = observe.make()
        const stub = yield* StubLooker.onSocket(() => ({ json: { id: "1" } }))
        const layer = Looker.layerToken({ baseUrl: stub.baseUrl, token: `${access}\nx` }).pipe(
          Layer.provide(http),
          Layer.provide(LookerPolicy.layer({ retry: quickly })),
          Layer.orDie
        )
        const error = yield* query.pipe(Effect.provide(layer), Effect.flip, Effect.provide(observer.layer))
        assert.strictEqual(stub.received.length, 0)
        assertClean(observer.text())
        assertClean(observe.printed(error))
      })
    )

    /** Everything the client sends, sent back, as it came and decoded. */
    const echo = (status: number, wrap: (text: string) => StubLooker.Answer) =>
      StubLooker.inProcess((request) => ({
        status,
        ...wrap(
          `${request.body} ${new URLSearchParams(request.body).get("client_secret")} ${request.headers.authorization}`
        )
      }))
    const hostile = "a s&cret=+%/\u00e9"
    const wrappers = [
      { name: "plain text", wrap: (text: string) => ({ text }) },
      { name: "a page", wrap: (text: string) => ({ text: `<html><body>${text}</body></html>` }) },
      { name: "a title", wrap: (text: string) => ({ text: `<html><title>${text}</title></html>` }) },
      { name: "Looker's message", wrap: (message: string) => ({ json: { message, documentation_url: null } }) },
      {
        name: "a location",
        wrap: (text: string) => ({ headers: { location: `https://a.b/${encodeURIComponent(text)}` } })
      },
      { name: "a trace id", wrap: (text: string) => ({ headers: { "x-b3-traceid": encodeURIComponent(text) } }) }
    ] as ReadonlyArray<{ name: string; wrap: (text: string) => StubLooker.Answer }>

    it.effect.each(
      wrappers.flatMap((wrapper) =>
        [200, 307, 400, 404, 418, 500]
          // Looker's message with 200 is a query with a key more.
          .filter((status) => status !== 200 || wrapper.name !== "Looker's message")
          .map((status) => ({ ...wrapper, status }))
      )
    )("are hidden where the server repeats them: $status with $name", ({ status, wrap }) => {
      const observer = observe.make()
      const login = echo(status, wrap)
      const later = echo(status, wrap)
      return Effect.gen(function* () {
        const errors = [
          yield* runOut(
            Effect.flip(query).pipe(Effect.provide(looker(login.layer, { ...secrets, clientSecret: hostile })))
          ),
          yield* runOut(
            Effect.flip(query).pipe(
              Effect.provide(Looker.layerToken({ baseUrl, token: access, clientSecret: hostile })),
              Effect.provide(later.layer)
            )
          )
        ]
        for (const error of errors) yield* Effect.logError(error)
        assert.isTrue(login.received[0]?.body.includes("a+s%26cret"))
        assert.isTrue(later.received[0]?.headers.authorization?.includes(access))
        // The span of the HTTP client keeps the whole response, which no exporter sends.
        observer.spans.push(...observer.spans.splice(0).filter(({ kind }) => kind !== "client"))
        for (const text of [observer.text(), ...errors.map(observe.printed)]) {
          for (const form of [hostile, "a+s%26cret", "a%20s%26cret", access]) assert.notInclude(text, form)
        }
      }).pipe(Effect.provide(observer.layer))
    })

    it.effect("are not what equals the client id, as with the embedded Looker", () => {
      const stub = StubLooker.inProcess(
        StubLooker.withLogin(() => ({ status: 404, json: { message: "the embedded Looker has no such thing" } }))
      )
      return Effect.gen(function* () {
        const error = yield* Effect.flip(query)
        assert.include(error.message, "the embedded Looker has no such thing")
      }).pipe(Effect.provide(looker(stub.layer, { clientId: "embedded", clientSecret: "embedded" })))
    })

    it.effect.each([200, 404, 418, 500])("are not the only thing hidden of what a login answers (%d)", (status) => {
      const stub = StubLooker.inProcess(() => ({ status, text: '{"access_token":["theirs"],"note":"private"}' }))
      return Effect.gen(function* () {
        const error = yield* runOut(Effect.flip(query))
        assert.notInclude(observe.printed(error), "theirs")
        assert.notInclude(observe.printed(error), "private")
      }).pipe(Effect.provide(looker(stub.layer)))
    })

    it.effect("are redacted wherever the services are printed", () =>
      Effect.gen(function* () {
        const context = yield* Effect.context<LookerAuth.LookerAuth | LookerConfig.LookerConfig>()
        assertClean(observe.printed(context))
        const { token } = yield* LookerAuth.LookerAuth
        assertClean(observe.printed(yield* token))
        assert.strictEqual(String(yield* token), "<redacted:access_token>")
      }).pipe(
        Effect.provide(
          LookerAuth.layer.pipe(
            Layer.provideMerge(LookerConfig.layer({ baseUrl, ...secrets })),
            Layer.provide(StubLooker.inProcess(script()).layer),
            Layer.orDie
          )
        )
      )
    )
  })
})

const quickly = Schedule.spaced("1 millis").pipe(Schedule.upTo({ times: 5 }))
