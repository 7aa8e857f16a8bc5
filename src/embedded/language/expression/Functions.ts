/**
 * The functions and operators of Looker's expression language that custom fields and custom filters have, as SQL.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { literal } from "../../database/Sql.ts"
import type { FieldType } from "../../model/Model.ts"

/** A part of an expression as SQL. `null` has a type of its own, which is compatible with all others. */
export interface Value {
  readonly sql: string
  readonly type: FieldType | "null"
  /** Whether it is a comparison or another test: its result is No in Looker where SQL has NULL. */
  readonly isTest: boolean
}

/** The type of a parameter. A moment is a date or a time. */
type Parameter = "string" | "number" | "yesno" | "moment" | "any"

interface Definition {
  /** The call as in Looker's documentation. */
  readonly usage: string
  readonly parameters: ReadonlyArray<Parameter>
  /** Whether the last parameter can be repeated. */
  readonly repeats: boolean
  readonly build: (clock: Clock, ...args: ReadonlyArray<Value>) => Result.Result<Value, string>
}

/** The time zone, and the current time as SQL. */
export interface Clock {
  readonly zone: string
  readonly now: string
}

export const value = (type: Value["type"], sql: string): Value => ({ sql, type, isTest: false })

/** The default of arguments, which `apply` has checked to be there. */
const none = value("null", "NULL")

export const test = (sql: string): Value => ({ sql, type: "yesno", isTest: true })

/** A number literal. DuckDB would read a whole number as an INTEGER, whose products overflow at two thousand million. */
export const number = (text: string): Value => {
  const digits = text.replace(/^0+(?=\d)/, "")
  return value("number", /^\d+$/.test(digits) ? `${digits}::${digits.length > 18 ? "HUGEINT" : "BIGINT"}` : digits)
}

const isMoment = (type: Value["type"]): boolean => type === "date" || type === "time"

/** NULL if the result is out of range: a DATE reaches 5.8 million years, a TIMESTAMP fewer than 300,000. */
const inRange = (moment: string): string => `try(${moment})`

/** A time in UTC, or a date, as local time in the time zone of the query. */
const local = ({ zone }: Clock, { sql, type }: Value): string => {
  if (type !== "time") return inRange(`CAST(${sql} AS TIMESTAMP)`)
  return zone === "UTC" ? sql : inRange(`timezone(${literal(zone)}, timezone('UTC', ${sql}))`)
}

/** Local time in UTC. */
const utc = ({ zone }: Clock, sql: string): string =>
  zone === "UTC" ? sql : inRange(`timezone('UTC', timezone(${literal(zone)}, ${sql}))`)

/** A date as a time: its midnight. */
const asTime = (clock: Clock, moment: Value): string =>
  moment.type === "time" ? moment.sql : utc(clock, local(clock, moment))

/** The text of a value for `concat`, the same as in results. */
const asText = (clock: Clock, shown: Value): string => {
  switch (shown.type) {
    case "yesno":
      return `CASE WHEN ${shown.sql} THEN 'Yes' ELSE 'No' END`
    case "date":
      return `strftime(${shown.sql}, '%Y-%m-%d')`
    case "time":
      return `strftime(${local(clock, shown)}, '%Y-%m-%d %H:%M:%S')`
    case "string":
      return shown.sql
    default:
      return `CAST(${shown.sql} AS VARCHAR)`
  }
}

/** Converts values to one type, or says why they have no type in common. A date among times becomes its midnight. */
const unify = (
  clock: Clock,
  values: ReadonlyArray<Value>
): Result.Result<readonly [type: Value["type"], sql: ReadonlyArray<string>], string> => {
  const types = [...new Set(values.map(({ type }) => type))].filter((type) => type !== "null")
  const moments = types.every(isMoment)
  if (types.length > 1 && !moments) {
    const hint = types.includes("string") && types.some(isMoment) ? ": a date is written date(year, month, day)" : ""
    return Result.fail(`a ${types[0]} and a ${types[1]} do not go together${hint}`)
  }
  const type = types.length > 1 ? "time" : (types[0] ?? "null")
  const sql = values.map((value) => (type === "time" && value.type !== "null" ? asTime(clock, value) : value.sql))
  return Result.succeed([type, sql])
}

