import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { LookerError, LookerPolicy, QueryTaskPoller, QueryTasks } from "effect-looker"
import { pass, runOut, settle, timed } from "./support/time.ts"

type Answers = Readonly<Record<string, unknown>>

/** The poller over a stand-in for QueryTasks that answers `multi_results` from a function. */
const poller = (
  answer: (ids: ReadonlyArray<string>, request: number) => Answers | Effect.Effect<Answers, LookerError.ReadError>,
  policy: LookerPolicy.Options = {}
) => {
  const asked: Array<ReadonlyArray<string>> = []
  const tasks = Layer.mock(QueryTasks.QueryTasks, {
    queryTaskMultiResultsStream: (ids) =>
      Stream.unwrap(
        Effect.suspend(() => {
          asked.push(ids)
          const answers = answer(ids, asked.length)
          return Effect.map(Effect.isEffect(answers) ? answers : Effect.succeed(answers), (answers) =>
            Stream.fromIterable(
              Object.entries(answers).map(([taskId, entry]) => ({ _tag: "Entry" as const, taskId, entry }))
            )
          )
        })
      )
  })
  const layer = QueryTaskPoller.layer.pipe(Layer.provide(tasks), Layer.provide(LookerPolicy.layer(policy)), Layer.orDie)
  return { asked, layer }
}

const wait = (taskId: string, options?: { readonly timeout?: Duration.Input }) =>
  QueryTaskPoller.QueryTaskPoller.use((poller) => poller.wait(taskId, options))

const all = (ids: ReadonlyArray<string>, entry: unknown): Answers => Object.fromEntries(ids.map((id) => [id, entry]))

const complete = { status: "complete", data: [] }

