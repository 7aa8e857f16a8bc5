/**
 * The options of a call, checked before its first request: a program that is not checked by a compiler may give anything.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as LookerError from "../LookerError.ts"

const invalid = (name: string, value: unknown, expected: string) =>
  new LookerError.BadRequest({ message: `Not sent: ${name} is ${shown(value)}, and has to be ${expected}` })

const shown = (value: unknown): string =>
  typeof value === "string"
    ? JSON.stringify(value)
    : Predicate.isObject(value) || typeof value === "function"
      ? Object.prototype.toString.call(value)
      : String(value)

/** A duration longer than zero. NaN and objects of another shape are zero to `Duration`. */
export const duration = (
  name: string,
  value: Duration.Input
): Effect.Effect<Duration.Duration, LookerError.BadRequest> => {
  const found = Option.getOrUndefined(Duration.fromInput(value))
  return found !== undefined && Duration.toMillis(found) > 0
    ? Effect.succeed(found)
    : Effect.fail(invalid(name, value, "a duration longer than zero"))
}

export const isConcurrency = (value: unknown): value is number | "unbounded" =>
  value === "unbounded" || (typeof value === "number" && value >= 1 && (Number.isInteger(value) || value === Infinity))

/** How many effects may run at a time. With NaN or a text, none ever would. */
export const concurrency = (name: string, value: unknown): Effect.Effect<void, LookerError.BadRequest> =>
  isConcurrency(value) ? Effect.void : Effect.fail(invalid(name, value, 'a whole number, 1 or more, or "unbounded"'))

/** Runs a callback of the program, which has to return an Effect. */
export const call = <A>(
  name: string,
  callback: (input: A) => Effect.Effect<void>,
  input: A
): Effect.Effect<void, LookerError.BadRequest> =>
  Effect.suspend(() => {
    try {
      const returned = callback(input)
      if (Effect.isEffect(returned)) return returned
      return Effect.fail(
        new LookerError.BadRequest({ message: `${name} returned ${shown(returned)}, and has to return an Effect` })
      )
    } catch (cause) {
      return Effect.fail(
        new LookerError.BadRequest({ message: `${name} threw, and has to return an Effect: ${String(cause)}` })
      )
    }
  })

/** A callback, before anything is sent. */
export const callback = (name: string, value: unknown): Effect.Effect<void, LookerError.BadRequest> =>
  value === undefined || typeof value === "function"
    ? Effect.void
    : Effect.fail(invalid(name, value, "a function that returns an Effect"))

/** A schema, or nothing. */
export const schema = (name: string, value: unknown): Effect.Effect<void, LookerError.BadRequest> =>
  value === undefined || Schema.isSchema(value) ? Effect.void : Effect.fail(invalid(name, value, "a schema"))

/** One of these words, or nothing. */
export const oneOf = (
  name: string,
  value: unknown,
  words: ReadonlyArray<string>
): Effect.Effect<void, LookerError.BadRequest> =>
  value === undefined || words.some((word) => word === value)
    ? Effect.void
    : Effect.fail(invalid(name, value, words.map((word) => JSON.stringify(word)).join(" or ")))