/**
 * In bytes: as much as a cell of a workbook can have. DuckDB computes 2048 rows at a time whatever its memory limit is, and a few nested
 * calls of `replace` would take all memory.
 */
const longestText = 32_767

const tooLong = (name: string): string => `error('${name} makes a text of more than ${longestText} bytes')`

/** SQL that uses its texts more than once. They are written and computed once, because nested calls would double their length. */
const once = (texts: ReadonlyArray<string>, sql: (...names: ReadonlyArray<string>) => string): string =>
  `list_transform([CAST([${texts.join(", ")}] AS VARCHAR[])], lambda x: ${sql(...texts.map((_, index) => `x[${index + 1}]`))})[1]`

const whole = (sql: string): string => `CAST(${sql} AS BIGINT)`

const functions = new Map<string, Definition>()

const define = (
  usage: string,
  parameters: ReadonlyArray<Parameter>,
  build: Definition["build"],
  repeats = false
): void => {
  functions.set(usage.slice(0, usage.indexOf("(")), { usage, parameters, repeats, build })
}

/** A function whose SQL does not depend on the types of its arguments. */
const simple = (
  usage: string,
  parameters: ReadonlyArray<Parameter>,
  type: FieldType,
  sql: (...args: ReadonlyArray<string>) => string
): void => define(usage, parameters, (_, ...args) => Result.succeed(value(type, sql(...args.map((arg) => arg.sql)))))

simple("abs(value)", ["number"], "number", (x) => `abs(${x})`)
simple("ceiling(value)", ["number"], "number", (x) => `ceil(${x})`)
simple("floor(value)", ["number"], "number", (x) => `floor(${x})`)
// NULL if the result is not a number that JSON can have.
simple("mod(value, divisor)", ["number", "number"], "number", (x, y) => `CASE WHEN ${y} <> 0 THEN ${x} % ${y} END`)
simple("sqrt(value)", ["number"], "number", (x) => `try(sqrt(${x}))`)
simple("ln(value)", ["number"], "number", (x) => `try(ln(${x}))`)
simple("log(value)", ["number"], "number", (x) => `try(log10(${x}))`)
simple("exp(value)", ["number"], "number", (x) => `CASE WHEN isfinite(exp(${x})) THEN exp(${x}) END`)
simple(
  "power(base, exponent)",
  ["number", "number"],
  "number",
  (x, y) => `CASE WHEN isfinite(power(${x}, ${y})) THEN power(${x}, ${y}) END`
)
simple("round(value, num_decimals)", ["number", "number"], "number", (x, digits = "") => {
  // DuckDB rounds decimals only to a constant number of digits, and a DOUBLE has at most fifteen.
  const fixed = /^(\d{1,2})::BIGINT$/.exec(digits)
  return fixed === null
    ? `round(CAST(${x} AS DOUBLE), CAST(greatest(-30, least(15, ${digits})) AS INTEGER))`
    : `round(${x}, ${fixed[1]})`
})

simple("length(string)", ["string"], "number", (s) => `length(${s})`)
simple("lower(string)", ["string"], "string", (s) => `lower(${s})`)
simple("upper(string)", ["string"], "string", (s) => `upper(${s})`)
simple("position(string, search_string)", ["string", "string"], "number", (s, part) => `strpos(${s}, ${part})`)
simple(
  "replace(string, old_string, new_string)",
  ["string", "string", "string"],
  "string",
  // The number of replacements follows from the length after replacing with an empty text, which is never longer.
  (...texts) =>
    once(
      texts,
      (s, old, by) =>
        `CASE WHEN (strlen(${s}) - strlen(replace(${s}, ${old}, ''))) // strlen(${old}) * (strlen(${by}) - strlen(${old}))
          > greatest(0, ${longestText} - strlen(${s})) THEN ${tooLong("replace")} ELSE replace(${s}, ${old}, ${by}) END`
    )
)
simple(
  "substring(string, start_position, length)",
  ["string", "number", "number"],
  "string",
  (s, start, length) => `substring(${s}, ${whole(start ?? "")}, ${whole(length ?? "")})`
)
define("contains(string, search_string)", ["string", "string"], (_, ...args) =>
  Result.succeed(test(`contains(${args.map((arg) => arg.sql).join(", ")})`)))
