/**
 * Looker's filter expressions as SQL conditions.
 *
 * Every value goes through `Sql.literal`, or is a number or a date that was taken apart before: no expression can become
 * anything but a condition on its field. What cannot be read is a failure that says why, never a guess.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { FieldType } from "./Model.ts"
import { literal } from "./Sql.ts"

type Condition = Result.Result<string, string>

/**
 * When and where a filter is read: `now` in milliseconds since 1970, and the time zone of the query, an IANA name. Columns of type `time`
 * are in UTC, and dates mean the wall clock of that zone; columns of type `date` have no zone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Context {
  readonly now: number
  readonly timezone: string
}

/** What one term asks for, and whether it excludes. */
interface Term {
  readonly sql: string
  readonly negative: boolean
}

const is = (sql: string): Term => ({ sql, negative: false })

/** Looker's negations keep the rows without a value: `<> x OR IS NULL`. */
const isNot = (column: string, sql: string): Term => ({ sql: `(${sql} OR ${column} IS NULL)`, negative: true })

/** One of what is asked for, and none of what is excluded: `FOO%,-FOOD`. */
const combine = (terms: ReadonlyArray<Term>): string => {
  const positive = terms.filter((term) => !term.negative).map((term) => term.sql)
  const negative = terms.filter((term) => term.negative).map((term) => term.sql)
  const some = positive.length === 0 ? [] : [positive.length === 1 ? positive[0] : `(${positive.join(" OR ")})`]
  return [...some, ...negative].join(" AND ")
}

const collect = (terms: ReadonlyArray<Result.Result<Term, string>>): Condition => {
  const read: Array<Term> = []
  for (const term of terms) {
    if (Result.isFailure(term)) return Result.fail(term.failure)
    read.push(term.success)
  }
  return Result.succeed(combine(read))
}

/** A piece of a string filter: a character that stands for itself, or the `%` wildcard. */
type Piece = { readonly char: string } | "%"

interface StringTerm {
  readonly pieces: ReadonlyArray<Piece>
  readonly negative: boolean
  /** Quotes or `^` say that a word such as NULL is a text. */
  readonly verbatim: boolean
}

/**
 * Splits at commas. `^` takes the next character as it is, double quotes keep commas, spaces, a leading minus and the words NULL
 * and EMPTY as text; `%` is a wildcard in quotes too (Looker's documentation knows only `^%` for a percent sign).
 */
