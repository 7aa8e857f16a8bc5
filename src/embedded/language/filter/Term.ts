/**
 * The terms of a filter expression as SQL, and how a list of them is combined. Filters of all types share this.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"

/** An SQL condition, or why the expression cannot be read. An empty condition means any value. */
export type Condition = Result.Result<string, string>

/** One term of a list: its condition, and whether it excludes values. A term about a single value has that `value` as SQL. */
export interface Term {
  readonly sql: string
  readonly negative: boolean
  readonly value?: string
}

export const is = (sql: string): Term => ({ sql, negative: false })

/** Looker's negations keep the rows without a value: `<> x OR IS NULL`. */
export const isNot = (column: string, sql: string): Term => ({ sql: `(${sql} OR ${column} IS NULL)`, negative: true })

export const isNull = (column: string): Term => is(`${column} IS NULL`)

export const isNotNull = (column: string): Term => ({ sql: `${column} IS NOT NULL`, negative: true })

export const equals = (column: string, value: string): Term => ({ ...is(`${column} = ${value}`), value })

export const equalsNot = (column: string, value: string): Term => ({ ...isNot(column, `${column} <> ${value}`), value })

/** Comparisons with single values become one list: thousands of separate comparisons take DuckDB seconds. */
const grouped = (column: string, terms: ReadonlyArray<Term>, negative: boolean): ReadonlyArray<string> => {
  const matching = terms.filter((term) => term.negative === negative)
  const values = matching.map((term) => term.value).filter((value) => value !== undefined)
  if (values.length < 2) return matching.map((term) => term.sql)
  const list = `(${values.join(", ")})`
  const one = negative ? isNot(column, `${column} NOT IN ${list}`) : is(`${column} IN ${list}`)
  return [one, ...matching.filter((term) => term.value === undefined)].map((term) => term.sql)
}

/** One of the included values, and none of the excluded ones: `FOO%,-FOOD`. */
export const combine = (column: string, terms: ReadonlyArray<Term>): string => {
  const positive = grouped(column, terms, false)
  const some = positive.length < 2 ? positive : [`(${positive.join(" OR ")})`]
  return [...some, ...grouped(column, terms, true)].join(" AND ")
}

export const collect = (column: string, terms: ReadonlyArray<Result.Result<Term, string>>): Condition =>
  Result.map(Result.all(terms), (terms) => combine(column, terms))

/** The terms of a list whose values contain no commas. */
export const split = (expression: string): ReadonlyArray<string> =>
  expression
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "")