// NULL if one of the values is NULL (inferred: most databases do so).
define(
  "concat(value_1, value_2, ...)",
  ["any"],
  (clock, ...args) => {
    const joined = once(
      args.map((arg) => asText(clock, arg)),
      (...texts) =>
        `CASE WHEN ${texts.map((text) => `strlen(${text})`).join(" + ")} > ${longestText} THEN ${tooLong("concat")}
          ELSE ${texts.join(" || ")} END`
    )
    return Result.succeed(value("string", joined))
  },
  true
)

for (const unit of ["day", "month", "year", "hour", "minute", "second"] as const) {
  const inTime = unit === "hour" || unit === "minute" || unit === "second"
  // Days are added to local time, hours to elapsed time, as in filters.
  define(`add_${unit}s(number, date)`, ["number", "moment"], (clock, number = none, moment = none) => {
    const by = `to_${unit}s(CAST(${number.sql} AS ${inTime ? "BIGINT" : "INTEGER"}))`
    if (inTime) return Result.succeed(value("time", inRange(`${asTime(clock, moment)} + ${by}`)))
    const sum = inRange(`${local(clock, moment)} + ${by}`)
    return Result.succeed(
      moment.type === "time" ? value("time", utc(clock, sum)) : value("date", `CAST(${sum} AS DATE)`)
    )
  })
  // Complete units (inferred: databases differ, and Looker leaves it to the database).
  define(`diff_${unit}s(start_date, end_date)`, ["moment", "moment"], (clock, start = none, end = none) => {
    const of = inTime ? asTime : local
    return Result.succeed(value("number", inRange(`date_sub('${unit}', ${of(clock, start)}, ${of(clock, end)})`)))
  })
  define(`extract_${unit}s(date)`, ["moment"], (clock, moment = none) =>
    Result.succeed(value("number", `date_part('${unit}', ${local(clock, moment)})`))
  )
  if (unit === "second") continue
  define(`trunc_${unit}s(date)`, ["moment"], (clock, moment = none) => {
    const shown = local(clock, moment)
    const begun = inRange(`date_trunc('${unit}', ${shown})`)
    if (!inTime) return Result.succeed(value("date", `CAST(${begun} AS DATE)`))
    // Subtracts what has passed since the start of the unit: a local hour that occurs twice could not be converted back to UTC.
    return Result.succeed(value("time", inRange(`${asTime(clock, moment)} - (${shown} - ${begun})`)))
  })
}
const numbers = (count: number): ReadonlyArray<Parameter> => Array.from({ length: count }, () => "number")
simple("date(year, month, day)", numbers(3), "date", (...parts) => inRange(`make_date(${parts.map(whole).join(", ")})`))
define("date_time(year, month, day, hours, minutes, seconds)", numbers(6), (clock, ...parts) =>
  Result.succeed(value("time", utc(clock, inRange(`make_timestamp(${parts.map(({ sql }) => whole(sql)).join(", ")})`))))
)
define("now()", [], ({ now }) => Result.succeed(value("time", now)))

define("is_null(value)", ["any"], (_, tested = none) => Result.succeed(test(`(${tested.sql} IS NULL)`)))
define(
  "coalesce(value_1, value_2, ...)",
  ["any"],
  (clock, ...args) => Result.map(unify(clock, args), ([type, sql]) => value(type, `coalesce(${sql.join(", ")})`)),
  true
)
define("if(yesno_expression, value_if_yes, value_if_no)", ["yesno", "any", "any"], (clock, test = none, ...args) =>
  Result.map(unify(clock, args), ([type, [yes, no]]) =>
    value(type, `CASE WHEN ${test.sql} THEN ${yes} ELSE ${no} END`)
  ))

/** `case(when(test, value), ..., else_value)`: the values with the else last. */
export const cases = (
  clock: Clock,
  tests: ReadonlyArray<Value>,
  values: ReadonlyArray<Value>
): Result.Result<Value, string> =>
  Result.map(unify(clock, values), ([type, sql]) => {
    const when = tests.map((test, index) => `WHEN ${test.sql} THEN ${sql[index]}`)
    return value(type, `CASE ${when.join(" ")} ELSE ${sql.at(-1)} END`)
  })

