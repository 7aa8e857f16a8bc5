/**
 * Filters on dates and times: `today`, `3 days ago for 2 days`, `before 2018-05-18 12:00`, `this year to second`, `Monday`.
 *
 * All of them are half-open intervals: the start is included, the end is not. An interval is computed in local time of the query's time
 * zone and then converted to UTC, the zone of columns of type `time`, so a day can have 23 or 25 hours. A local time that a clock change
 * skips is moved forward by the change (02:30 becomes 03:30), and of a local time that occurs twice the first is used. Hours, minutes and
 * seconds are elapsed time. Weeks begin on Monday. A fiscal year is the calendar year, as in a model without a `fiscal_month_offset`.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import { literal } from "../../database/Sql.ts"
import { type Condition, collect, is, isNot, isNotNull, isNull, split, type Term } from "./Term.ts"

/** Milliseconds since 1970 as the column has them: in UTC for a `time`, in local time as if it were UTC for a `date`. */
type Instant = number

/** An instant with its local time. A midnight that a clock change skips is kept as local time. */
interface Moment {
  readonly instant: Instant
  readonly local: number
}

interface Period {
  readonly start: Moment
  readonly end: Moment
}

interface Calendar {
  readonly now: Moment
  /** The moment of an instant. */
  readonly at: (instant: Instant) => Moment
  /** The moment of a local time. */
  readonly on: (local: number) => Moment
}

export const zoneOf = (timezone: string): Result.Result<DateTime.TimeZone.Named, string> =>
  Result.fromOption(
    DateTime.zoneMakeNamed(timezone),
    () => `${JSON.stringify(timezone)} is not a time zone: use a name such as America/Los_Angeles or UTC`
  )

const calendarOf = (
  type: "date" | "time",
  { now, timezone }: { readonly now: number; readonly timezone: string }
): Result.Result<Calendar, string> => {
  const found = zoneOf(timezone)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const zone = found.success
  const at = (instant: Instant): Moment => ({
    instant,
    local: DateTime.toDate(DateTime.setZone(DateTime.makeUnsafe(instant), zone)).getTime()
  })
  if (type === "date") {
    const same = (local: number): Moment => ({ instant: local, local })
    return Result.succeed({ now: same(at(now).local), at: same, on: same })
  }
  const on = (local: number): Moment => ({
    instant: DateTime.toEpochMillis(DateTime.setZone(DateTime.makeUnsafe(local), zone, { adjustForTimeZone: true })),
    local
  })
  return Result.succeed({ now: at(now), at, on })
}

const day = 86_400_000

/** Seconds, minutes and hours are elapsed time, days and months are local dates. */
const units = {
  second: { of: "time", size: 1000 },
  minute: { of: "time", size: 60_000 },
  hour: { of: "time", size: 3_600_000 },
  day: { of: "days", size: 1 },
  week: { of: "days", size: 7 },
  month: { of: "months", size: 1 },
  quarter: { of: "months", size: 3 },
  year: { of: "months", size: 12 }
} as const

type Unit = keyof typeof units

const unitPattern = "(second|minute|hour|day|week|month|(?:fiscal )?quarter|(?:fiscal )?year)s?"

const isUnit = (text: string): text is Unit => Object.hasOwn(units, text)

/** The unit that `unitPattern` matched. */
const unitOf = (text: string | undefined): Unit => {
  const unit = (text ?? "").replace("fiscal ", "")
  return isUnit(unit) ? unit : "day"
}

const remainder = (value: number, divisor: number): number => ((value % divisor) + divisor) % divisor

/** `Date.UTC` reads the year 1 as 1901. */
const localOf = (year: number, month: number, date: number): number => new Date(0).setUTCFullYear(year, month, date)

// The years that DuckDB reads in this notation. A bound at the end of them can be one second too early.
const first = localOf(1, 0, 1)
const last = localOf(10_000, 0, 1)

const startOf = (calendar: Calendar, unit: Unit): Moment => {
  const { of, size } = units[unit]
  const { instant, local } = calendar.now
  if (of === "time") return calendar.at(instant - remainder(local, size))
  const midnight = local - remainder(local, day)
  // 1970 began on a Thursday.
  if (of === "days") return calendar.on(midnight - (size === 1 ? 0 : remainder(midnight / day + 3, size) * day))
  const date = new Date(local)
  const month = date.getUTCMonth()
  return calendar.on(localOf(date.getUTCFullYear(), month - (month % size), 1))
}

const outOfRange: Moment = { instant: Number.NaN, local: Number.NaN }

