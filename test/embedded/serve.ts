/**
 * An embedded Looker as a program of its own, over the file it is given: prints its address, and runs until a signal ends it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import { EmbeddedLooker } from "effect-looker/embedded"

const program = Effect.gen(function* () {
  const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
  yield* Console.log(baseUrl)
  return yield* Effect.never
})

NodeRuntime.runMain(Effect.provide(program, EmbeddedLooker.layerServer({ data: process.argv[2] ?? "" })))
