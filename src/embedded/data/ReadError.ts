/**
 * Why a file cannot be read, from what DuckDB or the file system says.
 *
 * @since 0.1.0
 */
import { EmbeddedError } from "../EmbeddedError.ts"

/** Without DuckDB's advice, which is about options of its own, and without its statement. */
export const reason = (message: string): string => {
  const [said = ""] = message.split(/\n\s*(?:LINE \d+:|Possible |Column \S+ is being|The search space|file = )/)
  const saved = /(not|invalid) utf-?8/i.test(said) ? ". Save the file as UTF-8" : ""
  return said.trim().replace(/^Invalid Input Error: |[.]$/g, "") + saved
}

export const unreadable = (path: string) => (cause: { readonly message: string }) =>
  new EmbeddedError({ message: `cannot read ${path}: ${reason(cause.message)}`, path })
