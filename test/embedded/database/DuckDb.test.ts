import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"

/** Runs for longer than any test, unless it is interrupted. */
const endless = "SELECT max(a.range * b.range) FROM range(10000000) a, range(10000000) b"

describe("the database", () => {
  it.live("interrupts the statements that still run when its scope closes, and starts no other", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const database = yield* Scope.provide(DuckDb.make({}), scope)
      const running = yield* Effect.forkChild(Effect.flip(database.run(endless)), { startImmediately: true })
      yield* Effect.sleep("20 millis")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(running), DuckDb.closing)
      assert.strictEqual(yield* Effect.flip(database.run("SELECT 1")), DuckDb.closing)
    })
  )

  it.effect("has the line of an error, and its message without the statement", () =>
    Effect.gen(function* () {
      const database = yield* DuckDb.make({})
      const error = yield* Effect.flip(database.run("SELECT 1,\n  nosuch"))
      assert.strictEqual(error.line, 2)
      assert.include(error.message, "nosuch")
      const shown = DuckDb.withoutStatement(error)
      assert.isUndefined(shown.line)
      assert.notInclude(shown.message, "LINE")
      assert.notMatch(shown.message, /\n/)
      assert.isUndefined((yield* Effect.flip(database.run("SELECT error('no line')"))).line)
    })
  )
})