for (const operator of ["+", "-", "*"]) {
  simple(`${operator}(value_1, value_2)`, numbers(2), "number", (x, y) => `(${x} ${operator} ${y})`)
}
simple("/(value_1, value_2)", numbers(2), "number", (x, y) => `CASE WHEN ${y} <> 0 THEN ${x} / ${y} END`)
simple("sign -(value)", numbers(1), "number", (x) => `(- ${x})`)
simple("sign +(value)", numbers(1), "number", (x) => `${x}`)
for (const operator of ["=", "!=", "<", "<=", ">", ">="]) {
  define(`${operator}(value_1, value_2)`, ["any", "any"], (clock, ...args) =>
    Result.flatMap(unify(clock, args), ([type, [left, right]]) => {
      if (args.some((arg) => arg.type === "null"))
        return Result.fail("nothing compares with null: write is_null(value)")
      if (type === "yesno" && operator !== "=" && operator !== "!=") return Result.fail("yes and no have no order")
      return Result.succeed(test(`(${left} ${operator === "!=" ? "<>" : operator} ${right})`))
    })
  )
}
for (const operator of ["AND", "OR"]) {
  define(
    `${operator}(value_1, value_2)`,
    ["yesno"],
    (_, ...args) => Result.succeed(test(`(${args.map((arg) => arg.sql).join(` ${operator} `)})`)),
    true
  )
}
define("NOT(value)", ["yesno"], (_, negated = none) => Result.succeed(test(`(NOT coalesce(${negated.sql}, FALSE))`)))

/** The functions that the documentation has for table calculations alone. A database cannot compute them from one row. */
const tableCalculations = new Set(
  `acos asin atan beta_dist beta_inv binom_dist binom_inv chisq_dist chisq_inv chisq_test combin confidence_norm confidence_t correl
  cos count count_distinct covar_pop covar_samp degrees expon_dist f_dist f_inv fact gamma_dist gamma_inv geomean hypgeom_dist index
  intercept kurtosis large list lookup match max mean median min mode multinomial negbinom_dist norm_dist norm_inv norm_s_dist
  norm_s_inv offset offset_list percent_rank percentile pi pivot_column pivot_index pivot_offset pivot_offset_list pivot_row
  pivot_where poisson_dist product radians rank rank_avg row running_product running_total sin skew slope small split stddev_pop
  stddev_samp sum t_dist t_inv t_test tan to_date to_number to_string var_pop var_samp weibull_dist z_test`.split(/\s+/)
)

const fits = (parameter: Parameter, { type }: Value): boolean =>
  type === "null" || parameter === "any" || parameter === type || (parameter === "moment" && isMoment(type))

const unknownFunction = (name: string): string => {
  if (tableCalculations.has(name))
    return `${name} is only for table calculations, which the embedded Looker does not compute`
  if (name === "rand") return "rand is not supported by the embedded Looker: the same query gives the same result"
  const closest = [name.toLowerCase(), name.toUpperCase()].find((other) => functions.has(other))
  return `there is no function ${name}${closest === undefined ? "" : `: write ${closest}`}`
}

/** The value of a call, or what is wrong with the call. */
export const apply = (clock: Clock, name: string, args: ReadonlyArray<Value>): Result.Result<Value, string> => {
  const found = functions.get(name)
  if (found === undefined) return Result.fail(unknownFunction(name))
  const { build, parameters, repeats, usage } = found
  const written = name.startsWith("sign ") ? name.slice(5) : name
  if (repeats ? args.length < parameters.length : args.length !== parameters.length) {
    return Result.fail(`${written} is written ${usage}`)
  }
  for (const [index, arg] of args.entries()) {
    const parameter = parameters[Math.min(index, parameters.length - 1)] ?? "any"
    if (fits(parameter, arg)) continue
    return Result.fail(
      `${written} takes a ${parameter === "moment" ? "date or time" : parameter} and not a ${arg.type}`
    )
  }
  return build(clock, ...args)
}
