/**
 * Filters on numbers: `5`, `NOT 5`, `1, 3`, `>1 AND <100`, `5 to 10`, `[5,10)`, `(500, inf)`, `NULL`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { type Condition, collect, equals, equalsNot, is, isNot, isNotNull, isNull, type Term } from "./Term.ts"

const numberPattern = String.raw`[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?`
const wholeNumber = new RegExp(`^${numberPattern}$`)
const comparison = new RegExp(`^(>=|<=|<>|!=|>|<)\\s*(${numberPattern})$`)
const interval = new RegExp(`^([[(])\\s*(${numberPattern}|-inf)?\\s*,\\s*(${numberPattern}|inf)?\\s*([\\])])$`, "i")
const range = new RegExp(`^(${numberPattern})?\\s*\\bto\\b\\s*(${numberPattern})?$`, "i")

/** Splits at separators outside of brackets. */
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
  const [, least, most] = range.exec(text) ?? []
  if (least !== undefined || most !== undefined) {
    const from = least === undefined ? [] : [`${column} >= ${least}`]
    const to = most === undefined ? [] : [`${column} <= ${most}`]
    return Result.succeed(`(${[...from, ...to].join(" AND ")})`)
  }
  const bounds = interval.exec(text)
  if (bounds !== null) {
    const [, open, low = "-inf", high = "inf", close] = bounds
    const from = /inf/i.test(low) ? [] : [`${column} ${open === "[" ? ">=" : ">"} ${low}`]
    const to = /inf/i.test(high) ? [] : [`${column} ${close === "]" ? "<=" : "<"} ${high}`]
    return Result.succeed(
      from.length + to.length === 0 ? `${column} IS NOT NULL` : `(${[...from, ...to].join(" AND ")})`
    )
  }
  const parts = splitOutside(text, / AND /iy).map((part) => comparison.exec(part))
  if (parts.every((part) => part !== null)) {
    return Result.succeed(`(${parts.map((part) => `${column} ${part[1]} ${part[2]}`).join(" AND ")})`)
  }
  return Result.fail(`${JSON.stringify(text)} is not a number, comparison, range or interval`)
}

const numberTerm = (column: string, text: string, negated: boolean): Result.Result<Term, string> => {
  const not = /^NOT\s*(?=[\s([])/i.exec(text)
  const base = not === null ? text : text.slice(not[0].length).trim()
  const negative = negated || not !== null
  if (/^-NULL$/i.test(base) && !negative) return Result.succeed(isNotNull(column))
  if (/^NULL$/i.test(base)) return Result.succeed(negative ? isNotNull(column) : isNull(column))
  const [, excluded = ""] = /^(?:<>|!=)\s*(.*)$/.exec(base) ?? []
  if (!negative && wholeNumber.test(excluded)) return Result.succeed(equalsNot(column, excluded))
  if (wholeNumber.test(base)) return Result.succeed(negative ? equalsNot(column, base) : equals(column, base))
  return Result.map(numberBase(column, base), (sql) => (negative ? isNot(column, `NOT (${sql})`) : is(sql)))
}

/**
 * A NOT in the first condition and in no other negates all of them (`NOT 66, 99, 4`), as documented. `NOT (3,12)` is everything outside of
 * the open interval, 3 and 12 included, as the notation has it: no number meets the documentation's "x < 3 and x > 12".
 */
export const numberCondition = (column: string, expression: string): Condition => {
  // Single spaces, because the search for a separator would start again at every space of a long run.
  const texts = splitOutside(expression.replace(/\s+/g, " "), / ?, ?| OR /iy).filter((text) => text !== "")
  const [first, ...others] = texts.map((text) => /^NOT\b/i.test(text))
  const noneOf = first === true && !others.includes(true)
  return collect(
    column,
    texts.map((text, index) => numberTerm(column, text, noneOf && index > 0))
  )
}
