/**
 * SQL literals and identifiers. All values and names in statements are made here, so that no input can end a literal or an identifier.
 *
 * @since 0.1.0
 */

/**
 * A string literal. A NUL is written as a call, because DuckDB's parser ends there.
 *
 * @category constructors
 * @since 0.1.0
 */
export const literal = (text: string): string => {
  const [first = "", ...others] = text.split("\0").map((part) => `'${part.replaceAll("'", "''")}'`)
  return others.length === 0 ? first : `(${[first, ...others].join(" || chr(0) || ")})`
}

/**
 * The path of one file, as a literal for DuckDB's readers: there `*`, `?` and `[` are wildcards unless they are escaped.
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
