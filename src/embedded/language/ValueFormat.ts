/**
 * Formatted numbers: `value_format_name` and the simple forms of `value_format`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { literal } from "../database/Sql.ts"

/**
 * An Excel format of the supported kind: text around one number.
 *
 * @category models
 * @since 0.1.0
 */
export interface ValueFormat {
  readonly before: string
  readonly isGrouped: boolean
  readonly decimals: number
  /** How many times the number is divided by a thousand. */
  readonly thousands: number
  readonly isPercent: boolean
  readonly after: string
}

const family = (name: string, places: ReadonlyArray<number>, format: (zeros: string) => string) =>
  places.map((count) => [`${name}_${count}`, format(count === 0 ? "" : `.${"0".repeat(count)}`)] as const)

const currencies = [
  ["usd", "$"],
  ["gbp", '"£"'],
  ["eur", '"€"']
] as const

/**
 * Looker's own names for formats (documented: `value_format_name`).
 *
 * @category constants
 * @since 0.1.0
 */
export const named: ReadonlyMap<string, string> = new Map([
  ...family("decimal", [0, 1, 2, 3, 4], (zeros) => `#,##0${zeros}`),
  ...family("percent", [0, 1, 2, 3, 4], (zeros) => `#,##0${zeros}%`),
  ...currencies.flatMap(([name, sign]) => [[name, `${sign}#,##0.00`] as const, [`${name}_0`, `${sign}#,##0`] as const]),
  ["id", "0"]
])

const text = String.raw`(?:[$€£¥ ]|"[^"]*"|\\.)*`
const pattern = new RegExp(`^(${text})(#,##0|0)(?:\\.(0{1,10}))?(?:(,{1,4})|(%))?(${text})$`, "u")

const unquoted = (quoted: string): string => quoted.replaceAll(/"([^"]*)"|\\(.)/gu, "$1$2")

/**
 * Reads a format such as `#,##0.00`, `0.0%`, `$#,##0`, `0.0,,"M"` or `0 "pieces"`. Sections, conditions and dates are not supported:
 * `undefined`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const parse = (format: string): ValueFormat | undefined => {
  const [, before, integer, zeros = "", commas = "", percent, after] = pattern.exec(format) ?? []
  if (before === undefined || after === undefined) return undefined
  return {
    before: unquoted(before),
    isGrouped: integer === "#,##0",
    decimals: zeros.length,
    thousands: commas.length,
    isPercent: percent === "%",
    after: unquoted(after)
  }
}

/**
 * The format of a field, from its `value_format` or its `value_format_name`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const ofField = (
  format: string | null | undefined,
  name: string | null | undefined
): Result.Result<string | undefined, string> => {
  if (name) {
    const known = named.get(name)
    return known === undefined
      ? Result.fail(`there is no value_format_name ${JSON.stringify(name)}: there are ${[...named.keys()].join(", ")}`)
      : Result.succeed(known)
  }
  if (format && parse(format) === undefined) {
    const why = 'has to be one number with text around it, such as #,##0.00, 0.0%, $#,##0 or 0.0,,"M"'
    return Result.fail(`value_format ${JSON.stringify(format)} is not supported by the embedded Looker: it ${why}`)
  }
  return Result.succeed(format || undefined)
}

const sign = (number: string): string => `CASE WHEN starts_with(${number}, '-') THEN '-' ELSE '' END`

/** `format` is three times as fast as the regular expression, but has only 18 digits. */
const grouped = (digits: string): string =>
  `coalesce(format('{:,}', TRY_CAST(${digits} AS BIGINT)), ` +
  `ltrim(reverse(regexp_replace(reverse(${digits}), '(\\d{3})', '\\1,', 'g')), ','))`

/** All digits of the number, in groups of three. A number with an exponent stays as it is. */
const unrounded = (number: string): string => {
  const digits = `ltrim(${number}, '-')`
  return (
    `CASE WHEN ${changes(number, undefined)} THEN concat(${sign(number)}, ${grouped(`split_part(${digits}, '.', 1)`)}, ` +
    `CASE WHEN contains(${number}, '.') THEN concat('.', split_part(${digits}, '.', 2)) END) ELSE ${number} END`
  )
}

/**
 * Whether a number looks different when it is formatted: an SQL expression over the SQL of its text.
 *
 * @category conversions
 * @since 0.1.0
 */
export const changes = (number: string, format: ValueFormat | undefined): string =>
  format === undefined ? `regexp_full_match(${number}, '-?\\d{4,}(\\.\\d+)?')` : `${toSql(number, format)} <> ${number}`

/**
 * A formatted number: an SQL expression over the SQL of its text. A number that is too large for the format, or that has no format, has
 * its digits in groups of three (recorded for counts: `1,062`).
 *
 * @category conversions
 * @since 0.1.0
 */
export const toSql = (number: string, format: ValueFormat | undefined): string => {
  if (format === undefined) return unrounded(number)
  const { after, before, decimals, isGrouped, isPercent, thousands } = format
  const scaled = thousands === 0 ? number : `TRY_CAST(${number} AS DOUBLE) / ${1000 ** thousands}`
  // Rounded and shifted as text: a product could overflow, and a DOUBLE is not exactly the digits that it has as text.
  const rounded = `CAST(TRY_CAST(${scaled} AS DECIMAL(38, ${decimals + (isPercent ? 2 : 0)})) AS VARCHAR)`
  const digits = `replace(ltrim(${rounded}, '-'), '.', '')`
  const integer = `coalesce(nullif(ltrim(left(${digits}, ${decimals === 0 ? `length(${digits})` : -decimals}), '0'), ''), '0')`
  const parts = [
    sign(rounded),
    ...(before === "" ? [] : [literal(before)]),
    isGrouped ? grouped(integer) : integer,
    ...(decimals === 0 ? [] : ["'.'", `right(${digits}, ${decimals})`]),
    ...(isPercent ? ["'%'"] : []),
    ...(after === "" ? [] : [literal(after)])
  ]
  return `CASE WHEN ${rounded} IS NULL THEN ${unrounded(number)} ELSE concat(${parts.join(", ")}) END`
}