/** Out of range outside of the years 1 to 9999. January 31st plus a month is the last day of February. */
const plus = (calendar: Calendar, { instant, local }: Moment, count: number, unit: Unit): Moment => {
  const { of, size } = units[unit]
  const within = (at: number) => at >= first && at <= last
  if (of === "time") {
    const moved = instant + count * size
    return within(moved) ? calendar.at(moved) : outOfRange
  }
  const date = new Date(local)
  const month = date.getUTCFullYear() * 12 + date.getUTCMonth() + count * size
  const beginning = (month: number) => localOf(Math.floor(month / 12), remainder(month, 12), 1)
  const length = (beginning(month + 1) - beginning(month)) / day
  const moved =
    of === "days"
      ? local + count * size * day
      : beginning(month) + (Math.min(date.getUTCDate(), length) - 1) * day + remainder(local, day)
  return within(moved) ? calendar.on(moved) : outOfRange
}

const periodOf = (calendar: Calendar, start: Moment, count: number, unit: Unit): Result.Result<Period, string> =>
  Result.succeed({ start, end: plus(calendar, start, count, unit) })

/** The period of one unit that begins `count` units after the current one. */
const nth = (calendar: Calendar, count: number, unit: Unit): Result.Result<Period, string> =>
  periodOf(calendar, plus(calendar, startOf(calendar, unit), count, unit), 1, unit)

const absolutePattern =
  /^(fy)?(\d{4})(?:[-/]q([1-4])|[-/](\d{2})(?:[-/](\d{2})(?:[ t](\d{1,2}):(\d{2})(?::(\d{2}))?)?)?)?$/

/** The period of an absolute date: `2001` is a year, `2001-01` a month, `2001-Q1` a quarter, and so on to the second. */
const absolute = (calendar: Calendar, text: string): Result.Result<Period, string> | undefined => {
  const found = absolutePattern.exec(text)
  if (found === null || (found[1] !== undefined && found[4] !== undefined)) return undefined
  const [year = 0, quarter, month, date, hour, minute, second] = found
    .slice(2)
    .map((part) => (part === undefined ? undefined : Number(part)))
  const inYear = quarter !== undefined ? (quarter - 1) * 3 : (month ?? 1) - 1
  const start = localOf(year, inYear, date ?? 1)
  const shown = new Date(start)
  const exists = shown.getUTCMonth() === inYear && shown.getUTCDate() === (date ?? 1) && year > 0
  if (!exists || (hour ?? 0) > 23 || (minute ?? 0) > 59 || (second ?? 0) > 59) {
    return Result.fail(`${JSON.stringify(text)} is not a date that exists`)
  }
  const unit =
    second !== undefined
      ? "second"
      : minute !== undefined
        ? "minute"
        : date !== undefined
          ? "day"
          : quarter !== undefined
            ? "quarter"
            : month !== undefined
              ? "month"
              : "year"
  const time = ((hour ?? 0) * 60 + (minute ?? 0)) * 60 + (second ?? 0)
  return periodOf(calendar, calendar.on(start + time * 1000), 1, unit)
}

const days = { yesterday: -1, today: 0, tomorrow: 1 } as const
const weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
const weekdayPattern = new RegExp(`^(?:(last|next) )?(${weekdays.join("|")})$`)
const relativePattern = new RegExp(`^(this|next|last) ${unitPattern}$`)
const offsetPattern = new RegExp(`^(\\d{1,9}) ${unitPattern} (ago|from now)$`)
const amountPattern = new RegExp(`^(\\d{1,9}) ${unitPattern}$`)
const durationPattern = new RegExp(`^(?:last )?(\\d{1,9}) ${unitPattern}$`)
const spanPattern = new RegExp(`^this ${unitPattern} to ${unitPattern}$`)

const unreadable = (text: string): string => {
  const shown = JSON.stringify(text)
  if (/^\d{4}[-/]\d(?!\d)|^\d{4}[-/]\d\d[-/]\d(?!\d)/.test(text)) {
    return `${shown} is not a date: write two digits for month and day, as in 2018-05-08`
  }
  return `${shown} is not a date or time such as 2018-05-18, 2018-05-18 12:00, 2018-Q2, today, last month, 3 days ago or 2 weeks from now`
}

/** A date, or a period relative to the present. `before`, `after`, `for` and `to` use its beginning. */
const point = (calendar: Calendar, text: string): Result.Result<Period, string> => {
  const date = absolute(calendar, text)
  if (date !== undefined) return date
  if (text === "now") return nth(calendar, 0, "second")
  if (text === "yesterday" || text === "today" || text === "tomorrow") return nth(calendar, days[text], "day")
  const weekday = weekdayPattern.exec(text)
  if (weekday !== null) {
    // The most recent one, as documented. That today counts, and the meaning of last and next, is inferred.
    const today = remainder(Math.floor(calendar.now.local / day) + 3, 7)
    const back = remainder(today - weekdays.indexOf(weekday[2] ?? ""), 7)
    return nth(calendar, weekday[1] === "next" ? 7 - back : weekday[1] === "last" && back === 0 ? -7 : -back, "day")
  }
  const relative = relativePattern.exec(text)
  if (relative !== null) {
    const unit = unitOf(relative[2])
    if (relative[1] === "next" && units[unit].of === "time") {
      return Result.fail(`${JSON.stringify(text)}: next takes day, week, month, quarter or year`)
    }
    return nth(calendar, relative[1] === "next" ? 1 : relative[1] === "last" ? -1 : 0, unit)
  }
  // `7 days from now` is that day, and `2 months from now` that month. Two examples in Looker's documentation contradict each other; this
  // follows the one that mirrors `ago`.
  const offset = offsetPattern.exec(text)
  if (offset !== null) return nth(calendar, Number(offset[1]) * (offset[3] === "ago" ? -1 : 1), unitOf(offset[2]))
  return Result.fail(unreadable(text))
}

