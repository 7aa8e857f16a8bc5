/**
 * An embedded Looker as a program of its own, over the file it is given: prints its address, and runs until it is told to end.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as EmbeddedLooker from "../../src/embedded/EmbeddedLooker.ts"

const program = Effect.gen(function* () {
  const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
  yield* Console.log(baseUrl)
  return yield* Effect.never
})

NodeRuntime.runMain(Effect.provide(program, EmbeddedLooker.layerServer({ data: process.argv[2] ?? "" })))
