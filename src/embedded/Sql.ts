/**
 * How values and names get into a SQL text: always through here, so that no input can end a literal or an identifier.
 *
 * @since 0.1.0
 */

/**
 * A string literal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

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
