/**
 * Looker's expression language as SQL, for custom dimensions, the filters of custom measures, and custom filters.
 *
 * Supports what Looker's documentation has for all expressions, and `matches_filter`. Functions of table calculations are refused by name,
 * because they work on the rows of a result. Texts go through `Sql.literal` and fields through the caller, so that an expression can
 * only become a value.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { literal } from "../database/Sql.ts"
import type { FieldType } from "../model/Model.ts"
import { apply, type Clock, cases, number, test, type Value, value } from "./expression/Functions.ts"
import { type Node, parse } from "./expression/Syntax.ts"
import * as FilterExpression from "./FilterExpression.ts"
import { zoneOf } from "./filter/DateFilter.ts"

/**
 * An SQL expression and its type: a TIMESTAMP in UTC for `time`, a DATE for `date`, a BOOLEAN for `yesno`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Typed {
  readonly sql: string
  readonly type: FieldType
}

// In characters. Some functions repeat the SQL of their arguments, which doubles with every level of nesting.
const longest = 100_000

const at = (node: Node, message: string): string => `${message} (at character ${node.at})`

/**
 * The expression as SQL with its type, or what is wrong with it and at which character.
 *
 * **Details**
 *
 * `resolve` gives the field of a name in `${view.field}` or `${field}`, or the reason why it cannot be used. It is called once for every
 * mention. The SQL of a field must be the value of one row, because an aggregate is not allowed in every function. A dimension that is the
 * date of a time resolves to the local date in the time zone of the query, as a `date`.
 *
 * Looker's logic has only Yes and No: a comparison with a field that has no value is No, and NOT of it is Yes. A division by zero has no
 * value, and neither has a date or time that is out of range.
 *
 * @category conversions
 * @since 0.1.0
 */
export const compile = (
  expression: string,
  resolve: (field: string) => Result.Result<Typed, string>,
  context: FilterExpression.Context
): Result.Result<Typed, string> => {
  if (expression.includes("\0")) return Result.fail("it contains a NUL character")
  if (expression.length > longest) return Result.fail(`it is longer than ${longest} characters`)
  const zone = zoneOf(context.timezone)
  if (Result.isFailure(zone)) return Result.fail(zone.failure)
  const now = new Date(context.now).toISOString().slice(0, 23).replace("T", " ")
  const clock: Clock = { zone: context.timezone, now: `TIMESTAMP ${literal(now)}` }

  const all = (nodes: ReadonlyArray<Node>): Result.Result<ReadonlyArray<Value>, string> => Result.all(nodes.map(sqlOf))

  const located = (node: Node, made: Result.Result<Value, string>): Result.Result<Value, string> =>
    Result.flatMap(
      Result.mapError(made, (message) => at(node, message)),
      (made) =>
        made.sql.length > longest ? Result.fail(at(node, "the expression becomes too long")) : Result.succeed(made)
    )

  const resolved = (node: Node, name: string): Result.Result<Typed, string> =>
    Result.mapBoth(resolve(name), {
      onFailure: (why) => at(node, why),
      onSuccess: ({ sql, type }) => ({ sql: /^[\w."]+$/.test(sql) ? sql : `(${sql})`, type })
    })

  const matches = (node: Node, [field, filter, ...more]: ReadonlyArray<Node>): Result.Result<Value, string> => {
    if (field?.tag !== "field" || filter?.tag !== "string" || more.length > 0) {
      return Result.fail(
        at(node, "matches_filter takes a field and a filter expression: its name and a text in backticks")
      )
    }
    return Result.gen(function* () {
      const { sql, type } = yield* resolved(field, field.text)
      const condition = yield* Result.mapError(FilterExpression.toSql(type, sql, filter.text, context), (why) =>
        at(filter, why)
      )
      return test(condition === "" ? "TRUE" : `(${condition})`)
    })
  }

  const choose = (node: Node, args: ReadonlyArray<Node>): Result.Result<Value, string> =>
    Result.gen(function* () {
      const otherwise = args.at(-1)
      const tests: Array<Value> = []
      const values: Array<Value> = []
      for (const branch of args.slice(0, -1)) {
        const [condition, then, ...more] = branch.tag === "call" && branch.name === "when" ? branch.args : []
        if (condition === undefined || then === undefined || more.length > 0) {
          return yield* Result.fail(at(branch, "case takes when(yesno_arg, value_if_yes) before its last value"))
        }
        const tested = yield* sqlOf(condition)
        if (tested.type !== "yesno" && tested.type !== "null") {
          return yield* Result.fail(at(condition, `when takes a yesno and not a ${tested.type}`))
        }
        tests.push(tested)
        values.push(yield* sqlOf(then))
      }
      if (otherwise === undefined || tests.length === 0 || (otherwise.tag === "call" && otherwise.name === "when")) {
        return yield* Result.fail(at(node, "case is written case(when(yesno_arg, value_if_yes), ..., else_value)"))
      }
      return yield* located(node, cases(clock, tests, [...values, yield* sqlOf(otherwise)]))
    })

  const sqlOf = (node: Node): Result.Result<Value, string> => {
    switch (node.tag) {
      case "number":
        return Result.succeed(number(node.text))
      case "string":
        return Result.succeed(value("string", literal(node.text)))
      case "constant":
        return Result.succeed(
          node.text === "null" ? value("null", "NULL") : value("yesno", node.text === "yes" ? "TRUE" : "FALSE")
        )
      case "field":
        return Result.map(resolved(node, node.text), ({ sql, type }) => value(type, sql))
      case "call":
        if (node.name === "matches_filter") return matches(node, node.args)
        if (node.name === "case") return choose(node, node.args)
        return Result.flatMap(all(node.args), (args) => located(node, apply(clock, node.name, args)))
    }
  }

  return Result.map(Result.flatMap(parse(expression), sqlOf), ({ isTest, sql, type }) =>
    type === "null"
      ? { sql: "CAST(NULL AS VARCHAR)", type: "string" }
      : { sql: isTest ? `coalesce(${sql}, FALSE)` : sql, type }
  )
}
