/**
 * What the terms of a filter expression become, and how a list of them is put together: the part that filters of all types share.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"

/** A SQL condition, or why the expression cannot be read. An empty condition means any value. */
export type Condition = Result.Result<string, string>

/** What one term asks for, and whether it excludes. */
export interface Term {
  readonly sql: string
  readonly negative: boolean
}

export const is = (sql: string): Term => ({ sql, negative: false })

/** Looker's negations keep the rows without a value: `<> x OR IS NULL`. */
export const isNot = (column: string, sql: string): Term => ({ sql: `(${sql} OR ${column} IS NULL)`, negative: true })

export const isNull = (column: string): Term => is(`${column} IS NULL`)

export const isNotNull = (column: string): Term => ({ sql: `${column} IS NOT NULL`, negative: true })

/** One of what is asked for, and none of what is excluded: `FOO%,-FOOD`. */
export const combine = (terms: ReadonlyArray<Term>): string => {
  const positive = terms.filter((term) => !term.negative).map((term) => term.sql)
  const negative = terms.filter((term) => term.negative).map((term) => term.sql)
  const some = positive.length === 0 ? [] : [positive.length === 1 ? positive[0] : `(${positive.join(" OR ")})`]
  return [...some, ...negative].join(" AND ")
}

export const collect = (terms: ReadonlyArray<Result.Result<Term, string>>): Condition =>
  Result.map(Result.all(terms), combine)

/** The terms of a list whose values contain no commas. */
export const split = (expression: string): ReadonlyArray<string> =>
  expression
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "")
