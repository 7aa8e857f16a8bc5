import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Result, Schema } from "effect"
import { FilterExpression } from "effect-looker/embedded"
import * as DuckDb from "../../../../src/embedded/database/DuckDb.ts"

/** The moment of the examples in Looker's documentation: Friday, 2018/05/18 18:30:02. */
const friday = "2018-05-18 18:30:02"
const at = (utc: string) => Date.parse(`${utc.replace(" ", "T")}Z`)
const context = (now: string, timezone: string): FilterExpression.Context => ({ now: at(now), timezone })
const documented = context(friday, "UTC")

class Matches extends Context.Service<
  Matches,
  {
    /** Which of the values a condition on the column `x` keeps. */
    readonly of: (
      type: "DATE" | "TIMESTAMP",
      values: ReadonlyArray<string>,
      condition: string
    ) => Effect.Effect<ReadonlyArray<boolean>, DuckDb.DatabaseError>
    readonly run: (sql: string) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, DuckDb.DatabaseError>
  }
>()("test/Matches") {}

const matches = Layer.effect(
  Matches,
  Effect.gen(function* () {
    const database = yield* DuckDb.make({})
    return Matches.of({
      run: database.run,
      of: (type, values, condition) => {
        const rows = values.map((value, index) => `(${index}, CAST(${value} AS ${type}))`).join(", ")
        const sql = `SELECT coalesce(${condition || "TRUE"}, FALSE) FROM (VALUES ${rows}) v(i, x) ORDER BY i`
        return Effect.map(database.run(sql), (found) => found.map((row) => row[0] === true))
      }
    })
  })
)

