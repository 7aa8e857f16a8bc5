/**
 * How values and names get into a SQL text: always through here, so that no input can end a literal or an identifier.
 *
 * @since 0.1.0
 */

/**
 * A string literal. DuckDB's parser ends at a NUL, wherever it is, and so that is written as a call.
 *
 * @category constructors
 * @since 0.1.0
 */
export const literal = (text: string): string => {
  const [first = "", ...others] = text.split("\0").map((part) => `'${part.replaceAll("'", "''")}'`)
  return others.length === 0 ? first : `(${[first, ...others].join(" || chr(0) || ")})`
}

/**
 * A file as DuckDB's readers take it, for which `*`, `?` and `[` in a path would stand for other files.
 *
 * @category constructors
 * @since 0.1.0
 */
export const file = (path: string): string => literal(path.replaceAll(/[*?[]/g, "[$&]"))

/**
 * A quoted identifier.
 *
 * @category constructors
 * @since 0.1.0
 */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`
