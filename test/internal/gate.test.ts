import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as gate from "../../src/internal/gate.ts"
import { pass, timed } from "../support/time.ts"

class Refused {
  readonly _tag = "Refused"
  readonly after: Duration.Duration
  constructor(after: Duration.Duration) {
    this.after = after
  }
}

const open = (concurrency = 48) => gate.make<Refused>({ concurrency, refusal: (error) => error.after })

/** A server that takes `perSecond` requests in the long run and as many at once, and answers after `latency`. */
const server = (options: {
  readonly perSecond: number
  readonly retryAfter?: Duration.Input | ((now: number) => Duration.Input)
  readonly latency?: Duration.Input
}) => {
  const seen = { requests: 0, refused: 0, lastRefusedAt: 0, atATime: 0, most: 0 }
  let tokens = options.perSecond
  let since = 0
  const request = Effect.gen(function* () {
    seen.requests++
    seen.most = Math.max(seen.most, ++seen.atATime)
    yield* Effect.sleep(options.latency ?? "3 millis")
    seen.atATime--
    const now = yield* Clock.currentTimeMillis
    tokens = Math.min(options.perSecond, tokens + ((now - since) * options.perSecond) / 1000)
    since = now
    if (tokens < 1) {
      seen.refused++
      seen.lastRefusedAt = now
      const { retryAfter = "1 second" } = options
      return yield* Effect.fail(
        new Refused(Duration.fromInputUnsafe(typeof retryAfter === "function" ? retryAfter(now) : retryAfter))
      )
    }
    tokens--
  })
  return { seen, request }
}

/** Sends a request until it is taken. */
const until = (send: Effect.Effect<void, Refused>): Effect.Effect<void> =>
  Effect.catch(send, (error) => Effect.andThen(Effect.sleep(error.after), until(send)))

const many = (count: number, send: Effect.Effect<void, Refused>) =>
  Effect.forEach(Array.from({ length: count }), () => until(send), { concurrency: "unbounded", discard: true })