/** Expression, and the interval it means at the documented moment: the start is in, the end is out, and "" is no bound. */
const intervals: ReadonlyArray<readonly [expression: string, start: string, end: string]> = [
  // absolute
  ["2018/05/29", "2018-05-29", "2018-05-30"],
  ["2018-05-29", "2018-05-29", "2018-05-30"],
  ["on 2018-05-29", "2018-05-29", "2018-05-30"],
  ["2018/05/10 for 3 days", "2018-05-10", "2018-05-13"],
  ["after 2018/05/10", "2018-05-10", ""],
  ["before 2018/05/10", "", "2018-05-10"],
  ["before 2018-01-01 12:00:00", "", "2018-01-01 12:00:00"],
  ["2018/05", "2018-05-01", "2018-06-01"],
  ["2018-05", "2018-05-01", "2018-06-01"],
  ["2018/05 for 2 months", "2018-05-01", "2018-07-01"],
  ["2018/05/10 05:00 for 5 hours", "2018-05-10 05:00:00", "2018-05-10 10:00:00"],
  ["2018/05/10 for 5 months", "2018-05-10", "2018-10-10"],
  ["2018-01-01 12:00:00 for 3 days", "2018-01-01 12:00:00", "2018-01-04 12:00:00"],
  ["2018-01-31 for 1 month", "2018-01-31", "2018-02-28"],
  ["2016-02-29 for 1 year", "2016-02-29", "2017-02-28"],
  ["2018 for 2 years", "2018-01-01", "2020-01-01"],
  ["2018-Q2 for 2 quarters", "2018-04-01", "2018-10-01"],
  ["2018-07-01 for 1 quarter", "2018-07-01", "2018-10-01"],
  ["2018", "2018-01-01", "2019-01-01"],
  ["2018-Q4", "2018-10-01", "2019-01-01"],
  ["2018/q1", "2018-01-01", "2018-04-01"],
  ["FY2018", "2018-01-01", "2019-01-01"],
  ["FY2018-Q1", "2018-01-01", "2018-04-01"],
  ["2018-05-18 12:00", "2018-05-18 12:00:00", "2018-05-18 12:01:00"],
  ["2018/05/18 12:00:05", "2018-05-18 12:00:05", "2018-05-18 12:00:06"],
  ["2018-05-18T12:00:05", "2018-05-18 12:00:05", "2018-05-18 12:00:06"],
  ["2018-05-18 12:00:00 to 2018-05-18 14:00:00", "2018-05-18 12:00:00", "2018-05-18 14:00:00"],
  ["2018-05-10 to 2018-06", "2018-05-10", "2018-06-01"],
  ["2018 TO 2019", "2018-01-01", "2019-01-01"],
  ["before 2018-Q2", "", "2018-04-01"],
  ["after 2018", "2018-01-01", ""],
  ["0001", "0001-01-01", "0002-01-01"],
  // seconds
  ["1 second", "2018-05-18 18:30:02", "2018-05-18 18:30:03"],
  ["60 seconds", "2018-05-18 18:29:02", "2018-05-18 18:30:02"],
  ["60 seconds ago for 60 seconds", "2018-05-18 18:29:02", "2018-05-18 18:30:02"],
  ["60 seconds ago for 1 second", "2018-05-18 18:29:02", "2018-05-18 18:29:03"],
  ["last second", "2018-05-18 18:30:01", "2018-05-18 18:30:02"],
  ["now", "2018-05-18 18:30:02", "2018-05-18 18:30:03"],
  ["before now", "", "2018-05-18 18:30:02"],
  ["after now", "2018-05-18 18:30:02", ""],
  ["now for 2 hours", "2018-05-18 18:30:02", "2018-05-18 20:30:02"],
  ["2018-05-01 to now", "2018-05-01", "2018-05-18 18:30:02"],
  // minutes
  ["1 minute", "2018-05-18 18:30:00", "2018-05-18 18:31:00"],
  ["60 minutes", "2018-05-18 17:31:00", "2018-05-18 18:31:00"],
  ["60 minutes ago for 1 minute", "2018-05-18 17:30:00", "2018-05-18 17:31:00"],
  ["last minute", "2018-05-18 18:29:00", "2018-05-18 18:30:00"],
  // hours
  ["1 hour", "2018-05-18 18:00:00", "2018-05-18 19:00:00"],
  ["24 hours", "2018-05-17 19:00:00", "2018-05-18 19:00:00"],
  ["24 hours ago for 1 hour", "2018-05-17 18:00:00", "2018-05-17 19:00:00"],
  ["last hour", "2018-05-18 17:00:00", "2018-05-18 18:00:00"],
  ["3 hours ago", "2018-05-18 15:00:00", "2018-05-18 16:00:00"],
  // days
  ["today", "2018-05-18", "2018-05-19"],
  ["yesterday", "2018-05-17", "2018-05-18"],
  ["tomorrow", "2018-05-19", "2018-05-20"],
  ["this day", "2018-05-18", "2018-05-19"],
  ["next day", "2018-05-19", "2018-05-20"],
  ["last day", "2018-05-17", "2018-05-18"],
  ["2 days", "2018-05-17", "2018-05-19"],
  ["1 day ago", "2018-05-17", "2018-05-18"],
  ["3  Days\tago", "2018-05-15", "2018-05-16"],
  ["7 days ago for 7 days", "2018-05-11", "2018-05-18"],
  ["today for 7 days", "2018-05-18", "2018-05-25"],
  ["last 3 days", "2018-05-16", "2018-05-19"],
  ["7 days from now", "2018-05-25", "2018-05-26"],
  ["3 days from now for 2 weeks", "2018-05-21", "2018-06-04"],
  ["before 3 days ago", "", "2018-05-15"],
  ["after 3 days ago", "2018-05-15", ""],
  ["before 2 days from now", "", "2018-05-20"],
  ["before today", "", "2018-05-18"],
  ["after tomorrow", "2018-05-19", ""],
  ["before this day", "", "2018-05-18"],
  ["before last day", "", "2018-05-17"],
  ["after next day", "2018-05-19", ""],
  ["7 days ago to today", "2018-05-11", "2018-05-18"],
  // weekdays
  ["Friday", "2018-05-18", "2018-05-19"],
  ["Monday", "2018-05-14", "2018-05-15"],
  ["saturday", "2018-05-12", "2018-05-13"],
  ["last Friday", "2018-05-11", "2018-05-12"],
  ["last Monday", "2018-05-14", "2018-05-15"],
  ["next Friday", "2018-05-25", "2018-05-26"],
  ["next Monday", "2018-05-21", "2018-05-22"],
  ["before Monday", "", "2018-05-14"],
  ["after Monday", "2018-05-14", ""],
  ["Monday for 2 days", "2018-05-14", "2018-05-16"],
  // weeks
  ["1 week", "2018-05-14", "2018-05-21"],
  ["this week", "2018-05-14", "2018-05-21"],
  ["before this week", "", "2018-05-14"],
  ["after this week", "2018-05-14", ""],
  ["next week", "2018-05-21", "2018-05-28"],
  ["2 weeks", "2018-05-07", "2018-05-21"],
  ["2 weeks ago for 2 weeks", "2018-04-30", "2018-05-14"],
  ["last week", "2018-05-07", "2018-05-14"],
  ["1 week ago", "2018-05-07", "2018-05-14"],
  ["before last week", "", "2018-05-07"],
  ["after next week", "2018-05-21", ""],
  ["after 2 weeks from now", "2018-05-28", ""],
  // months
  ["1 month", "2018-05-01", "2018-06-01"],
  ["this month", "2018-05-01", "2018-06-01"],
  ["0 months ago", "2018-05-01", "2018-06-01"],
  ["2 months", "2018-04-01", "2018-06-01"],
  ["last month", "2018-04-01", "2018-05-01"],
  ["2 months ago", "2018-03-01", "2018-04-01"],
  ["2 months ago for 2 months", "2018-03-01", "2018-05-01"],
  ["3 months ago for 2 days", "2018-02-01", "2018-02-03"],
  ["before 2 months ago", "", "2018-03-01"],
  ["before 2 months", "", "2018-03-01"],
  ["before 2 months from now", "", "2018-07-01"],
  ["after 1 month ago", "2018-04-01", ""],
  ["next month", "2018-06-01", "2018-07-01"],
  ["2 months from now", "2018-07-01", "2018-08-01"],
  ["6 months from now for 3 months", "2018-11-01", "2019-02-01"],
  ["before last month", "", "2018-04-01"],
  ["after this month", "2018-05-01", ""],
  // quarters
  ["1 quarter", "2018-04-01", "2018-07-01"],
  ["this quarter", "2018-04-01", "2018-07-01"],
  ["2 quarters", "2018-01-01", "2018-07-01"],
  ["last quarter", "2018-01-01", "2018-04-01"],
  ["2 quarters ago", "2017-10-01", "2018-01-01"],
  ["before 2 quarters ago", "", "2017-10-01"],
  ["next quarter", "2018-07-01", "2018-10-01"],
  ["this fiscal quarter", "2018-04-01", "2018-07-01"],
  ["last fiscal quarter", "2018-01-01", "2018-04-01"],
  ["2 fiscal quarters", "2018-01-01", "2018-07-01"],
  // years
  ["1 year", "2018-01-01", "2019-01-01"],
  ["this year", "2018-01-01", "2019-01-01"],
  ["next year", "2019-01-01", "2020-01-01"],
  ["2 years", "2017-01-01", "2019-01-01"],
  ["2 years ago for 2 years", "2016-01-01", "2018-01-01"],
  ["last year", "2017-01-01", "2018-01-01"],
  ["2 years ago", "2016-01-01", "2017-01-01"],
  ["7 year ago", "2011-01-01", "2012-01-01"],
  ["before 2 years ago", "", "2016-01-01"],
  ["next fiscal year", "2019-01-01", "2020-01-01"],
  ["before next year", "", "2019-01-01"],
  ["after last year", "2017-01-01", ""],
  // this ... to
  ["this year to second", "2018-01-01", "2018-05-18 18:30:02"],
  ["this year to day", "2018-01-01", "2018-05-18"],
  ["this week to day", "2018-05-14", "2018-05-18"],
  ["this day to second", "2018-05-18", "2018-05-18 18:30:02"],
  ["this quarter to month", "2018-04-01", "2018-05-01"]
]

