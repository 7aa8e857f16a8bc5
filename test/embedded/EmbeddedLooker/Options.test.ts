/** The options of the embedded Looker: every default, and every check at its bounds. */
import { assert, describe, it } from "@effect/vitest"
import { Context, DateTime, Duration, Effect, Layer, Redacted } from "effect"
import { EmbeddedLooker } from "effect-looker/embedded"
import { type ServerOptions, type Settings, settingsOf } from "../../../src/embedded/EmbeddedLooker/Options.ts"
import { folder } from "../support.ts"

const defaults: Settings = {
  concurrency: 2,
  concurrencyPerUser: 15,
  queueTimeout: Duration.minutes(10),
  resultLife: Duration.hours(1),
  cacheLife: Duration.hours(1),
  taskDelay: Duration.zero,
  tokenLife: Duration.hours(1),
  models: {},
  now: undefined
}

const lives = ["tokenLife", "resultLife", "cacheLife", "queueTimeout", "taskDelay"] as const

describe("the options of an embedded Looker", () => {
  it.effect("have defaults", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* settingsOf({}), defaults)
      assert.deepStrictEqual(yield* settingsOf({ data: "d" }), { ...defaults, models: { embedded: "d" } })
    })
  )

  it.effect("are the settings where they are given", () =>
    Effect.gen(function* () {
      const now = DateTime.makeUnsafe("2024-03-10T12:00:00Z")
      const options: ServerOptions = {
        data: "d",
        model: "m",
        models: { n: "e" },
        now,
        concurrency: 3,
        concurrencyPerUser: 4,
        queueTimeout: "5 minutes",
        resultLife: "6 minutes",
        cacheLife: "7 minutes",
        taskDelay: "8 minutes",
        tokenLife: "9 minutes",
        port: 10
      }
      assert.deepStrictEqual(yield* settingsOf(options), {
        concurrency: 3,
        concurrencyPerUser: 4,
        queueTimeout: Duration.minutes(5),
        resultLife: Duration.minutes(6),
        cacheLife: Duration.minutes(7),
        taskDelay: Duration.minutes(8),
        tokenLife: Duration.minutes(9),
        models: { m: "d", n: "e" },
        now: Date.UTC(2024, 2, 10, 12)
      })
      // A cached result is fresh for as long as the rows of a task are kept.
      assert.deepStrictEqual((yield* settingsOf({ resultLife: "6 minutes" })).cacheLife, Duration.minutes(6))
    })
  )

  it.effect("are accepted at their bounds", () =>
    Effect.gen(function* () {
      for (const options of [
        { concurrency: 1 },
        { concurrencyPerUser: 1 },
        { port: 0 },
        { port: 65_535 },
        ...lives.map((name) => ({ [name]: 0 })),
        ...lives.filter((name) => name !== "tokenLife").map((name) => ({ [name]: "Infinity" })),
        { now: 0 },
        { users: [{ id: "1", clientId: "a", clientSecret: "b" }] },
        { data: "d", models: { other: "e" } },
        { models: { embedded: "e" } }
      ]) {
        assert.strictEqual((yield* Effect.exit(settingsOf(options)))._tag, "Success", JSON.stringify(options))
      }
    })
  )

  it.effect("are errors outside of them, each with its name", () =>
    Effect.gen(function* () {
      const life = 'a length of time, such as "90 seconds" or a number of milliseconds'
      const count = "a whole number, 1 or more: no task would ever run"
      const port = "a whole number from 1 to 65535, or 0 for any free one"
      const users = [{ id: "1", clientId: "a", clientSecret: "b" }]
      const both = "there are users and a clientId or clientSecret: put the credentials into users"
      const cases: ReadonlyArray<readonly [options: object, message: string]> = [
        ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY].flatMap((value) => [
          [{ concurrency: value }, `concurrency is ${value}, and has to be ${count}`] as const,
          [{ concurrencyPerUser: value }, `concurrencyPerUser is ${value}, and has to be ${count}`] as const
        ]),
        ...[-1, 65_536, 0.5, Number.NaN].map(
          (value) => [{ port: value }, `port is ${value}, and has to be ${port}`] as const
        ),
        ...lives.flatMap((name) =>
          [-1, Number.NaN, "soon"].map(
            (value) => [{ [name]: value }, `${name} is ${value}, and has to be ${life}`] as const
          )
        ),
        [
          { tokenLife: "Infinity" },
          "tokenLife is Infinity, and has to be finite: a login says how many seconds its token works"
        ],
        [
          { now: "soon" },
          'now is soon, and has to be a time, such as "2001-01-10T18:20:00Z" or a number of milliseconds'
        ],
        [{ users, clientId: "a" }, both],
        [{ users, clientSecret: "b" }, both],
        [
          { data: "d", models: { embedded: "e" } },
          "there are two models embedded: data is one, and models has another"
        ],
        [{ data: "d", model: "m", models: { m: "e" } }, "there are two models m: data is one, and models has another"]
      ]
      for (const [options, message] of cases) {
        const error = yield* Effect.flip(settingsOf(options))
        assert.strictEqual(error._tag, "EmbeddedError")
        assert.strictEqual(error.message, message)
      }
    })
  )

  it.effect("are checked before anything is loaded, in process and on a socket", () =>
    Effect.gen(function* () {
      const options = { data: "/nowhere/at/all", concurrency: 0 }
      const errors = [
        yield* Effect.flip(Effect.scoped(Layer.build(EmbeddedLooker.layer(options)))),
        yield* Effect.flip(Effect.scoped(Layer.build(EmbeddedLooker.layerServer(options))))
      ]
      for (const { message } of errors) assert.include(message, "concurrency is 0")
    })
  )
})

describe("an embedded Looker on a socket", () => {
  const serverOf = (options: ServerOptions) =>
    Effect.gen(function* () {
      const data = yield* folder({ "t.csv": "a\n1\n" })
      const server = yield* Layer.build(EmbeddedLooker.layerServer({ data, ...options }))
      const { baseUrl, clientId, clientSecret } = Context.get(server, EmbeddedLooker.EmbeddedServer)
      return { baseUrl, credentials: [clientId, Redacted.value(clientSecret)] }
    })

  it.live("listens on any free port of this machine, and names the credentials for a client", () =>
    Effect.gen(function* () {
      const { baseUrl, credentials } = yield* serverOf({})
      assert.match(baseUrl, /^http:\/\/127\.0\.0\.1:[1-9]\d+$/)
      assert.deepStrictEqual(credentials, ["embedded", "embedded"])
      const one = { id: "1", clientId: "a", clientSecret: "b" }
      for (const [options, expected] of [
        [{ clientId: "x" }, ["x", "embedded"]],
        [{ clientSecret: "y" }, ["embedded", "y"]],
        [{ clientId: "x", clientSecret: Redacted.make("y") }, ["x", "y"]],
        [{ users: [one, { id: "2", clientId: "c", clientSecret: "d" }] }, ["a", "b"]]
      ] as const) {
        assert.deepStrictEqual((yield* serverOf(options)).credentials, [...expected])
      }
    }).pipe(Effect.scoped)
  )
})