describe("gate", () => {
  it.effect("lets no urgent request wait until a poll has its turn", () =>
    Effect.gen(function* () {
      const through = yield* open()
      // A refusal at once makes the slowest pace, and after the first poll the next has to wait for its turn.
      yield* Effect.ignore(through("submission", Effect.fail(new Refused(Duration.zero))))
      yield* pass("300 millis")
      yield* Effect.forkChild(through("poll", Effect.void))
      yield* Effect.forkChild(through("poll", Effect.void))
      yield* pass("100 millis")
      const { millis } = yield* timed(through("urgent", Effect.void), { step: "10 millis" })
      assert.isAtMost(millis, 300)
    })
  )

  it.effect.each([
    [0, 250],
    [249, 250],
    [250, 250],
    [251, 251],
    [3000, 3000]
  ] as const)(
    "sends nothing for the Retry-After of %d ms after a refusal, but for 250 ms or more: %d",
    ([asked, pause]) =>
      Effect.gen(function* () {
        const through = yield* open()
        yield* Effect.ignore(through("submission", Effect.fail(new Refused(Duration.millis(asked)))))
        const kinds = ["urgent", "poll", "submission"] as const
        const after = yield* Effect.forEach(kinds, (kind) => Effect.forkChild(through(kind, Clock.currentTimeMillis)))
        yield* timed(Fiber.joinAll(after), { step: "1 millis" })
        const [urgent = 0, poll = 0, submission = 0] = yield* Effect.forEach(after, Fiber.join)
        // One refusal shows no limit: after its pause nothing is delayed.
        assert.deepStrictEqual({ urgent, poll, submission }, { urgent: pause, poll: pause, submission: pause })
      })
  )

  it.effect(
    "sends six submissions at first, one more after about as many were accepted, and no more than the limit",
    () =>
      Effect.gen(function* () {
        const through = yield* open(8)
        let underWay = 0
        const most: Array<number> = []
        const send = through(
          "submission",
          Effect.gen(function* () {
            most.push(++underWay)
            yield* Effect.sleep("10 millis")
            underWay--
          })
        )
        yield* timed(
          Effect.all(
            Array.from({ length: 300 }, () => send),
            { concurrency: "unbounded" }
          ),
          {
            step: "1 millis"
          }
        )
        assert.strictEqual(Math.max(...most.slice(0, 6)), 6)
        // 6 + 0.5/6 for each: 7 are reached with the thirteenth that is accepted.
        assert.strictEqual(Math.max(...most.slice(0, 18)), 6)
        assert.strictEqual(Math.max(...most.slice(0, 24)), 7)
        assert.strictEqual(Math.max(...most), 8)
      })
  )

  it.effect("sends half as many submissions at a time after a refusal, and counts those refused with it once", () =>
    Effect.gen(function* () {
      const through = yield* open(48)
      const refused = through("submission", Effect.delay(Effect.fail(new Refused(Duration.seconds(1))), "10 millis"))
      yield* timed(
        Effect.all(
          Array.from({ length: 6 }, () => Effect.ignore(refused)),
          { concurrency: "unbounded" }
        ),
        {
          step: "1 millis"
        }
      )
      let underWay = 0
      let most = 0
      const send = through(
        "submission",
        Effect.gen(function* () {
          most = Math.max(most, ++underWay)
          yield* Effect.sleep("10 seconds")
          underWay--
        })
      )
      yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 20 }, () => send),
          { concurrency: "unbounded" }
        )
      )
      yield* pass("9 seconds", "100 millis")
      assert.strictEqual(most, 3)
    })
  )

  it.effect(
    "keeps to the rate that two refusals show, sends at once what came back in the pause, and then slowly more",
    () =>
      Effect.gen(function* () {
        const through = yield* open(1000)
        const sent: Array<number> = []
        const refused = through("urgent", Effect.delay(Effect.fail(new Refused(Duration.seconds(2))), "1 millis"))
        const refuse = timed(
          Effect.all([Effect.ignore(refused), Effect.ignore(refused)], { concurrency: "unbounded" }),
          { step: "1 millis" }
        )
        yield* refuse
        yield* pass("2 seconds")
        for (let count = 0; count < 80; count++) {
          yield* through("urgent", Effect.void)
          yield* TestClock.adjust("25 millis")
        }
        yield* refuse
        const resumesAt = (yield* Clock.currentTimeMillis) + 2000
        const many = Array.from({ length: 3000 }, () =>
          through(
            "urgent",
            Effect.andThen(Clock.currentTimeMillis, (now) => Effect.sync(() => void sent.push(now - resumesAt)))
          )
        )
        yield* timed(Effect.all(many, { concurrency: "unbounded" }), { step: "1 millis" })
        const upTo = (seconds: number) => sent.filter((at) => at < seconds * 1000).length
        // 80 requests in 2 seconds, and after a pause in which the bucket is taken to fill with no more than one second's worth.
        const rate = 80 / 3
        const atOnce = 0.9 * rate
        assert.strictEqual(sent[0], 0)
        assert.closeTo(sent.filter((at) => at < 5).length, atOnce, 2)
        for (const seconds of [1, 5, 10, 30, 60]) {
          // The integral of 1 + (t / 75) ** 3.
          const expected = atOnce + rate * (seconds + seconds ** 4 / (4 * 75 ** 3))
          assert.closeTo(upTo(seconds), expected, 3 + expected / 100, `in ${seconds} seconds`)
        }
      })
  )

  it.effect("is not noticed where nothing is refused", () =>
    Effect.gen(function* () {
      const pass = yield* open()
      const { request, seen } = server({ perSecond: 1e9 })
      const { millis } = yield* timed(many(1000, pass("submission", request)), { step: "1 millis" })
      assert.isAtMost(millis, 400)
      assert.isAtMost(seen.most, 48)
      assert.strictEqual(seen.requests, 1000)
    })
  )

  for (const retryAfter of ["1 second", "0 millis"] as const) {
    it.effect(`finds out about a limit with few refusals and little loss of time (Retry-After ${retryAfter})`, () =>
      Effect.gen(function* () {
        const pass = yield* open()
        const { request, seen } = server({ perSecond: 100, retryAfter })
        const { millis } = yield* timed(many(2000, pass("submission", request)), { step: "1 millis" })
        assert.isAtMost(seen.refused, 34)
        assert.isAtMost(millis, 19_000 * 1.1)
      })
    )
  }

  const forms = [
    ["in seconds", () => 1000],
    // A date has whole seconds.
    ["as a date", (now: number) => Math.ceil(now / 1000 + 1) * 1000 - now],
    ["absent", () => 0]
  ] as const
  for (const perSecond of [5, 20, 100, 1000]) {
    for (const [form, retryAfter] of forms) {
      it.effect(`finds a limit of ${perSecond} a second within seconds and keeps to it (Retry-After ${form})`, () =>
        Effect.gen(function* () {
          const through = yield* open()
          const { request, seen } = server({ perSecond, retryAfter })
          const seconds = 12
          const { millis } = yield* timed(many(perSecond * (seconds + 1), through("submission", request)), {
            step: "1 millis"
          })
          // The bucket holds one second's worth, and a date costs up to two seconds for each of the first refusals.
          assert.isAtMost(millis, seconds * 1000 * 1.08 + (form === "as a date" ? 3000 : 1000))
          // Those under way at the first refusal, and at the second.
          assert.isAtMost(seen.refused, perSecond === 1000 ? 80 : 40)
          if (form !== "absent") assert.isAtMost(seen.lastRefusedAt, 6000)
        })
      )
    }
  }

  it.effect("is not slowed down by a stray refusal", () =>
    Effect.gen(function* () {
      const through = yield* open()
      const { request } = server({ perSecond: 1e9 })
      let count = 0
      const stray = Effect.suspend(() =>
        ++count % 150 === 3 ? Effect.fail(new Refused(Duration.seconds(1))) : request
      )
      const { millis } = yield* timed(many(600, through("submission", stray)), { step: "1 millis" })
      assert.isAtMost(millis, Math.ceil(count / 150) * 1500)
    })
  )

  it.effect("finds a limit as well after a time in which there were only polls", () =>
    Effect.gen(function* () {
      const through = yield* open()
      const { request } = server({ perSecond: 100 })
      yield* timed(many(150, through("submission", request)), { step: "1 millis" })
      for (let polls = 0; polls < 40; polls++) {
        yield* timed(through("poll", request), { step: "1 millis" })
        yield* pass("500 millis")
      }
      const { millis } = yield* timed(many(500, through("submission", request)), { step: "1 millis" })
      assert.isAtMost(millis, 4000 * 1.15)
    })
  )

  it.effect("sends the starts before other submissions once a limit is known, and in their order before", () =>
    Effect.gen(function* () {
      const through = yield* open(1)
      const order = Effect.fnUntraced(function* () {
        const sent: Array<string> = []
        const send = (kind: gate.Kind) =>
          through(
            kind,
            Effect.delay(
              Effect.sync(() => void sent.push(kind)),
              "1 millis"
            )
          )
        yield* timed(
          Effect.all([send("submission"), send("submission"), send("start"), send("submission"), send("start")], {
            concurrency: "unbounded"
          }),
          { step: "1 millis" }
        )
        return sent
      })
      assert.deepStrictEqual(yield* order(), ["submission", "submission", "start", "submission", "start"])
      const refused = through("urgent", Effect.delay(Effect.fail(new Refused(Duration.seconds(1))), "1 millis"))
      for (let refusals = 0; refusals < 2; refusals++) {
        const twice = [Effect.ignore(refused), Effect.ignore(refused)]
        yield* timed(Effect.all(twice, { concurrency: "unbounded" }), { step: "1 millis" })
        yield* pass("1 second")
      }
      assert.deepStrictEqual(yield* order(), ["submission", "start", "start", "submission", "submission"])
    })
  )

  it.effect("lets polls overtake submissions", () =>
    Effect.gen(function* () {
      const pass = yield* open()
      const { request } = server({ perSecond: 20 })
      const submissions = yield* Effect.forkChild(many(200, pass("submission", request)))
      yield* timed(Effect.sleep("3 seconds"), { step: "5 millis" })
      const { millis } = yield* timed(until(pass("poll", request)), { step: "5 millis" })
      assert.isAtMost(millis, 1200)
      assert.isUndefined(submissions.pollUnsafe())
      yield* Fiber.interrupt(submissions)
    })
  )

  it.effect("sends polls at once while there is no limit, and one after the other under a limit", () =>
    Effect.gen(function* () {
      const through = yield* open()
      const polls = Effect.all(
        Array.from({ length: 5 }, () => through("poll", Effect.void)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual((yield* timed(polls)).millis, 0)
      const { request } = server({ perSecond: 20 })
      const submissions = yield* Effect.forkChild(many(200, through("submission", request)))
      yield* timed(Effect.sleep("3 seconds"), { step: "5 millis" })
      const { millis } = yield* timed(polls, { step: "5 millis" })
      assert.isAtLeast(millis, 200)
      yield* Fiber.interrupt(submissions)
    })
  )

  it.effect("wakes every request that waits, also where fibers yield after a few steps", () =>
    Effect.gen(function* () {
      for (const steps of [3, 4, 5, 6, 7]) {
        const through = yield* open(1)
        const all = many(20, through("submission", Effect.void))
        yield* timed(Effect.provideService(all, Scheduler.MaxOpsBeforeYield, steps))
      }
    })
  )

  it.effect("gives the place of an interrupted request to the next", () =>
    Effect.gen(function* () {
      const pass1 = yield* open(1)
      const stuck = yield* Effect.forkChild(pass1("submission", Effect.never))
      const queued = yield* Effect.forkChild(pass1("submission", Effect.never))
      yield* pass("10 millis")
      yield* Fiber.interrupt(queued)
      yield* Fiber.interrupt(stuck)
      const { millis } = yield* timed(pass1("submission", Effect.void))
      assert.strictEqual(millis, 0)
    })
  )

  it.effect("gives the place of an interrupted request away, and no other", () =>
    Effect.gen(function* () {
      const through = yield* open(1)
      const first = yield* Effect.forkChild(through("submission", Effect.never))
      const [second, third, fourth] = [
        yield* Effect.forkChild(through("submission", Effect.succeed("second"))),
        yield* Effect.forkChild(through("submission", Effect.succeed("third"))),
        yield* Effect.forkChild(through("submission", Effect.succeed("fourth")))
      ]
      yield* pass("10 millis")
      yield* Fiber.interrupt(second)
      yield* Fiber.interrupt(first)
      const { value } = yield* timed(Effect.all([Fiber.join(third), Fiber.join(fourth)]))
      assert.deepStrictEqual(value, ["third", "fourth"])
    })
  )

  it.effect("gives the place of an interrupted request away, wherever it waits", () =>
    Effect.gen(function* () {
      for (const interrupted of [0, 1, 2]) {
        const through = yield* open(1)
        const first = yield* Effect.forkChild(through("submission", Effect.never))
        const waiting = yield* Effect.forEach([0, 1, 2], (place) =>
          Effect.forkChild(through("submission", Effect.succeed(place)))
        )
        yield* pass("10 millis")
        for (const fiber of [...waiting.slice(interrupted, interrupted + 1), first]) yield* Fiber.interrupt(fiber)
        const others = waiting.filter((_, place) => place !== interrupted)
        const { value } = yield* timed(Effect.forEach(others, Fiber.join))
        assert.deepStrictEqual(
          value,
          [0, 1, 2].filter((place) => place !== interrupted)
        )
      }
    })
  )

  it.effect("forgets a pace after a time without refusals", () =>
    Effect.gen(function* () {
      const pass1 = yield* open()
      const { request } = server({ perSecond: 10 })
      yield* timed(many(30, pass1("submission", request)), { step: "5 millis" })
      yield* pass("5 minutes", "10 seconds")
      const free = server({ perSecond: 1e9 })
      const { millis } = yield* timed(many(200, pass1("submission", free.request)), { step: "1 millis" })
      assert.isAtMost(millis, 500)
    })
  )

  it.effect("loses no place and no request, at whatever moment a request is interrupted", () =>
    Effect.gen(function* () {
      const pass1 = yield* open(2)
      for (let steps = 0; steps < 30; steps++) {
        const fiber = yield* Effect.forkChild(pass1("submission", Effect.yieldNow))
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      yield* Effect.all([pass1("submission", Effect.void), pass1("submission", Effect.void)], { concurrency: 2 })
      const holders = yield* Effect.forkChild(
        Effect.all([pass1("submission", Effect.never), pass1("submission", Effect.never)], { concurrency: 2 })
      )
      yield* pass("10 millis")
      const waiting = yield* Effect.forkChild(pass1("submission", Effect.succeed("through")))
      const never = yield* Effect.forkChild(pass1("submission", Effect.never))
      yield* Fiber.interrupt(never)
      yield* Fiber.interrupt(holders)
      assert.strictEqual(yield* Fiber.join(waiting), "through")
    })
  )
})