/** The same where the wall clock of the query is not UTC; the interval is in UTC. */
const zoned: ReadonlyArray<readonly [zone: string, now: string, expression: string, start: string, end: string]> = [
  ["America/Los_Angeles", friday, "today", "2018-05-18 07:00:00", "2018-05-19 07:00:00"],
  ["America/Los_Angeles", friday, "2018-01", "2018-01-01 08:00:00", "2018-02-01 08:00:00"],
  ["Asia/Tokyo", friday, "today", "2018-05-18 15:00:00", "2018-05-19 15:00:00"],
  ["Asia/Tokyo", friday, "Saturday", "2018-05-18 15:00:00", "2018-05-19 15:00:00"],
  ["Asia/Kolkata", friday, "1 hour", "2018-05-18 18:30:00", "2018-05-18 19:30:00"],
  ["Asia/Kathmandu", friday, "2018-05-18 12:00", "2018-05-18 06:15:00", "2018-05-18 06:16:00"],
  ["Pacific/Kiritimati", "2017-12-31 12:00:00", "this year", "2017-12-31 10:00:00", "2018-12-31 10:00:00"],
  // 23 hours, and 25.
  ["America/Los_Angeles", "2024-03-10 20:00:00", "today", "2024-03-10 08:00:00", "2024-03-11 07:00:00"],
  ["America/Los_Angeles", "2024-03-10 20:00:00", "2 days", "2024-03-09 08:00:00", "2024-03-11 07:00:00"],
  ["America/Los_Angeles", "2024-03-10 20:00:00", "this week", "2024-03-04 08:00:00", "2024-03-11 07:00:00"],
  ["America/Los_Angeles", "2024-03-10 20:00:00", "this month", "2024-03-01 08:00:00", "2024-04-01 07:00:00"],
  ["America/Los_Angeles", "2024-11-03 20:00:00", "today", "2024-11-03 07:00:00", "2024-11-04 08:00:00"],
  ["America/Los_Angeles", "2024-11-03 20:00:00", "1 day ago", "2024-11-02 07:00:00", "2024-11-03 07:00:00"],
  // Hours are counted as they pass, days by the wall clock.
  ["America/Los_Angeles", "2024-03-10 20:00:00", "24 hours", "2024-03-09 21:00:00", "2024-03-10 21:00:00"],
  ["America/Los_Angeles", "2024-11-03 20:00:00", "24 hours", "2024-11-02 21:00:00", "2024-11-03 21:00:00"],
  ["America/Los_Angeles", "2024-11-03 09:15:00", "1 hour", "2024-11-03 09:00:00", "2024-11-03 10:00:00"],
  ["America/Los_Angeles", "2024-11-03 08:15:00", "1 hour", "2024-11-03 08:00:00", "2024-11-03 09:00:00"],
  ["UTC", "2024-03-10 20:00:00", "2024-03-09 12:00 for 1 day", "2024-03-09 12:00:00", "2024-03-10 12:00:00"],
  ["America/Los_Angeles", friday, "2024-03-09 12:00 for 1 day", "2024-03-09 20:00:00", "2024-03-10 19:00:00"],
  ["America/Los_Angeles", friday, "2024-03-09 12:00 for 24 hours", "2024-03-09 20:00:00", "2024-03-10 20:00:00"],
  // 02:30 does not exist that day: it is taken for 03:30.
  ["America/Los_Angeles", friday, "after 2024-03-10 02:30", "2024-03-10 10:30:00", ""],
  ["America/Los_Angeles", friday, "after 2024-03-10 03:30", "2024-03-10 10:30:00", ""],
  // 01:30 comes twice: it is the first.
  ["America/Los_Angeles", friday, "after 2024-11-03 01:30", "2024-11-03 08:30:00", ""],
  ["America/Los_Angeles", friday, "2024-11-03 01:00 to 2024-11-03 02:00", "2024-11-03 08:00:00", "2024-11-03 10:00:00"],
  // Midnight itself does not exist: the day begins at one.
  ["Asia/Beirut", "2024-03-31 12:00:00", "today", "2024-03-30 22:00:00", "2024-03-31 21:00:00"],
  ["Asia/Beirut", "2024-03-31 12:00:00", "yesterday", "2024-03-29 22:00:00", "2024-03-30 22:00:00"],
  ["Asia/Beirut", "2024-03-31 12:00:00", "today for 2 days", "2024-03-30 22:00:00", "2024-04-01 21:00:00"],
  ["Asia/Beirut", "2024-03-31 12:00:00", "Sunday", "2024-03-30 22:00:00", "2024-03-31 21:00:00"],
  // Midnight comes twice.
  ["America/Havana", "2024-11-03 12:00:00", "today", "2024-11-03 04:00:00", "2024-11-04 05:00:00"],
  // A change of half an hour.
  ["Australia/Lord_Howe", "2024-04-07 03:00:00", "today", "2024-04-06 13:00:00", "2024-04-07 13:30:00"],
  // A day that was left out altogether.
  ["Pacific/Apia", "2011-12-31 12:00:00", "2011-12-29 to 2011-12-31", "2011-12-29 10:00:00", "2011-12-30 10:00:00"]
]

