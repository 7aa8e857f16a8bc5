/**
 * Everything a program leaves behind for people to read: log lines, spans with their attributes, events and ends.
 */
import { inspect } from "node:util"
import { Layer, Logger, References, Tracer } from "effect"

/** A value in every way it could be printed. */
export const printed = (value: unknown): string => {
  const json = JSON.stringify(value, (_key, part) => (typeof part === "bigint" ? String(part) : part))
  return [String(value), json, inspect(value, { depth: null }), value instanceof Error ? value.stack : ""].join("\n")
}

/** `text` is all that has been logged and traced so far. */
export const make = () => {
  const lines: Array<string> = []
  const spans: Array<Tracer.NativeSpan> = []
  const logger = Logger.make((options) => {
    lines.push(printed(options.message), printed(options.cause), Logger.formatLogFmt.log(options))
  })
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return {
    spans,
    text: () =>
      [
        ...lines,
        ...spans.flatMap(({ attributes, events, name, status }) =>
          [name, [...attributes], events, status._tag === "Ended" ? status.exit : undefined].map(printed)
        )
      ].join("\n"),
    layer: Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(Tracer.Tracer, tracer),
      Layer.succeed(References.MinimumLogLevel, "All")
    )
  }
}
