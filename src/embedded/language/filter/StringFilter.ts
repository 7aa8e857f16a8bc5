/**
 * Filters on strings: `FOO`, `FOO%`, `-FOO`, `_UF`, `EMPTY`, `NULL`, lists, `^` and quotes.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { literal } from "../../database/Sql.ts"
import { type Condition, combine, equals, equalsNot, is, isNot, isNotNull, isNull, type Term } from "./Term.ts"

/** A piece of a string filter: a literal character, or a wildcard: `%` for any text, `_` for one character. */
type Piece = { readonly char: string } | "%" | "_"

interface StringTerm {
  readonly pieces: ReadonlyArray<Piece>
  readonly negative: boolean
  /** Whether there are quotes or a `^`, which make a word such as NULL a text. */
  readonly verbatim: boolean
}

/**
 * Splits at commas. `^` escapes the next character, and so does `\` before a special one (Looker's own form fields write
 * `Santa Cruz\, CA`). In double quotes, which Looker's form fields write around such values, commas, spaces, wildcards, a leading minus
 * and the words NULL and EMPTY are text, and so is `^` unless a special character follows.
 */
const readTerms = (expression: string): Result.Result<ReadonlyArray<StringTerm>, string> => {
  const terms: Array<StringTerm> = []
  let at = 0
  while (at <= expression.length) {
    while (expression[at] === " ") at++
    const negative = expression[at] === "-" && ![undefined, ",", " "].includes(expression[at + 1])
    if (negative) at++
    const quoted = expression[at] === '"'
    if (quoted) at++
    const pieces: Array<Piece> = []
    let kept = 0
    let escaped = false
    for (;;) {
      const char = expression[at]
      if (char === undefined || char === (quoted ? '"' : ",")) break
      const next = expression[at + 1]
      if (next !== undefined && (/[%_,^"-]/.test(next) ? /[\^\\]/.test(char) : char === "^" && !quoted)) {
        pieces.push({ char: next })
        at++
        kept = pieces.length
        escaped = true
      } else {
        pieces.push((char === "%" || char === "_") && !quoted ? char : { char })
        if (char !== " ") kept = pieces.length
      }
      at++
    }
    if (quoted) {
      if (expression[at] === undefined) return Result.fail("a double quote is not closed")
      at++
      while (expression[at] === " ") at++
      if (at < expression.length && expression[at] !== ",") return Result.fail("text after a closing double quote")
    } else {
      pieces.length = kept
    }
    if (pieces.length > 0 || quoted) terms.push({ pieces, negative, verbatim: quoted || escaped })
    at++
  }
  return Result.succeed(terms)
}

const isWildcard = (piece: Piece): piece is "%" | "_" => piece === "%" || piece === "_"

const plainText = (pieces: ReadonlyArray<Piece>): string =>
  pieces.map((piece) => (isWildcard(piece) ? piece : piece.char)).join("")

/**
 * LIKE if `%` is the only special character of the pattern, and otherwise a regular expression, which takes time in proportion to the
 * text. For LIKE with `_` or ESCAPE, DuckDB tries every split of the text, which takes forever with a few wildcards, and cannot be
 * interrupted.
 */
const matchSql = (column: string, pieces: ReadonlyArray<Piece>): string => {
  if (pieces.every((piece) => piece === "%" || (piece !== "_" && !/[%_]/.test(piece.char)))) {
    return `${column} LIKE ${literal(plainText(pieces))}`
  }
  const pattern = pieces.map((piece) => {
    if (isWildcard(piece)) return piece === "%" ? ".*" : "."
    return piece.char.replace(/[\\^$.*+?()[\]{}|]/, "\\$&")
  })
  // With "s" a wildcard matches the end of a line too.
  return `regexp_full_match(${column}, ${literal(pattern.join(""))}, 's')`
}

const stringTerm = (column: string, { negative, pieces, verbatim }: StringTerm): Term => {
  const text = plainText(pieces)
  const word = verbatim ? "" : text.toUpperCase()
  if (word === "NULL") return negative ? isNotNull(column) : isNull(column)
  if (word === "EMPTY") {
    return negative
      ? { sql: `(${column} IS NOT NULL AND ${column} <> '')`, negative }
      : is(`(${column} IS NULL OR ${column} = '')`)
  }
  if (!pieces.some(isWildcard)) {
    return negative ? equalsNot(column, literal(text)) : equals(column, literal(text))
  }
  if (pieces.every((piece) => piece === "%")) return negative ? { sql: "FALSE", negative } : is("TRUE")
  const match = matchSql(column, pieces)
  return negative ? isNot(column, `NOT ${match}`) : is(match)
}

export const stringCondition = (column: string, expression: string): Condition =>
  Result.map(readTerms(expression), (terms) =>
    combine(
      column,
      terms.map((term) => stringTerm(column, term))
    )
  )
