/**
 * Spans for calls that a program may make by the thousand. A span costs as much as the rest of a call, so there is none unless a tracer is
 * installed, and its attributes are made then only.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"

type Attributes = Readonly<Record<string, unknown>>

/** Whether a tracer is installed on this fiber. */
export const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer

/** The span that attributes are added to, if a tracer is installed. */
export const currentSpan = (fiber: Fiber.Fiber<unknown, unknown>): Tracer.Span | undefined => {
  const span = isTraced(fiber) ? Context.getOrUndefined(fiber.context, Tracer.ParentSpan) : undefined
  return span?._tag === "Span" ? span : undefined
}

/** `Effect.withSpan` if a tracer is installed. `attributes` are known from the start, `result` from what the effect succeeds with. */
export const withSpan =
  <In = unknown>(
    name: string,
    options: { readonly attributes?: () => Attributes; readonly result?: (value: In) => Attributes } = {}
  ) =>
  <A extends In, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      if (!isTraced(fiber)) return effect
      const { attributes, result } = options
      const annotated =
        result === undefined ? effect : Effect.tap(effect, (value) => Effect.annotateCurrentSpan(result(value)))
      return Effect.withSpan(annotated, name, attributes && { attributes: attributes() })
    })

/** `Stream.withSpan` if a tracer is installed. */
export const withStreamSpan =
  (name: string, attributes?: () => Attributes) =>
  <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
    Stream.unwrap(
      Effect.withFiber((fiber) =>
        Effect.succeed(
          isTraced(fiber) ? Stream.withSpan(stream, name, attributes && { attributes: attributes() }) : stream
        )
      )
    )

/** Adds attributes to the current span if a tracer is installed. */
export const annotate = (attributes: () => Attributes): Effect.Effect<void> =>
  Effect.withFiber((fiber) => (isTraced(fiber) ? Effect.annotateCurrentSpan(attributes()) : Effect.void))