const unreadable = [
  "2001-13",
  "2001-02-30",
  "2018-02-29",
  "2001-1-1-1",
  "2001-01-10 25:00",
  "2001-01-10 24:00",
  "2001-01-10 10:61",
  "2001-01-10 10:00:61",
  "2018-05-18T12:00:00Z",
  "2018-05-18 12:00:00.5",
  "2018-Q5",
  "FY2018-01",
  "0000",
  "10000",
  "2016-1",
  "2016-01-5",
  "before",
  "before ",
  "after 3 apples ago",
  "2001 to",
  "2001 to 2002 to 2003",
  "2001 until 2002",
  "2001-01-01'",
  "last",
  "days",
  "0 days",
  "today for 0 days",
  "today for 3",
  "today for yesterday",
  "last 3 days for 2 days",
  "-3 days",
  "3.5 days",
  "3 days hence",
  "next 2 weeks",
  "next hour",
  "next second",
  "this monday",
  "last year to day",
  "before 3 days ago for 2 days",
  "99999 years ago",
  "9999999999 days ago",
  "9000 years from now",
  "not a valid date",
  "not",
  "sometime",
  "today; DROP TABLE x",
  "today) OR (TRUE"
]

layer(matches)("DateFilter", (it) => {
  const check = (
    expression: string,
    context: FilterExpression.Context,
    type: "date" | "time",
    start: string,
    end: string
  ) =>
    Effect.gen(function* () {
      const { of } = yield* Matches
      const condition = yield* Effect.fromResult(FilterExpression.toSql(type, "x", expression, context))
      const from = start === "" ? "TIMESTAMP '0500-01-01'" : `TIMESTAMP '${start}'`
      const to = end === "" ? "TIMESTAMP '5000-01-01'" : `TIMESTAMP '${end}'`
      const least = type === "date" ? "INTERVAL 1 DAY" : "INTERVAL 1 MICROSECOND"
      const found = yield* of(
        type === "date" ? "DATE" : "TIMESTAMP",
        [`${from} - ${least}`, from, `${to} - ${least}`, to, "NULL"],
        condition
      )
      assert.deepStrictEqual(found, [start === "", true, true, end === "", false], condition)
    })

  for (const [expression, start, end] of intervals) {
    it.effect(`reads ${expression} as from ${start || "ever"} until before ${end || "ever"}`, () =>
      Effect.gen(function* () {
        yield* check(expression, documented, "time", start, end)
        // On days without a time the same holds for bounds at midnight.
        if (!/\d:\d/.test(start + end)) yield* check(expression, documented, "date", start, end)
      })
    )
  }

  for (const [zone, now, expression, start, end] of zoned) {
    it.effect(
      `reads ${expression} in ${zone} at ${now} UTC as from ${start || "ever"} until before ${end || "ever"} UTC`,
      () => check(expression, context(now, zone), "time", start, end)
    )
  }

  it.effect("takes the date in the zone of the query for today where a column has no zone", () =>
    Effect.gen(function* () {
      yield* check("today", context("2024-03-10 20:00:00", "America/Los_Angeles"), "date", "2024-03-10", "2024-03-11")
      yield* check("today", context("2024-03-10 20:00:00", "Asia/Tokyo"), "date", "2024-03-11", "2024-03-12")
      yield* check("this week", context("2024-03-10 20:00:00", "Asia/Tokyo"), "date", "2024-03-11", "2024-03-18")
      yield* check("2024-03-10", context("2024-03-10 20:00:00", "Asia/Tokyo"), "date", "2024-03-10", "2024-03-11")
    })
  )

  it.effect("agrees with the wall clock at every half hour around changes of the clock", () =>
    Effect.gen(function* () {
      const { run } = yield* Matches
      const changes = [
        ["America/Los_Angeles", "2024-03-10 10:00:00"],
        ["America/Los_Angeles", "2024-11-03 09:00:00"],
        ["Europe/Berlin", "2024-03-31 01:00:00"],
        ["Asia/Beirut", "2024-03-30 22:00:00"],
        ["America/Havana", "2024-11-03 05:00:00"],
        ["America/Sao_Paulo", "2018-11-04 03:00:00"],
        ["America/Sao_Paulo", "2018-02-18 02:00:00"],
        ["Asia/Kathmandu", "2024-01-01 00:00:00"],
        ["UTC", "2024-02-29 12:00:00"]
      ] as const
      for (const [zone, change] of changes) {
        for (const offset of [-20, -2, 0, 5, 30]) {
          const now = at(change) + offset * 3_600_000
          for (const unit of ["day", "week", "month", "quarter", "year"]) {
            for (const count of [0, 1, 2]) {
              const condition = yield* Effect.fromResult(
                FilterExpression.toSql("time", "x", `${count} ${unit}s ago`, { now, timezone: zone })
              )
              // The other way round: the column on the wall clock, with DuckDB's own time zones.
              const wall = (utc: string) => `date_trunc('${unit}', timezone('${zone}', timezone('UTC', ${utc})))`
              const byHand = `${wall("x")} = ${wall(`make_timestamp(${now * 1000})`)} - INTERVAL ${count} ${unit}`
              const around = `TIMESTAMP '${change}'`
              const rows = yield* run(
                `SELECT x, ${condition}, ${byHand} FROM range(${around} - INTERVAL 4 DAY, ${around} + INTERVAL 4 DAY, INTERVAL 30 MINUTE) v(x) WHERE (${condition}) <> (${byHand})`
              )
              assert.deepStrictEqual(rows, [], `${zone} ${change} ${offset} ${count} ${unit}`)
            }
          }
        }
      }
    })
  )

  const lists: ReadonlyArray<readonly [string, string]> = [
    ["today, 7 days ago", "x::DATE IN (DATE '2018-05-18', DATE '2018-05-11')"],
    ["2018-05-18 , NULL", "x::DATE = DATE '2018-05-18' OR x IS NULL"],
    ["NULL", "x IS NULL"],
    ["NOT NULL", "x IS NOT NULL"],
    ["-NULL", "x IS NOT NULL"],
    ["not today", "x::DATE <> DATE '2018-05-18' OR x IS NULL"],
    ["NOT before today", "x >= TIMESTAMP '2018-05-18' OR x IS NULL"],
    ["last 7 days, not yesterday", "x >= DATE '2018-05-12' AND x < DATE '2018-05-19' AND x::DATE <> DATE '2018-05-17'"],
    ["NOT 5 days, NOT NULL", "x < TIMESTAMP '2018-05-14' OR x >= TIMESTAMP '2018-05-19'"],
    ["", "TRUE"],
    ["any time", "TRUE"],
    ["is any time", "TRUE"]
  ]
  for (const [expression, sql] of lists) {
    it.effect(`reads ${JSON.stringify(expression)} as ${sql}`, () =>
      Effect.gen(function* () {
        const { of } = yield* Matches
        const condition = yield* Effect.fromResult(FilterExpression.toSql("time", "x", expression, documented))
        const values = [...Array.from({ length: 30 }, (_, index) => `DATE '2018-04-30' + ${index}`), "NULL"]
        assert.deepStrictEqual(yield* of("TIMESTAMP", values, condition), yield* of("TIMESTAMP", values, sql))
      })
    )
  }

  const units = ["second", "minute", "hours", "day", "weeks", "month", "quarters", "fiscal year", "year"] as const
  const heads = ["", "before ", "after ", "this ", "last ", "next ", "not ", "2018-05-10 for ", "2018-02 to "] as const
  const tails = [
    "",
    " ago",
    " from now",
    " ago for 3 days",
    " from now for 1 hour",
    " to day",
    ", today",
    " to now"
  ] as const
  const zones = ["UTC", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Apia", "Asia/Beirut"] as const
  it.effect.prop(
    "reads a date as a condition that NOT turns into its complement, with NULL, or refuses it",
    [
      Schema.Literals(heads),
      Schema.Literals(["", "1 ", "2 ", "17 ", "400 "]),
      Schema.Literals(units),
      Schema.Literals(tails),
      Schema.Literals(zones),
      Schema.Int.check(Schema.isBetween({ minimum: -2_000_000_000, maximum: 4_000_000_000 }))
    ],
    ([head, count, unit, tail, timezone, seconds]) =>
      Effect.gen(function* () {
        const { of } = yield* Matches
        const expression = head + count + unit + tail
        const context = { now: seconds * 1000, timezone }
        for (const type of ["date", "time"] as const) {
          const condition = FilterExpression.toSql(type, "x", expression, context)
          if (Result.isFailure(condition)) continue
          const now = `make_timestamp(${seconds * 1_000_000})`
          const values = [now, `${now} - INTERVAL 1 DAY`, `${now} + INTERVAL 40 DAY`, "TIMESTAMP '2018-05-11'", "NULL"]
          const sqlType = type === "date" ? "DATE" : "TIMESTAMP"
          const found = yield* of(sqlType, values, condition.success)
          if (tail.includes(",") || head === "not ") continue
          const not = yield* Effect.fromResult(FilterExpression.toSql(type, "x", `not ${expression}`, context))
          assert.deepStrictEqual(
            yield* of(sqlType, values, not),
            found.map((kept) => !kept)
          )
          assert.isFalse(found.at(-1))
        }
      }),
    { arbitrary: { runs: 300 } }
  )
})

describe("DateFilter", () => {
  for (const expression of unreadable) {
    it(`refuses ${JSON.stringify(expression)}`, () => {
      for (const type of ["date", "time"] as const) {
        const condition = FilterExpression.toSql(type, "x", expression, documented)
        assert.isTrue(
          Result.isFailure(condition),
          Result.getOrElse(condition, () => "")
        )
      }
    })
  }

  it("refuses a time zone that is not there", () => {
    for (const timezone of ["Mars/Olympus", "", "'; DROP TABLE x"]) {
      const condition = FilterExpression.toSql("time", "x", "today", { now: 0, timezone })
      assert.include(
        Result.isFailure(condition) ? condition.failure : "",
        `${JSON.stringify(timezone)} is not a time zone`
      )
    }
  })

  it("says what is not a length of time", () => {
    for (const [expression, expected] of [
      ["2018 for ever", '"ever" is not a length of time such as 3 days'],
      ["2018 for 0 days", '"0 days" is zero'],
      ["0 days", '"0 days" is zero']
    ] as const) {
      const condition = FilterExpression.toSql("time", "x", expression, documented)
      assert.include(Result.isFailure(condition) ? condition.failure : "", expected)
    }
  })

  it("says what to write for a month of one digit, which Looker takes for a subtraction", () => {
    const condition = FilterExpression.toSql("time", "x", "2016-1", documented)
    assert.include(Result.isFailure(condition) ? condition.failure : "", "two digits")
  })
})