const period = (calendar: Calendar, text: string): Result.Result<Period, string> => {
  const span = spanPattern.exec(text)
  if (span !== null) {
    const [from, to] = [unitOf(span[1]), unitOf(span[2])]
    return Result.succeed({ start: startOf(calendar, from), end: startOf(calendar, to) })
  }
  const [from, amount, ...more] = text.split(" for ")
  if (from !== undefined && amount !== undefined && more.length === 0) {
    const [, count, unit] = amountPattern.exec(amount) ?? []
    if (count === undefined) return Result.fail(`${JSON.stringify(amount)} is not a length of time such as 3 days`)
    if (Number(count) === 0) return Result.fail(`${JSON.stringify(amount)} is zero`)
    return Result.flatMap(point(calendar, from), ({ start }) => periodOf(calendar, start, Number(count), unitOf(unit)))
  }
  const [begin, end, ...rest] = text.split(" to ")
  if (begin !== undefined && end !== undefined && rest.length === 0) {
    return Result.flatMap(point(calendar, begin), ({ start }) =>
      Result.map(point(calendar, end), (until) => ({ start, end: until.start }))
    )
  }
  const duration = durationPattern.exec(text)
  if (duration === null) return point(calendar, text)
  const [count, unit] = [Number(duration[1]), unitOf(duration[2])]
  if (count === 0) return Result.fail(`${JSON.stringify(text)} is zero`)
  const current = startOf(calendar, unit)
  // The current unit is included, as documented: `3 days` ends with today. Seconds are counted up to now, as documented too.
  if (unit === "second" && count > 1)
    return Result.succeed({ start: plus(calendar, current, -count, unit), end: current })
  return Result.succeed({ start: plus(calendar, current, 1 - count, unit), end: plus(calendar, current, 1, unit) })
}

const bound = ({ instant }: Moment): Result.Result<string, string> => {
  if (Number.isNaN(instant)) return Result.fail("it lies outside of the years 1 to 9999")
  const shown = new Date(Math.min(Math.max(instant, first), last - 1000))
  return Result.succeed(`TIMESTAMP ${literal(shown.toISOString().slice(0, 19).replace("T", " "))}`)
}

const condition = (column: string, calendar: Calendar, text: string): Result.Result<string, string> => {
  const [, side, rest = ""] = /^(before|after|on) (.*)$/.exec(text) ?? []
  if (side === "before" || side === "after") {
    // `before 2 months` is `before 2 months ago` (inferred from the grammar of Looker's own form fields).
    const from = amountPattern.test(rest) ? `${rest} ago` : rest
    return Result.map(
      Result.flatMap(point(calendar, from), ({ start }) => bound(start)),
      (start) => `${column} ${side === "before" ? "<" : ">="} ${start}`
    )
  }
  return Result.flatMap(period(calendar, side === "on" ? rest : text), ({ end, start }) =>
    Result.map(Result.all([bound(start), bound(end)]), ([from, to]) => `(${column} >= ${from} AND ${column} < ${to})`)
  )
}

const dateTerm = (column: string, calendar: Calendar, text: string): Result.Result<Term, string> => {
  if (text === "null") return Result.succeed(isNull(column))
  if (text === "not null" || text === "-null") return Result.succeed(isNotNull(column))
  if (/^(is )?any ?time$/.test(text)) return Result.succeed(is("TRUE"))
  // NOT before anything but NULL is not documented; it means what it means for numbers.
  if (text.startsWith("not ")) {
    return Result.map(condition(column, calendar, text.slice(4)), (sql) => isNot(column, `NOT (${sql})`))
  }
  return Result.map(condition(column, calendar, text), is)
}

export const dateCondition = (
  type: "date" | "time",
  column: string,
  expression: string,
  context: { readonly now: number; readonly timezone: string }
): Condition =>
  Result.flatMap(calendarOf(type, context), (calendar) =>
    collect(
      column,
      split(expression).map((text) => dateTerm(column, calendar, text.replace(/\s+/g, " ").toLowerCase()))
    )
  )