const readStringTerms = (expression: string): Result.Result<ReadonlyArray<StringTerm>, string> => {
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
      if (char === "^" && expression[at + 1] !== undefined) {
        pieces.push({ char: expression[++at] ?? "" })
        kept = pieces.length
        escaped = true
      } else {
        pieces.push(char === "%" ? "%" : { char })
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

const plainText = (pieces: ReadonlyArray<Piece>): string =>
  pieces.map((piece) => (piece === "%" ? "%" : piece.char)).join("")

const likePattern = (pieces: ReadonlyArray<Piece>): string =>
  pieces.map((piece) => (piece === "%" ? "%" : /[%_\\]/.test(piece.char) ? `\\${piece.char}` : piece.char)).join("")

const stringTerm = (column: string, { negative, pieces, verbatim }: StringTerm): Term => {
  const text = plainText(pieces)
  const word = verbatim ? "" : text.toUpperCase()
  if (word === "NULL") return negative ? { sql: `${column} IS NOT NULL`, negative } : is(`${column} IS NULL`)
  if (word === "EMPTY") {
    return negative
      ? { sql: `(${column} IS NOT NULL AND ${column} <> '')`, negative }
      : is(`(${column} IS NULL OR ${column} = '')`)
  }
  if (!pieces.includes("%")) {
    return negative ? isNot(column, `${column} <> ${literal(text)}`) : is(`${column} = ${literal(text)}`)
  }
  if (pieces.every((piece) => piece === "%")) return negative ? { sql: "FALSE", negative } : is("TRUE")
  const pattern = `LIKE ${literal(likePattern(pieces))} ESCAPE '\\'`
  return negative ? isNot(column, `${column} NOT ${pattern}`) : is(`${column} ${pattern}`)
}

const stringCondition = (column: string, expression: string): Condition =>
  Result.map(readStringTerms(expression), (terms) => combine(terms.map((term) => stringTerm(column, term))))

const numberPattern = String.raw`[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?`
const wholeNumber = new RegExp(`^${numberPattern}$`)
const comparison = new RegExp(`^(>=|<=|<>|!=|>|<)\\s*(${numberPattern})$`)
const interval = new RegExp(`^([[(])\\s*(${numberPattern}|-inf)\\s*,\\s*(${numberPattern}|inf)\\s*([\\])])$`, "i")
const range = new RegExp(`^(${numberPattern})\\s+to\\s+(${numberPattern})$`, "i")

/** Splits at a separator that is outside of brackets. */
const splitOutside = (text: string, separator: RegExp): ReadonlyArray<string> => {
  const parts: Array<string> = []
  let depth = 0
  let start = 0
  for (let at = 0; at < text.length; at++) {
    if ("[(".includes(text[at] ?? "")) depth++
    if ("])".includes(text[at] ?? "")) depth--
    separator.lastIndex = at
    const found = depth === 0 ? separator.exec(text)?.[0] : undefined
    if (found === undefined) continue
    parts.push(text.slice(start, at))
    start = at + found.length
    at = start - 1
  }
  return [...parts, text.slice(start)].map((part) => part.trim())
}

const numberBase = (column: string, text: string): Result.Result<string, string> => {
  if (wholeNumber.test(text)) return Result.succeed(`${column} = ${text}`)
  const between = range.exec(text)
  if (between !== null) return Result.succeed(`(${column} >= ${between[1]} AND ${column} <= ${between[2]})`)
  const bounds = interval.exec(text)
  if (bounds !== null) {
    const [, open, low, high, close] = bounds
    const from = /inf/i.test(low ?? "") ? [] : [`${column} ${open === "[" ? ">=" : ">"} ${low}`]
    const to = /inf/i.test(high ?? "") ? [] : [`${column} ${close === "]" ? "<=" : "<"} ${high}`]
    return Result.succeed(
      from.length + to.length === 0 ? `${column} IS NOT NULL` : `(${[...from, ...to].join(" AND ")})`
    )
  }
  const parts = splitOutside(text, /\s+AND\s+/iy).map((part) => comparison.exec(part))
  if (parts.every((part) => part !== null)) {
    return Result.succeed(`(${parts.map((part) => `${column} ${part[1]} ${part[2]}`).join(" AND ")})`)
  }
  return Result.fail(`${JSON.stringify(text)} is no number, comparison or interval`)
}

/**
 * `NOT (3,12)` is everything outside of the open interval, 3 and 12 included: what the notation says. (The wording of Looker's
 * documentation, "x < 3 and x > 12", cannot be meant.) `NOT 66, 99, 4` excludes all three, as documented.
 */
const numberCondition = (column: string, expression: string): Condition => {
  const texts = splitOutside(expression, /\s*,\s*|\s+OR\s+/iy).filter((text) => text !== "")
  const notAtFirst = /^NOT\s/i.test(texts[0] ?? "")
  const noneOf = notAtFirst && texts.slice(1).every((text) => wholeNumber.test(text))
  return collect(
    texts.map((text, index) => {
      const negated = /^NOT\s*(?=[\s([])/i.exec(text)
      const base = negated === null ? text : text.slice(negated[0].length).trim()
      const negative = negated !== null || (noneOf && index > 0)
      if (base.toUpperCase() === "NULL") {
        return Result.succeed(negative ? { sql: `${column} IS NOT NULL`, negative } : is(`${column} IS NULL`))
      }
      const excluded = /^(?:<>|!=)\s*(.*)$/.exec(base)
      if (excluded !== null && !negative && wholeNumber.test(excluded[1] ?? "")) {
        return Result.succeed(isNot(column, `${column} <> ${excluded[1]}`))
      }
      return Result.map(numberBase(column, base), (sql) => (negative ? isNot(column, `NOT (${sql})`) : is(sql)))
    })
  )
}

const yesnoCondition = (column: string, expression: string): Condition =>
  collect(
    expression
      .split(",")
      .map((text) => text.trim().toLowerCase())
      .filter((text) => text !== "")
      .map((text) => {
        switch (text) {
          case "yes":
            return Result.succeed(is(column))
          case "no":
            return Result.succeed(is(`NOT ${column}`))
          case "null":
            return Result.succeed(is(`${column} IS NULL`))
          case "not null":
          case "-null":
            return Result.succeed({ sql: `${column} IS NOT NULL`, negative: true })
          default:
            return Result.fail(`${JSON.stringify(text)} is neither yes nor no`)
        }
      })
  )

const datePattern = /^(\d{4})(?:-Q([1-4])|[-/](\d{1,2})(?:[-/](\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?)?)?$/i

const timestamp = (year: number, month: number, day: number, hour = 0, minute = 0, second = 0): Date => {
  const date = new Date(0)
  date.setUTCFullYear(year, month, day)
  date.setUTCHours(hour, minute, second)
  return date
}

const dateLiteral = (date: Date): string => `TIMESTAMP ${literal(date.toISOString().slice(0, 19).replace("T", " "))}`

interface Period {
  readonly start: string
  readonly end: string
}

/** The period that a date stands for: `2001` a year, `2001-01` a month, `2001-Q1` a quarter, up to a second. */
const period = (text: string): Result.Result<Period, string> => {
  const found = datePattern.exec(text)
  if (found === null) {
    return /^[\d/-]/.test(text)
      ? Result.fail(`${JSON.stringify(text)} is no date such as 2001, 2001-01, 2001-Q1, 2001-01-10 or 2001-01-10 18:20`)
      : Result.fail(
          `${JSON.stringify(text)} is not supported yet: the embedded Looker reads absolute dates (2001-01-10, 2001-01-10 to 2001-02-01, before 2001, after 2001-06)`
        )
  }
  const [year, quarter, month, day, hour, minute, second] = found
    .slice(1)
    .map((part) => (part === undefined ? undefined : Number(part)))
  const y = year ?? 0
  const m = quarter !== undefined ? (quarter - 1) * 3 : (month ?? 1) - 1
  const start = timestamp(y, m, day ?? 1, hour, minute, second)
  const valid = start.getUTCMonth() === m && start.getUTCDate() === (day ?? 1) && start.getUTCHours() === (hour ?? 0)
  if (!valid || y < 1 || (minute ?? 0) > 59 || (second ?? 0) > 59) {
    return Result.fail(`${JSON.stringify(text)} is no date that exists`)
  }
  const end =
    second !== undefined
      ? timestamp(y, m, day ?? 1, hour, minute, second + 1)
      : minute !== undefined
        ? timestamp(y, m, day ?? 1, hour, minute + 1)
        : day !== undefined
          ? timestamp(y, m, day + 1)
          : quarter !== undefined
            ? timestamp(y, m + 3, 1)
            : month !== undefined
              ? timestamp(y, m + 1, 1)
              : timestamp(y + 1, 0, 1)
  // DuckDB reads five-digit years only with another notation.
  const last = timestamp(9999, 11, 31, 23, 59, 59)
  return Result.succeed({ start: dateLiteral(start), end: dateLiteral(end.getUTCFullYear() > 9999 ? last : end) })
}

/** Bounds are half-open: `2001 to 2002` and `before 2002` end before 2002 begins, `after 2001` begins with 2001. */
const dateTerm = (column: string, text: string): Result.Result<Term, string> => {
  const within = ({ end, start }: Period) => is(`(${column} >= ${start} AND ${column} < ${end})`)
  if (/^null$/i.test(text)) return Result.succeed(is(`${column} IS NULL`))
  if (/^(not\s+|-)null$/i.test(text)) return Result.succeed({ sql: `${column} IS NOT NULL`, negative: true })
  const word = /^(before|after|on)\s+(.*)$/i.exec(text)
  if (word !== null) {
    return Result.map(period((word[2] ?? "").trim()), (found) => {
      switch ((word[1] ?? "").toLowerCase()) {
        case "before":
          return is(`${column} < ${found.start}`)
        case "after":
          return is(`${column} >= ${found.start}`)
        default:
          return within(found)
      }
    })
  }
  const [from, to, ...more] = text.split(/\s+to\s+/i)
  if (from !== undefined && to !== undefined && more.length === 0) {
    return Result.flatMap(period(from.trim()), ({ start }) =>
      Result.map(period(to.trim()), (end) => within({ start, end: end.start }))
    )
  }
  return Result.map(period(text), within)
}

const dateCondition = (column: string, expression: string): Condition =>
  collect(
    expression
      .split(",")
      .map((text) => text.trim())
      .filter((text) => text !== "")
      .map((text) => dateTerm(column, text))
  )

/**
 * The SQL condition for a filter on a column, or why it cannot be read. An empty condition means any value.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toSql = (type: FieldType, column: string, expression: string, _context: Context): Condition => {
  if (expression.includes("\0")) return Result.fail("it contains a NUL character")
  switch (type) {
    case "string":
      return stringCondition(column, expression)
    case "number":
      return numberCondition(column, expression)
    case "yesno":
      return yesnoCondition(column, expression)
    case "date":
    case "time":
      return dateCondition(column, expression)
  }
}