describe("QueryTaskPoller", () => {
  it.effect("gives every waiting fiber the data of its own task, whatever the order of the answer", () => {
    const { layer } = poller((ids) =>
      Object.fromEntries([...ids].reverse().map((id) => [id, { status: "complete", data: [{ id }] }]))
    )
    return Effect.gen(function* () {
      const finished = yield* runOut(Effect.all([wait("a"), wait("b"), wait("c")], { concurrency: "unbounded" }))
      assert.deepStrictEqual(
        finished.map(({ data, taskId }) => [taskId, data]),
        [
          ["a", [{ id: "a" }]],
          ["b", [{ id: "b" }]],
          ["c", [{ id: "c" }]]
        ]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks about a thousand tasks in ten requests of a hundred ids", () => {
    const { asked, layer } = poller((ids) => all(ids, complete))
    return Effect.gen(function* () {
      const ids = Array.from({ length: 1000 }, (_, index) => `task-${index}`)
      yield* runOut(Effect.forEach(ids, (id) => wait(id), { concurrency: "unbounded" }))
      assert.deepStrictEqual(
        asked.map((ids) => ids.length),
        Array.from({ length: 10 }, () => 100)
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("shares one entry between fibers that wait for the same task", () => {
    const { asked, layer } = poller((ids) => all(ids, complete))
    return Effect.gen(function* () {
      const finished = yield* runOut(Effect.all([wait("a"), wait("a"), wait("a")], { concurrency: "unbounded" }))
      assert.strictEqual(finished.length, 3)
      assert.deepStrictEqual(asked, [["a"]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends nothing while no fiber waits", () => {
    const { asked, layer } = poller((ids) => all(ids, complete))
    return Effect.gen(function* () {
      yield* pass("1 minute", "1 second")
      assert.strictEqual(asked.length, 0)
      yield* runOut(wait("a"))
      yield* pass("1 minute", "1 second")
      assert.strictEqual(asked.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("stops asking about a task whose only waiter was interrupted", () => {
    const { asked, layer } = poller((ids) => all(ids, { status: "running" }))
    return Effect.gen(function* () {
      const gone = yield* Effect.forkChild(wait("gone"))
      const stays = yield* Effect.forkChild(wait("stays"))
      yield* pass("250 millis")
      yield* Fiber.interrupt(gone)
      const before = asked.length
      yield* pass("1 second")
      assert.isAbove(asked.length, before)
      assert.isTrue(asked.slice(before).every((ids) => ids.join() === "stays"))
      yield* Fiber.interrupt(stays)
      const after = asked.length
      yield* pass("1 minute", "1 second")
      assert.strictEqual(asked.length, after)
    }).pipe(Effect.provide(layer))
  })

  it.effect("interrupts a request when the last of those who need its response has left", () => {
    let interrupted = 0
    const { asked, layer } = poller(() =>
      Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          interrupted++
        })
      )
    )
    return Effect.gen(function* () {
      const first = yield* Effect.forkChild(wait("a"))
      const second = yield* Effect.forkChild(wait("b"))
      yield* pass("250 millis")
      assert.deepStrictEqual(asked, [["a", "b"]])
      yield* Fiber.interrupt(first)
      assert.strictEqual(interrupted, 0)
      yield* Fiber.interrupt(second)
      assert.strictEqual(interrupted, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks about a task that comes after another one has left before it was asked about", () => {
    const { asked, layer } = poller((ids) => all(ids, complete))
    return Effect.gen(function* () {
      const gone = yield* Effect.forkChild(wait("gone"), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      assert.strictEqual((yield* runOut(wait("a"))).taskId, "a")
      assert.deepStrictEqual(asked, [["a"]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives the schedule the number of all tasks that are waited for, and how long they have waited", () => {
    const rounds: Array<readonly [waiting: number, age: number]> = []
    const poll = Schedule.forever.pipe(
      Schedule.setInputType<LookerPolicy.PollRound>(),
      Schedule.modifyDelay(({ input }) => {
        rounds.push([input.waiting, Duration.toMillis(input.age)])
        return Effect.succeed("1 second")
      })
    )
    const tasks = Layer.mock(QueryTasks.QueryTasks, {
      queryTask: () => Effect.succeed({ id: "b", status: "running" }),
      queryTaskMultiResultsStream: () => Stream.empty
    })
    const layer = QueryTaskPoller.layer.pipe(
      Layer.provide(tasks),
      Layer.provide(LookerPolicy.layer({ poll })),
      Layer.orDie
    )
    return Effect.gen(function* () {
      const { wait } = yield* QueryTaskPoller.QueryTaskPoller
      const waiting = Effect.all([wait("a"), wait("b", { statusOnly: true })], { concurrency: "unbounded" })
      const fiber = yield* Effect.forkChild(waiting, { startImmediately: true })
      yield* pass("1500 millis")
      assert.deepStrictEqual(rounds, [
        [2, 0],
        [2, 0],
        [2, 1000],
        [2, 1000]
      ])
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks for the first time after 100 ms, so that tasks created together go together", () => {
    const { asked, layer } = poller((ids) => all(ids, complete))
    return Effect.gen(function* () {
      const first = yield* Effect.forkChild(wait("a"))
      yield* pass("60 millis")
      const second = yield* Effect.forkChild(wait("b"))
      yield* pass("30 millis")
      assert.strictEqual(asked.length, 0)
      yield* pass("20 millis")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      assert.deepStrictEqual(asked, [["a", "b"]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks ever more rarely about a task that grows old: ten minutes cost at most 300 requests", () => {
    const { asked, layer } = poller((ids) => all(ids, { status: "running" }))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(wait("a"))
      yield* pass("10 minutes", "50 millis")
      assert.isAtMost(asked.length, 300)
      assert.isAtLeast(asked.length, 120)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("finds a new task soon although it sleeps long for an old one", () => {
    const { layer } = poller((ids) =>
      Object.fromEntries(ids.map((id) => [id, id === "new" ? complete : { status: "running" }]))
    )
    return Effect.gen(function* () {
      const old = yield* Effect.forkChild(wait("old"))
      yield* pass("5 minutes", "1 second")
      const { millis } = yield* timed(wait("new"))
      assert.isAtMost(millis, 120)
      yield* Fiber.interrupt(old)
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps to the budget of requests per second, however many tasks wait", () => {
    const { asked, layer } = poller((ids) => all(ids, { status: "running" }), { pollRequestsPerSecond: 20 })
    return Effect.gen(function* () {
      const ids = Array.from({ length: 1000 }, (_, index) => `task-${index}`)
      const fiber = yield* Effect.forkChild(Effect.forEach(ids, (id) => wait(id), { concurrency: "unbounded" }))
      yield* pass("10 seconds", "20 millis")
      assert.isAtMost(asked.length, 200)
      assert.isAtLeast(asked.length, 160)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks about many tasks bit by bit, and about each of them in turn", () => {
    const { asked, layer } = poller((ids) => all(ids, { status: "running" }), { pollRequestsPerSecond: 20 })
    return Effect.gen(function* () {
      const ids = Array.from({ length: 1000 }, (_, index) => `task-${index}`)
      const fiber = yield* Effect.forkChild(Effect.forEach(ids, (id) => wait(id), { concurrency: "unbounded" }))
      yield* pass("150 millis")
      for (let count = 2; count <= 10; count += 2) {
        assert.strictEqual(asked.length, count)
        yield* pass("100 millis")
      }
      assert.strictEqual(new Set(asked.slice(0, 10).flat()).size, 1000)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("polls by the caller's schedule", () => {
    const { layer } = poller((ids, request) => all(ids, request < 3 ? { status: "running" } : complete), {
      poll: Schedule.spaced("7 seconds")
    })
    return Effect.gen(function* () {
      const { millis } = yield* timed(wait("a"))
      assert.strictEqual(millis, 21_000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with PollingTimeout when the caller's schedule ends, and waits anew afterwards", () => {
    const { asked, layer } = poller((ids, request) => all(ids, request < 4 ? { status: "running" } : complete), {
      poll: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 3 }))
    })
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(wait("a")))
      assert.strictEqual(error._tag, "PollingTimeout")
      assert.strictEqual(asked.length, 3)
      assert.strictEqual((yield* runOut(wait("a"))).taskId, "a")
    }).pipe(Effect.provide(layer))
  })

  it.effect("never spins, not even on a schedule without a pause", () => {
    const { asked, layer } = poller((ids) => all(ids, { status: "running" }), { poll: Schedule.forever })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(wait("a"))
      yield* pass("1 second")
      assert.isAtMost(asked.length, 101)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with PollingTimeout after the caller's time", () => {
    const { layer } = poller((ids) => all(ids, { status: "running" }))
    return Effect.gen(function* () {
      const { millis, value } = yield* timed(Effect.flip(wait("a", { timeout: "30 seconds" })))
      assert.strictEqual(value._tag, "PollingTimeout")
      assert.strictEqual(millis, 30_000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes a passing expired for pending: first, in the middle, and before success", () => {
    const timeline = ["expired", "running", "expired", "complete"]
    const { layer } = poller((ids, request) => all(ids, { status: timeline[request - 1] ?? "complete", data: [] }))
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(wait("a"))).taskId, "a")
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    "complete",
    "running complete",
    "added complete",
    "running added running complete",
    "pending added complete"
  ])("assumes no order of the words: %s", (words) => {
    const timeline = words.split(" ")
    const { layer } = poller((ids, request) => all(ids, { status: timeline[request - 1] ?? "complete", data: [] }))
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(wait("a"))).taskId, "a")
    }).pipe(Effect.provide(layer))
  })

  it.effect("waits on for a task that stays added far longer than Looker's queue lasts", () => {
    const endsAt = Duration.toMillis("20 minutes")
    const { layer } = poller((ids) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        all(ids, now < endsAt ? { status: "added" } : { status: "complete", data: [] })
      )
    )
    return Effect.gen(function* () {
      const { millis, value } = yield* timed(wait("a"), { step: "1 second" })
      assert.strictEqual(value.taskId, "a")
      assert.isAtLeast(millis, endsAt)
      assert.isAtMost(millis, endsAt + 10_000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with ResultsExpired when expired stays for the grace period", () => {
    const { layer } = poller((ids) => all(ids, { status: "expired", data: { error: "Results have expired." } }))
    return Effect.gen(function* () {
      const { millis, value } = yield* timed(Effect.flip(wait("a")))
      assert.strictEqual(value._tag, "ResultsExpired")
      assert.isAtLeast(millis, 30_000)
      assert.isAtMost(millis, 33_000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts the grace period anew after an answer that can be believed", () => {
    const { layer } = poller((ids, request) => all(ids, { status: request % 5 === 0 ? "running" : "expired" }), {
      poll: Schedule.spaced("10 seconds")
    })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(wait("a")))
      yield* pass("45 seconds", "1 second")
      assert.isTrue(fiber.pollUnsafe() !== undefined)
    }).pipe(Effect.provide(layer))
  })

  it.effect("goes on waiting while no doubt lasts for the grace period", () => {
    const { layer } = poller((ids, request) => all(ids, { status: request % 3 === 0 ? "running" : "expired" }), {
      grace: "30 seconds",
      poll: Schedule.spaced("10 seconds")
    })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.exit(wait("a")))
      yield* pass("5 minutes", "1 second")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks about the status of a task on time although a request about rows has no response yet", () => {
    let asked = 0
    const tasks = Layer.mock(QueryTasks.QueryTasks, {
      queryTask: () =>
        Effect.sync(() => {
          asked++
          return { id: "b", status: "running" }
        }),
      queryTaskMultiResultsStream: () => Stream.never
    })
    const layer = QueryTaskPoller.layer.pipe(
      Layer.provide(tasks),
      Layer.provide(LookerPolicy.layer({ poll: Schedule.spaced("200 millis") })),
      Layer.orDie
    )
    return Effect.gen(function* () {
      const { wait } = yield* QueryTaskPoller.QueryTaskPoller
      const waiting = Effect.all([wait("a"), wait("b", { statusOnly: true })], { concurrency: "unbounded" })
      const fiber = yield* Effect.forkChild(waiting)
      yield* pass("1500 millis")
      assert.isAtLeast(asked, 5)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("polls again for an id left out of an answer, and fails with TaskMissing after the grace period", () => {
    const { layer } = poller((ids, request) => (request === 2 ? all(ids, complete) : {}))
    const never = poller(() => ({}))
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(Effect.provide(wait("a"), layer))).taskId, "a")
      const error = yield* runOut(Effect.flip(Effect.provide(wait("a"), never.layer)))
      assert.strictEqual(error._tag, "TaskMissing")
    })
  })

  it.effect("polls on through an unknown word, and fails with UnknownTaskStatus after the grace period", () => {
    const { layer } = poller((ids, request) => all(ids, request < 3 ? { status: "dreaming" } : complete))
    const always = poller((ids) => all(ids, { status: "dreaming" }))
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(Effect.provide(wait("a"), layer))).taskId, "a")
      const error = yield* runOut(Effect.flip(Effect.provide(wait("a"), always.layer)))
      assert.strictEqual(error._tag, "UnknownTaskStatus")
      assert.strictEqual(error._tag === "UnknownTaskStatus" ? error.status : "", "dreaming")
    })
  })

  it.effect("understands Complete, ERROR and Killed in any case", () => {
    const words: Answers = {
      a: { status: "Complete", data: [] },
      b: { status: "ERROR", data: ["broken"] },
      c: { status: "Killed" },
      d: { status: "MISSING" }
    }
    const { layer } = poller(() => words)
    return Effect.gen(function* () {
      const exits = yield* runOut(
        Effect.forEach(["a", "b", "c", "d"], (id) => Effect.result(wait(id)), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(
        exits.map((result) => (result._tag === "Success" ? "ok" : result.failure._tag)),
        ["ok", "QueryFailed", "QueryKilled", "TaskMissing"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes a status error that holds only warnings for success, and passes the warnings on", () => {
    const note = { message: "Note: This query contains derived tables", fatal: false, level: "error" }
    const { layer } = poller((ids) => all(ids, { status: "error", data: { data: [], errors: [note] } }))
    return Effect.gen(function* () {
      const finished = yield* runOut(wait("a"))
      assert.deepStrictEqual(
        finished.warnings.map(({ fatal, message }) => ({ fatal, message })),
        [{ fatal: false, message: note.message }]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails one bad task of a batch alone", () => {
    const { layer } = poller((ids) =>
      Object.fromEntries(ids.map((id) => [id, id === "bad" ? { status: "error", data: { error: "no" } } : complete]))
    )
    return Effect.gen(function* () {
      const results = yield* runOut(
        Effect.forEach(["a", "bad", "c"], (id) => Effect.result(wait(id)), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(
        results.map((result) => result._tag),
        ["Success", "Failure", "Success"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("finds the one id for which Looker refuses the whole batch", () => {
    const { layer } = poller((ids) =>
      ids.includes("unheard-of") ? Effect.fail(new LookerError.NotFound({ message: "Not found" })) : all(ids, complete)
    )
    return Effect.gen(function* () {
      const ids = ["a", "b", "c", "unheard-of", "d"]
      const results = yield* runOut(Effect.forEach(ids, (id) => Effect.result(wait(id)), { concurrency: "unbounded" }))
      assert.deepStrictEqual(
        results.map((result) => (result._tag === "Success" ? "ok" : result.failure._tag)),
        ["ok", "ok", "ok", "NotFound", "ok"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("polls on through an outage, and hands its error to those who wait when the grace period is over", () => {
    const down = new LookerError.LookerUnavailable({ message: "down", reached: "maybe" })
    const passing = poller((ids, request) => (request < 4 ? Effect.fail(down) : all(ids, complete)))
    const lasting = poller(() => Effect.fail(down))
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(Effect.provide(wait("a"), passing.layer))).taskId, "a")
      const { millis, value } = yield* timed(Effect.flip(Effect.provide(wait("a"), lasting.layer)))
      assert.strictEqual(value._tag, "LookerUnavailable")
      assert.isAtLeast(millis, 30_000)
      assert.isAtMost(millis, 33_000)
    })
  })

  it.effect("hands an error that time will not heal over at once, and goes on for those who come later", () => {
    const { layer } = poller((ids, request) =>
      request === 1 ? Effect.fail(new LookerError.Unauthorized({ message: "no" })) : all(ids, complete)
    )
    return Effect.gen(function* () {
      const error = yield* runOut(Effect.flip(wait("a")))
      assert.strictEqual(error._tag, "Unauthorized")
      assert.strictEqual((yield* runOut(wait("a"))).taskId, "a")
    }).pipe(Effect.provide(layer))
  })

  it.effect("does not leave a waiter hanging when a round dies", () => {
    const { layer } = poller((ids, request) => (request === 1 ? Effect.die(new Error("bug")) : all(ids, complete)))
    return Effect.gen(function* () {
      const exit = yield* runOut(Effect.exit(wait("a")))
      assert.isTrue(Exit.hasDies(exit))
      assert.strictEqual((yield* runOut(wait("b"))).taskId, "b")
    }).pipe(Effect.provide(layer))
  })

  it.effect("shows Looker's words as they change, and ends with the task", () => {
    const timeline = ["added", "added", "running", "running", "complete"]
    const { layer } = poller((ids, request) => all(ids, { status: timeline[request - 1] ?? "complete", data: [] }))
    return Effect.gen(function* () {
      const poller = yield* QueryTaskPoller.QueryTaskPoller
      const words = yield* runOut(Stream.runCollect(poller.observe("a")))
      assert.deepStrictEqual(words, ["added", "running", "complete"])
    }).pipe(Effect.provide(layer))
  })

  for (const [entry, words, end] of [
    [{ status: "added" }, ["added"], undefined],
    [{ status: "running" }, ["running"], undefined],
    [{ status: "pending" }, ["pending"], undefined],
    [{ status: "Running" }, ["running"], undefined],
    [{ status: "expired" }, ["expired"], undefined],
    [{ status: "dreaming" }, ["dreaming"], undefined],
    [undefined, [], undefined],
    [{ status: "complete", data: [] }, ["complete"], "Finished"],
    [{ status: "COMPLETE", data: [] }, ["complete"], "Finished"],
    [{ status: "error" }, ["error"], "QueryFailed"],
    [{ status: "failure" }, ["error"], "QueryFailed"],
    [{ status: "killed" }, ["killed"], "QueryKilled"],
    [{ status: "missing" }, ["missing"], "TaskMissing"]
  ] as const) {
    it.effect(`shows ${JSON.stringify(words)} for ${JSON.stringify(entry)}, and then ${end ?? "goes on"}`, () => {
      const { layer } = poller((ids) => (entry === undefined ? {} : all(ids, entry)))
      return Effect.gen(function* () {
        const poller = yield* QueryTaskPoller.QueryTaskPoller
        const seen: Array<string> = []
        const observing = poller.observe("a").pipe(
          Stream.runForEach((word) => Effect.sync(() => void seen.push(word))),
          Effect.as("Finished" as const),
          Effect.catch(({ _tag }) => Effect.succeed(_tag)),
          Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.undefined })
        )
        assert.strictEqual(yield* runOut(observing), end)
        assert.deepStrictEqual(seen, [...words])
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("shows the present word to an observer who comes later, and the last 16 to a slow one", () => {
    const { layer } = poller((ids, request) => all(ids, { status: request < 21 ? `word ${request}` : "complete" }))
    return Effect.gen(function* () {
      const poller = yield* QueryTaskPoller.QueryTaskPoller
      const first = yield* Effect.forkChild(
        Stream.runCollect(poller.observe("a").pipe(Stream.tap(() => Effect.sleep("1 minute"))))
      )
      yield* pass("1 second")
      const second = yield* Effect.forkChild(Stream.runCollect(Stream.take(poller.observe("a"), 1)))
      const [present] = yield* runOut(Fiber.join(second))
      assert.match(present ?? "", /^word \d+$/)
      const words = yield* runOut(Fiber.join(first), { step: "1 second" })
      assert.deepStrictEqual(words.slice(-16), [
        ...Array.from({ length: 15 }, (_, index) => `word ${index + 6}`),
        "complete"
      ])
      assert.isAtMost(words.length, 18)
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails an observer as it fails a waiter", () => {
    const { layer } = poller((ids) => all(ids, { status: "killed" }))
    return Effect.gen(function* () {
      const poller = yield* QueryTaskPoller.QueryTaskPoller
      const error = yield* runOut(Effect.flip(Stream.runDrain(poller.observe("a"))))
      assert.strictEqual(error._tag, "QueryKilled")
    }).pipe(Effect.provide(layer))
  })

  it.effect("releases who still waits when its scope closes", () => {
    const { layer } = poller((ids) => all(ids, { status: "running" }))
    return Effect.gen(function* () {
      const waiting = yield* Deferred.make<Fiber.Fiber<unknown, unknown>>()
      yield* Effect.gen(function* () {
        const fiber = yield* Effect.forkDetach(wait("a"))
        yield* pass("1 second")
        yield* Deferred.succeed(waiting, fiber)
      }).pipe(Effect.provide(layer))
      yield* settle
      const fiber = yield* Deferred.await(waiting)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    })
  })

  describe("while a request waits to be sent", () => {
    /** Sends each request so many milliseconds after it is asked for; tasks are complete from the third request on. */
    const delayed = (millis: number) => {
      const sent: Array<ReadonlyArray<string>> = []
      const tasks = Layer.mock(QueryTasks.QueryTasks, {
        queryTaskMultiResultsStream: (ids, { onSend = () => [] } = {}) =>
          Stream.unwrap(
            Effect.gen(function* () {
              // The first request is sent at once.
              yield* Effect.sleep(sent.length === 0 ? 0 : millis)
              const all = [...new Set([...ids, ...onSend()])]
              sent.push(all)
              const entry = sent.length < 3 ? { status: "running" } : complete
              return Stream.fromIterable(all.map((taskId) => ({ _tag: "Entry" as const, taskId, entry })))
            })
          )
      })
      return { sent, layer: QueryTaskPoller.layer.pipe(Layer.provide(tasks)) }
    }

    it.effect("new tasks fill it up to a whole chunk", () => {
      const { layer, sent } = delayed(1500)
      return Effect.gen(function* () {
        yield* Effect.forkChild(wait("a"))
        yield* pass("500 millis")
        const others = yield* Effect.forkChild(Effect.all([wait("b"), wait("c")], { concurrency: 2 }))
        yield* pass("3 seconds")
        assert.deepStrictEqual(sent.slice(0, 2), [["a"], ["a", "b", "c"]])
        yield* Fiber.interrupt(others)
      }).pipe(Effect.provide(layer), Effect.provide(Layer.orDie(LookerPolicy.layer({ chunkSize: 3 }))))
    })

    it.effect("new tasks join it, and none is asked about twice", () => {
      const { layer, sent } = delayed(1500)
      return Effect.gen(function* () {
        const first = yield* Effect.forkChild(wait("a"))
        yield* pass("500 millis")
        const others = yield* Effect.forkChild(Effect.all([wait("b"), wait("c")], { concurrency: 2 }))
        yield* pass("300 millis")
        const last = yield* Effect.forkChild(wait("d"))
        yield* runOut(Effect.all([Fiber.join(first), Fiber.join(others), Fiber.join(last)]))
        assert.deepStrictEqual(sent.slice(0, 2), [["a"], ["a", "b", "c", "d"]])
        assert.deepStrictEqual([...(sent[2] ?? [])].sort(), ["a", "b", "c", "d"])
        assert.strictEqual(sent.length, 3)
      }).pipe(Effect.provide(layer))
    })

    it.effect("it stays one request of at most a chunk", () => {
      const { layer, sent } = delayed(1500)
      return Effect.gen(function* () {
        yield* Effect.forkChild(wait("a"))
        yield* pass("500 millis")
        const others = Array.from({ length: 150 }, (_, index) => wait(`b${index}`))
        yield* Effect.forkChild(Effect.all(others, { concurrency: "unbounded" }))
        yield* pass("3 seconds")
        assert.isAtMost(Math.max(...sent.map((ids) => ids.length)), 100)
        assert.strictEqual(new Set(sent.flat()).size, 151)
      }).pipe(Effect.provide(layer))
    })

    it.effect("a task that joined it and is not waited for any more does not hold it up", () => {
      const { layer, sent } = delayed(1500)
      return Effect.gen(function* () {
        const first = yield* Effect.forkChild(wait("a"))
        yield* pass("500 millis")
        const second = yield* Effect.forkChild(wait("b"))
        yield* pass("300 millis")
        yield* Fiber.interrupt(first)
        yield* Fiber.interrupt(second)
        yield* pass("5 seconds")
        // Nothing is sent for nobody.
        assert.strictEqual(sent.length, 1)
        yield* runOut(wait("c"))
        assert.deepStrictEqual(sent.slice(1), [["c"], ["c"]])
      }).pipe(Effect.provide(layer))
    })
  })

  describe("with a large result in an answer", () => {
    /** `large` takes ten seconds to come in, in whichever answer it is first; `small-…` end after a second. */
    const withLarge = () => {
      const asked: Array<ReadonlyArray<string>> = []
      const tasks = Layer.mock(QueryTasks.QueryTasks, {
        queryTaskMultiResultsStream: (ids) => {
          asked.push(ids)
          const parts = (ids: ReadonlyArray<string>) =>
            Stream.fromIterable(ids.map((taskId) => ({ _tag: "Entry" as const, taskId, entry: complete })))
          return !ids.includes("large")
            ? parts(ids)
            : Stream.succeed({ _tag: "Large" as const, taskId: "large" }).pipe(
                Stream.concat(Stream.fromEffectDrain(Effect.sleep("10 seconds"))),
                Stream.concat(parts(ids))
              )
        }
      })
      const layer = QueryTaskPoller.layer.pipe(Layer.provide(tasks))
      return { asked, layer }
    }

    it.effect("hands the small ones over without waiting for it, and does not ask about it again", () => {
      const { asked, layer } = withLarge()
      return Effect.gen(function* () {
        const large = yield* Effect.forkChild(timed(wait("large")))
        const small = yield* timed(Effect.all([wait("small-1"), wait("small-2")], { concurrency: 2 }))
        assert.isAtMost(small.millis, 300)
        const { millis } = yield* Fiber.join(large)
        assert.isAtLeast(millis, 10_000)
        assert.deepStrictEqual(
          asked.map((ids) => [...ids].sort()),
          [
            ["large", "small-1", "small-2"],
            ["small-1", "small-2"]
          ]
        )
      }).pipe(Effect.provide(layer))
    })

    it.effect("goes on asking about those whose status it received before", () => {
      const running = { status: "running" }
      let request = 0
      const tasks = Layer.mock(QueryTasks.QueryTasks, {
        queryTaskMultiResultsStream: (ids) => {
          const entry = ++request === 1 ? running : complete
          const small = Stream.fromIterable(
            ids.filter((id) => id !== "large").map((taskId) => ({ _tag: "Entry" as const, taskId, entry }))
          )
          return ids.includes("large")
            ? small.pipe(
                Stream.concat(Stream.succeed({ _tag: "Large" as const, taskId: "large" })),
                Stream.concat(Stream.fromEffectDrain(Effect.sleep("10 seconds"))),
                Stream.concat(Stream.succeed({ _tag: "Entry" as const, taskId: "large", entry: complete }))
              )
            : small
        }
      })
      return Effect.gen(function* () {
        const large = yield* Effect.forkChild(timed(wait("large")))
        const small = yield* timed(Effect.all([wait("small-1"), wait("small-2")], { concurrency: 2 }))
        assert.isAtMost(small.millis, 300)
        assert.isAtLeast((yield* Fiber.join(large)).millis, 10_000)
        assert.strictEqual(request, 2)
      }).pipe(Effect.provide(QueryTaskPoller.layer.pipe(Layer.provide(tasks))))
    })

    it.effect("stops reading it when no fiber waits for it any more", () => {
      const { layer } = withLarge()
      return Effect.gen(function* () {
        const large = yield* Effect.forkChild(wait("large"))
        yield* pass("1 second")
        yield* Fiber.interrupt(large)
        assert.strictEqual((yield* runOut(wait("small-1"))).taskId, "small-1")
      }).pipe(Effect.provide(layer))
    })

    it.effect("asks about it again when its answer breaks off", () => {
      let request = 0
      const broken = new LookerError.LookerUnavailable({ message: "reset", reached: "maybe" })
      const tasks = Layer.mock(QueryTasks.QueryTasks, {
        queryTaskMultiResultsStream: (ids) => {
          request++
          if (request > 1) {
            return Stream.fromIterable(ids.map((taskId) => ({ _tag: "Entry" as const, taskId, entry: complete })))
          }
          return Stream.concat(Stream.succeed({ _tag: "Large" as const, taskId: "a" }), Stream.fail(broken))
        }
      })
      return Effect.gen(function* () {
        assert.strictEqual((yield* runOut(wait("a"))).taskId, "a")
        assert.strictEqual(request, 2)
      }).pipe(Effect.provide(QueryTaskPoller.layer.pipe(Layer.provide(tasks))))
    })
  })

  it.effect("asks for the status alone where the rows are not wanted", () => {
    const asked: Array<string> = []
    const timeline = ["added", "running", "complete"]
    const tasks = Layer.mock(QueryTasks.QueryTasks, {
      queryTask: (taskId, options) =>
        Effect.sync(() => {
          asked.push(`${taskId} ${options?.fields}`)
          return { id: taskId, status: timeline[asked.length - 1] ?? "complete" }
        })
    })
    return Effect.gen(function* () {
      const poller = yield* QueryTaskPoller.QueryTaskPoller
      const finished = yield* runOut(poller.wait("a", { statusOnly: true }))
      assert.strictEqual(finished.data, undefined)
      assert.deepStrictEqual(asked, ["a id,status", "a id,status", "a id,status"])
    }).pipe(Effect.provide(QueryTaskPoller.layer.pipe(Layer.provide(tasks))))
  })

  it.effect("fills its requests with tasks that are not due yet", () => {
    const { asked, layer } = poller((ids) => all(ids, { status: "running" }))
    return Effect.gen(function* () {
      const old = yield* Effect.forkChild(wait("old"))
      yield* pass("2 minutes", "1 second")
      const before = asked.length
      const young = yield* Effect.forkChild(wait("young"))
      yield* pass("1 second")
      assert.isAbove(asked.length - before, 5)
      assert.isTrue(asked.slice(before).every((ids) => ids.length === 2))
      yield* Fiber.interruptAll([old, young])
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks about others while one request gets no answer", () => {
    const { asked, layer } = poller((ids) => (ids.includes("stuck") ? Effect.never : all(ids, complete)))
    return Effect.gen(function* () {
      const stuck = yield* Effect.forkChild(wait("stuck"))
      yield* pass("1 second")
      const { millis } = yield* timed(wait("other"))
      assert.isAtMost(millis, 200)
      assert.strictEqual(asked.filter((ids) => ids.includes("stuck")).length, 1)
      yield* Fiber.interrupt(stuck)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks about all at once, and not about each in turn, where answers are slow to come", () => {
    const { asked, layer } = poller((ids) => Effect.delay(Effect.succeed(all(ids, { status: "running" })), "1 second"))
    return Effect.gen(function* () {
      for (const id of ["a", "b", "c"]) {
        yield* Effect.forkChild(wait(id))
        yield* pass("200 millis")
      }
      yield* pass("3 seconds")
      const before = asked.length
      yield* pass("10 seconds", "100 millis")
      const later = asked.slice(before)
      assert.isAtLeast(later.length, 8)
      assert.isAtMost(later.length, 11)
      for (const ids of later.slice(1)) assert.sameMembers([...ids], ["a", "b", "c"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks nothing more when a thousand waiters are interrupted", () => {
    const { asked, layer } = poller(
      (ids) => Effect.delay(Effect.succeed(all(ids, { status: "running" })), "50 millis"),
      {
        pollRequestsPerSecond: 1e6
      }
    )
    return Effect.gen(function* () {
      const ids = Array.from({ length: 1000 }, (_, index) => `task-${index}`)
      const fiber = yield* Effect.forkChild(Effect.forEach(ids, (id) => wait(id), { concurrency: "unbounded" }))
      yield* pass("120 millis")
      yield* Fiber.interrupt(fiber)
      const before = asked.length
      yield* pass("1 minute", "1 second")
      assert.strictEqual(asked.length, before)
    }).pipe(Effect.provide(layer))
  })

  it.effect("spends its budget, and no more, on finding an id that Looker refuses", () => {
    const { asked, layer } = poller(
      (ids) =>
        ids.includes("bad")
          ? Effect.fail(new LookerError.NotFound({ message: "no" }))
          : all(ids, { status: "running" }),
      { pollRequestsPerSecond: 10 }
    )
    return Effect.gen(function* () {
      const ids = ["bad", ...Array.from({ length: 99 }, (_, index) => `task-${index}`)]
      const fiber = yield* Effect.forkChild(
        Effect.forEach(ids, (id) => Effect.result(wait(id)), { concurrency: "unbounded" })
      )
      const error = yield* runOut(Effect.flip(wait("bad")))
      assert.strictEqual(error._tag, "NotFound")
      const before = asked.length
      yield* pass("10 seconds")
      assert.isAtMost(asked.length - before, 101)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes one odd answer for passing, and fails with it when it stays", () => {
    const odd = new LookerError.UnexpectedResponse({ message: "a login page" })
    const once = poller((ids, request) => (request === 1 ? Effect.fail(odd) : all(ids, complete)))
    const always = poller(() => Effect.fail(odd))
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(Effect.provide(wait("a"), once.layer))).taskId, "a")
      assert.strictEqual(
        (yield* runOut(Effect.flip(Effect.provide(wait("a"), always.layer))))._tag,
        "UnexpectedResponse"
      )
    })
  })

  it.effect("finds the one task whose answer cannot be read, before the others are given up", () => {
    const unreadable = Effect.fail(new LookerError.UnexpectedResponse({ message: "no JSON" }))
    const { layer } = poller((ids) => (ids.includes("bad") ? unreadable : all(ids, complete)))
    const ids = [...Array.from({ length: 60 }, (_, index) => `good-${index}`), "bad"]
    return Effect.gen(function* () {
      const results = yield* runOut(
        Effect.forEach(ids, (id) => Effect.result(wait(id)), { concurrency: "unbounded" }),
        { limit: "2 minutes" }
      )
      assert.deepStrictEqual(
        results.map(({ _tag }) => _tag),
        [...Array.from({ length: 60 }, () => "Success" as const), "Failure"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks about tasks together until a response is unreadable for half the grace period", () => {
    const unreadable = Effect.fail(new LookerError.UnexpectedResponse({ message: "no JSON" }))
    const { asked, layer } = poller(() => unreadable, { grace: "20 seconds", poll: Schedule.spaced("1 second") })
    return Effect.gen(function* () {
      // Elapsed time is large before anything is unreadable.
      yield* TestClock.adjust("1 hour")
      const fiber = yield* Effect.forkChild(Effect.all([wait("a"), wait("b")], { concurrency: "unbounded" }))
      yield* pass("9 seconds")
      assert.isAbove(asked.length, 5)
      assert.isTrue(asked.every((ids) => ids.length === 2))
      yield* pass("4 seconds")
      assert.isTrue(asked.slice(-2).every((ids) => ids.length === 1))
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks about the halves at once when a request is refused after its response has begun", () => {
    const asked: Array<ReadonlyArray<string>> = []
    const refused = new LookerError.NotFound({ message: "no such task" })
    const part = (taskId: string, entry: unknown) => Stream.make({ _tag: "Entry" as const, taskId, entry })
    const tasks = Layer.mock(QueryTasks.QueryTasks, {
      queryTaskMultiResultsStream: (ids) =>
        Stream.suspend(() => {
          asked.push(ids)
          if (ids.length > 1) return Stream.concat(part("a", complete), Stream.fail(refused))
          return ids[0] === "bad" ? Stream.fail(refused) : part(ids[0] ?? "", complete)
        })
    })
    const layer = QueryTaskPoller.layer.pipe(
      Layer.provide(tasks),
      Layer.provide(LookerPolicy.layer({ poll: Schedule.spaced("1 hour") })),
      Layer.orDie
    )
    return Effect.gen(function* () {
      const ids = ["a", "b", "bad"]
      const { millis, value } = yield* timed(
        Effect.forEach(ids, (id) => Effect.result(wait(id)), { concurrency: "unbounded" }),
        { limit: "3 hours", step: "1 minute" }
      )
      assert.deepStrictEqual(
        value.map(({ _tag }) => _tag),
        ["Success", "Success", "Failure"]
      )
      assert.strictEqual(asked.length, 3)
      assert.isBelow(millis, 3_700_000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("hands the defect of a schedule to those who wait, and goes on", () => {
    let steps = 0
    const dying = Schedule.forever.pipe(
      Schedule.modifyDelay(() => (++steps === 2 ? Effect.die(new Error("bug")) : Effect.succeed("1 second")))
    )
    const { layer } = poller((ids, request) => all(ids, request < 2 ? { status: "running" } : complete), {
      poll: dying
    })
    return Effect.gen(function* () {
      assert.isTrue(Exit.hasDies(yield* runOut(Effect.exit(wait("a")))))
      assert.strictEqual((yield* runOut(wait("b"))).taskId, "b")
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with PollingTimeout at once on a schedule without a step, and rests", () => {
    const { asked, layer } = poller((ids) => all(ids, complete), { poll: Schedule.recurs(0) })
    return Effect.gen(function* () {
      assert.strictEqual((yield* runOut(Effect.flip(wait("a"))))._tag, "PollingTimeout")
      yield* pass("1 minute", "1 second")
      assert.strictEqual(asked.length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not held up by a clock that has been set back", () => {
    const { layer } = poller((ids) => all(ids, complete))
    return Effect.gen(function* () {
      yield* TestClock.adjust("5 hours")
      yield* runOut(wait("a"))
      yield* TestClock.setTime(0)
      const { millis } = yield* timed(wait("b"))
      assert.isAtMost(millis, 200)
    }).pipe(Effect.provide(layer))
  })

  it.effect("interrupts who comes when its scope is closed", () => {
    const { layer } = poller((ids) => all(ids, complete))
    return Effect.gen(function* () {
      const closed = yield* Effect.provide(QueryTaskPoller.QueryTaskPoller, layer)
      assert.isTrue(Exit.hasInterrupts(yield* runOut(Effect.exit(Effect.scoped(Effect.asVoid(closed.wait("a")))))))
    })
  })
})
