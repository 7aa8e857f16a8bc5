/**
 * Why a file cannot be read, from what DuckDB or the file system says.
 *
 * @since 0.1.0
 */
import * as PlatformError from "effect/PlatformError"
import { EmbeddedError } from "../EmbeddedError.ts"

/** What DuckDB says is wrong, without its statement and without its advice, which is about options of its own. */
export const reason = (message: string): string => {
  const [wrong = ""] = message.split(/\n\s*(?:LINE \d+:|Possible |Column \S+ is being|The search space|file = )/)
  const remedy = /(not|invalid) utf-?8/i.test(wrong) ? ". Save the file as UTF-8" : ""
  return wrong.trim().replace(/^Invalid Input Error: |[.]$/g, "") + remedy
}

/** The error of a file or folder that cannot be read. */
export const unreadable = (path: string) => (error: { readonly message: string } | PlatformError.PlatformError) => {
  // The message of a PlatformError names the method that failed; the system's own error says why.
  const { message } = error instanceof PlatformError.PlatformError && error.cause instanceof Error ? error.cause : error
  return new EmbeddedError({ message: `cannot read ${path}: ${reason(message)}`, path })
}
