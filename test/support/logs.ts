/** What a program logs, as a test sees it. */
import { type Layer, Logger } from "effect"

export interface Entry {
  readonly level: string
  readonly message: string
}

/** A logger in place of the others, and its entries in the order they came. */
export const captured = () => {
  const entries: Array<Entry> = []
  const logger = Logger.make(({ logLevel, message }) => {
    entries.push({ level: logLevel, message: (Array.isArray(message) ? message : [message]).map(String).join(" ") })
  })
  return {
    entries,
    warnings: () => entries.filter(({ level }) => level === "Warn").map(({ message }) => message),
    layer: Logger.layer([logger]) satisfies Layer.Layer<never>
  }
}
