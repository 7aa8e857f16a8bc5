/**
 * Files as a model: every CSV, JSON or Parquet file becomes a table and an explore, every column a dimension.
 *
 * Everything is loaded into tables, Parquet too, and then the database is locked: no statement can read or write a file after
 * that, and the rows are those the files had at the start.
 *
 * **Gotchas**
 *
 * A link in the folder is followed, wherever it leads: whoever fills the folder says what is in it, and no query can add one.
 *
 * A column keeps its name. The measure that would have the same one has `_measure` behind it: in a file with a column `count`, the rows
 * are counted by `count_measure`.
 *
 * Numbers keep all their digits, except in JSON: there a column with a fraction, or with an integer beyond 64 bits, is of DOUBLEs,
 * with some 16 digits and sums that are not exact, as most readers of JSON take them. Text, CSV and Parquet keep the rest. Two JSON
 * keys that differ only in case are two columns, the second with a number (`a`, `a_1`); inside of an object they are refused.
 *
 * Dates have the year first (`2024-02-01`). In a CSV `13/02/2024`, `13.02.2024` and `02-13-2024` are dates too where a value of their
 * column tells the day from the month; a column with `01/02/2024` and `03/04/2024` only is text, since nobody can know. A time without
 * a zone is one in UTC.
 *
 * @since 0.1.0
 */
import { open, readdir, stat } from "node:fs/promises"
import { basename, extname, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import type { DatabaseError, DuckDb } from "../database/DuckDb.ts"
import { file, identifier, literal } from "../database/Sql.ts"
import { EmbeddedError } from "../EmbeddedError.ts"
import {
  type Explore,
  type Field,
  type FieldInfo,
  type FieldType,
  type Model,
  type Timeframe,
  titleCase
} from "../model/Model.ts"

type Database = DuckDb["Service"]

/** `dateFormat` is of dates that are loaded as text: how DuckDB would read them, empty where it would cast them. */
interface Column {
  readonly name: string
  readonly type: string
  readonly dateFormat?: string
}

const isDate = (type: string): boolean => /^(DATE|TIMESTAMP)/.test(type)

const fileFormats = [".csv", ".json", ".ndjson", ".jsonl", ".parquet"]

/** Lower-case letters, digits and underscores, as LookML wants names. */
const toName = (text: string): string => {
  const name = text.toLowerCase().replaceAll(/[^a-z0-9_]+/g, "_")
  return /^[a-z_]/.test(name) ? name : `_${name}`
}

/** Without DuckDB's advice, which is about options of its own, and without its statement. */
const reason = (message: string): string => {
  const [said = ""] = message.split(/\n\s*(?:LINE \d+:|Possible |Column \S+ is being|The search space|file = )/)
  const saved = /(not|invalid) utf-?8/i.test(said) ? ". Save the file as UTF-8" : ""
  return said.trim().replace(/^Invalid Input Error: |[.]$/g, "") + saved
}

const unreadable = (path: string) => (cause: { readonly message: string }) =>
  new EmbeddedError({ message: `cannot read ${path}: ${reason(cause.message)}`, path })

const filesIn = Effect.fnUntraced(function* (path: string) {
  const missing = () => new EmbeddedError({ message: `there is no file or folder ${resolve(path)}`, path })
  const info = yield* Effect.tryPromise({ try: () => stat(path), catch: missing })
  if (!info.isDirectory()) {
    return fileFormats.includes(extname(path).toLowerCase())
      ? [path]
      : yield* new EmbeddedError({ message: `${path} is none of ${fileFormats.join(" ")}`, path })
  }
  const entries = yield* Effect.tryPromise({
    try: () => readdir(path, { withFileTypes: true }),
    catch: (cause) => unreadable(path)(cause instanceof Error ? cause : { message: String(cause) })
  })
  const files = entries
    .filter((entry) => !entry.isDirectory() && fileFormats.includes(extname(entry.name).toLowerCase()))
    .map((entry) => join(path, entry.name))
    .sort()
  if (files.length > 0) return files
  const subfolders = entries.some((entry) => entry.isDirectory()) ? ", and subfolders are not read" : ""
  const message = `no data in ${resolve(path)}: none of its files is ${fileFormats.join(" ")}${subfolders}`
  return yield* new EmbeddedError({ message, path })
})

const describe = Effect.fnUntraced(function* (database: Database, source: string) {
  const rows = yield* database.run(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ${source})`)
  return rows.map(([name, type]): Column => ({ name: String(name), type: String(type) }))
})

/**
 * The whole file is the sample: a late value decides the type of its column instead of breaking the load. A folder named
 * `year=2020` is a folder, not a column.
 */
const sniffing = "sample_size = -1, hive_partitioning = false"

const csvSource = (path: string, types: ReadonlyArray<Column>): string => {
  const pairs = types.map(
    ({ dateFormat, name, type }) => `${literal(name)}: ${literal(dateFormat === undefined ? type : "VARCHAR")}`
  )
  const given = pairs.length > 0 ? `, types = {${pairs.join(", ")}}` : ""
  // Without `skip = 0` DuckDB takes lines of another length at the beginning for remarks and leaves them out.
  return `read_csv(${file(path)}, header = true, skip = 0, ${sniffing}${given})`
}

const describeCsv = Effect.fnUntraced(function* (database: Database, path: string) {
  const sniffed = `sniff_csv(${file(path)}, header = true, skip = 0, ${sniffing})`
  const rows = yield* database.run(
    `SELECT found.name, found.type, CASE found.type WHEN 'DATE' THEN DateFormat WHEN 'TIMESTAMP' THEN TimestampFormat END
    FROM (SELECT unnest(Columns) AS found, DateFormat, TimestampFormat FROM ${sniffed})`
  )
  return rows.map(
    ([name, type, format]): Column => ({
      name: String(name),
      type: String(type),
      ...(isDate(String(type)) ? { dateFormat: String(format ?? "") } : {})
    })
  )
})

/** Without what is around it: spaces, and the mark of the byte order. */
const firstLine = (path: string): Effect.Effect<string, Error> =>
  Effect.tryPromise({
    try: async () => {
      await using handle = await open(path)
      for await (const line of handle.readLines()) return line.trim()
      return ""
    },
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
  })

const separator = /[,;|\t]/

/** What DuckDB says when it is told the separator instead of looking for one: the first line that does not have all columns. */
const unevenLines = Effect.fnUntraced(function* (database: Database, path: string, header: string) {
  if (header === "") {
    return yield* Effect.fail({ message: "its first line is empty, and has to have the names of the columns" })
  }
  const bare = header.replaceAll(/"[^"]*"/g, "")
  const delimiter = separator.exec(bare)?.[0] ?? ","
  const count = bare.split(delimiter).length
  const columns = Array.from({ length: count }, (_, index) => `c${index}: 'VARCHAR'`).join(", ")
  const dialect = `auto_detect = false, delim = ${literal(delimiter)}, quote = '"', escape = '"', header = true, skip = 0`
  const { message } = yield* Effect.flip(
    database.run(`SELECT count(COLUMNS(*)) FROM read_csv(${file(path)}, ${dialect}, columns = {${columns}})`)
  ).pipe(Effect.catch(() => Effect.succeed({ message: "" })))
  const [, line, text = "", found] =
    /CSV Error on Line: (\d+)\nOriginal Line: (.*)\nExpected Number of Columns: \d+ Found: (\d+)/.exec(message) ?? []
  const where = line === undefined ? "" : `: the header has ${count}, line ${line} has ${found} (${text.slice(0, 100)})`
  return yield* Effect.fail({ message: `its lines do not have the same number of columns${where}` })
})

const csvFailure = Effect.fnUntraced(function* (database: Database, path: string, { message }: DatabaseError) {
  const line = /CSV Error on Line: (\d+)/.exec(message)?.[1]
  if (line !== undefined && message.includes("not utf-8")) {
    return yield* Effect.fail({ message: `line ${line} is not UTF-8` })
  }
  const header = yield* firstLine(path)
  return header === "" || message.includes("detect the CSV parsing dialect")
    ? yield* unevenLines(database, path, header)
    : yield* Effect.fail({ message })
})

/**
 * DuckDB takes `12.50` for a DOUBLE, and sums of DOUBLEs are inexact and change from run to run. A column whose values are all
 * plain decimals is read as a DECIMAL that holds every one of them exactly.
 */
const exactDecimals = Effect.fnUntraced(function* (database: Database, path: string, columns: ReadonlyArray<Column>) {
  const doubles = columns.filter(({ type }) => type === "DOUBLE")
  if (doubles.length === 0) return columns
  const source = csvSource(
    path,
    doubles.map(({ name }) => ({ name, type: "VARCHAR" }))
  )
  const measured = doubles.map(({ name }) => {
    const value = `trim(${identifier(name)})`
    return [
      `coalesce(bool_and(regexp_full_match(${value}, '[+-]?[0-9]*[.]?[0-9]*')), false)`,
      `coalesce(max(length(regexp_extract(${value}, '^[+-]?0*([0-9]*)', 1))), 0)`,
      `coalesce(max(length(regexp_extract(${value}, '[.]([0-9]*)$', 1))), 0)`
    ].join(", ")
  })
  const row = (yield* database.run(`SELECT ${measured.join(", ")} FROM ${source}`))[0] ?? []
  const types = new Map(
    doubles.map(({ name }, index) => {
      const [plain, whole, scale] = row.slice(index * 3)
      const digits = Number(whole) + Number(scale)
      return [name, plain === true && digits <= 38 ? `DECIMAL(${digits <= 18 ? 18 : 38}, ${scale})` : "DOUBLE"]
    })
  )
  return columns.map((column) => ({ ...column, type: types.get(column.name) ?? column.type }))
})

/** The same day with its parts in another order: `01/02/24` may be of three. */
const otherOrders = (format: string): ReadonlyArray<string> => {
  const orders = format.includes("%Y") ? ["%d%m%Y", "%m%d%Y"] : ["%d%m%y", "%m%d%y", "%y%m%d"]
  return orders
    .map((order) => {
      const parts = order.match(/%./g) ?? []
      let next = 0
      return format.replaceAll(/%[dmyY]/g, (part) => parts[next++] ?? part)
    })
    .filter((other) => other !== format)
}

/** Without it, DuckDB reads `01-02-2024` as the first of February. With it, times are text. */
const isoDates = "dateformat = 'iso', timestampformat = 'iso'"

const jsonSource = Effect.fnUntraced(function* (database: Database, path: string, options: string) {
  const columns = yield* describe(database, `read_json(${file(path)}, ${options})`)
  return {
    source: `read_json(${file(path)}, ${options}, ${isoDates})`,
    columns: columns.map(
      (column): Column =>
        isDate(column.type)
          ? { ...column, type: column.type === "DATE" ? "DATE" : "TIMESTAMP WITH TIME ZONE", dateFormat: "" }
          : column
    )
  }
})

/**
 * DuckDB takes the first order of day and month that fits, one for all columns of a file, and `13/02/24` for a day of the year 13. So the
 * dates of a CSV are loaded as text, and a column of the table becomes dates when there is only one way to read all of its values.
 */
const readDates = Effect.fnUntraced(function* (
  database: Database,
  table: string,
  dates: ReadonlyArray<Column & { readonly dateFormat: string }>
) {
  if (dates.length === 0) return
  const reads = (value: string, format: string) =>
    // `%Y` takes 24 for the year 24.
    `count(*) FILTER (try_strptime(${value}, ${literal(format)}) >= TIMESTAMP '0100-01-01')`
  const measured = dates.map(({ dateFormat, name, type }) => {
    const value = identifier(name)
    const start = `left(${value}, 4)`
    const isYearFirst = `bool_and(NOT contains(${start}, '-') AND NOT contains(${start}, '/'))`
    const isDay = `max(length(trim(${value}))) <= 10`
    const isCast = dateFormat === "" || /^%Y[-/]/.test(dateFormat)
    const isSure = [
      `${reads(value, dateFormat)} = count(${value})`,
      ...otherOrders(dateFormat).map((other) => `${reads(value, other)} < count(${value})`)
    ]
    return `CASE
      WHEN ${isYearFirst} AND count(TRY_CAST(${value} AS ${type})) = count(${value})
      THEN CASE WHEN ${isDay} THEN 'day' ELSE 'cast' END
      WHEN ${isCast ? "false" : isSure.join(" AND ")} THEN 'format'
      ELSE 'text' END`
  })
  const [kinds = []] = yield* database.run(`SELECT ${measured.join(", ")} FROM ${table}`)
  for (const [index, { dateFormat, name, type }] of dates.entries()) {
    const kind = kinds[index]
    if (kind === "text") continue
    const value = identifier(name)
    const read = kind === "format" ? `strptime(${value}, ${literal(dateFormat)})` : `CAST(${value} AS ${type})`
    const to = kind === "day" || type === "DATE" ? "DATE" : "TIMESTAMP"
    const inUtc = type.includes("ZONE") ? `timezone('UTC', ${read})` : read
    yield* database.run(
      `ALTER TABLE ${table} ALTER ${value} TYPE ${to} USING CASE WHEN isfinite(${read}) THEN CAST(${inUtc} AS ${to}) END`
    )
  }
})

/** What to read, and its columns: each look at a CSV takes as long as reading all of it. */
const sourceOf = Effect.fnUntraced(function* (database: Database, path: string) {
  switch (extname(path).toLowerCase()) {
    case ".csv": {
      const sniffed = yield* Effect.catch(describeCsv(database, path), (error) => csvFailure(database, path, error))
      const [first] = sniffed
      if (sniffed.length === 1 && first !== undefined) {
        const header = yield* firstLine(path)
        // What DuckDB makes of lines that agree on no separator: one column, named by the line as it stands.
        const isLine = header === first.name.trim() && separator.test(header)
        if (header === "" || isLine) return yield* unevenLines(database, path, header)
      }
      const columns = yield* exactDecimals(database, path, sniffed)
      return { source: csvSource(path, columns), columns }
    }
    case ".json":
      return yield* jsonSource(database, path, sniffing)
    case ".parquet": {
      const source = `read_parquet(${file(path)}, hive_partitioning = false)`
      return { source, columns: yield* describe(database, source) }
    }
    default:
      return yield* jsonSource(database, path, `${sniffing}, format = 'newline_delimited'`)
  }
})

/** A column in one of the few types the engine works with: numbers, BOOLEAN, DATE, TIMESTAMP (in UTC) and VARCHAR. */
const normalised = ({ dateFormat, name, type }: Column): string => {
  const column = identifier(name)
  if (dateFormat !== undefined) return `CAST(${column} AS VARCHAR)`
  // Expressions work with them, and the sum of two of these would be one of these.
  if (/^U?((TINY|SMALL)INT|INTEGER)$/.test(type)) return `CAST(${column} AS BIGINT)`
  if (/^(U?(BIG|HUGE)INT$|DECIMAL|BOOLEAN$|VARCHAR$)/.test(type)) return column
  // There is an infinite date too, which belongs to no month.
  if (/^(DOUBLE|DATE|TIMESTAMP)$/.test(type)) return `CASE WHEN isfinite(${column}) THEN ${column} END`
  // Through text: 0.1 as a FLOAT is 0.10000000149 as a DOUBLE.
  if (type === "FLOAT") return `CASE WHEN isfinite(${column}) THEN CAST(CAST(${column} AS VARCHAR) AS DOUBLE) END`
  if (type === "TIMESTAMP WITH TIME ZONE") return `timezone('UTC', ${column})`
  if (type.startsWith("TIMESTAMP")) return `CAST(${column} AS TIMESTAMP)`
  if (/^(STRUCT|MAP)|\]$/.test(type)) return `CAST(to_json(${column}) AS VARCHAR)`
  return `CAST(${column} AS VARCHAR)`
}

const uniqueNames = (columns: ReadonlyArray<Column>): ReadonlyArray<string> => {
  const taken = new Set<string>()
  return columns.map((column) => {
    const base = toName(column.name)
    let name = base
    for (let number = 2; taken.has(name); number++) name = `${base}_${number}`
    taken.add(name)
    return name
  })
}

const typeOf = (type: string): FieldType => {
  switch (type) {
    case "BOOLEAN":
      return "yesno"
    case "DATE":
      return "date"
    case "TIMESTAMP":
      return "time"
    case "VARCHAR":
      return "string"
    default:
      return "number"
  }
}

const timeframes = ["date", "week", "month", "quarter", "year"] as const

const aggregates = [
  ["total", "sum"],
  ["average", "average"],
  ["min", "min"],
  ["max", "max"]
] as const

const exploreOf = (table: string, name: string, columns: ReadonlyArray<Column>): Explore => {
  const label = titleCase(name)
  const fields = new Map<string, Field>()
  const add = (short: string, make: (info: Omit<FieldInfo, "type" | "lookerType" | "sql">) => Field) => {
    const full = `${name}.${short}`
    if (fields.has(full)) return
    const labelShort = titleCase(short)
    const info = { name: full, label: `${label} ${labelShort}`, labelShort, view: name, viewLabel: label }
    fields.set(full, make({ ...info, dimensionGroup: null, fieldGroupLabel: null, fieldGroupVariant: labelShort }))
  }
  const typed = columns.map((column) => ({
    ...column,
    is: typeOf(column.type),
    sql: `${identifier(name)}.${identifier(column.name)}`,
    isDouble: column.type === "DOUBLE"
  }))
  const addDimension = (column: (typeof typed)[number], timeframe: Timeframe | undefined) => {
    const { is, isDouble, name: own, sql } = column
    // The column itself has its own name; Looker would call it `created_time`.
    const isOwn = timeframe === undefined || timeframe === (is === "time" ? "time" : "date")
    add(isOwn ? own : `${own}_${timeframe}`, (info) => ({
      ...info,
      category: "dimension",
      type: timeframe === undefined || timeframe === "time" ? is : timeframe === "year" ? "number" : "date",
      lookerType: timeframe === undefined ? is : `date_${timeframe}`,
      ...(timeframe === undefined
        ? {}
        : {
            dimensionGroup: `${name}.${own}`,
            fieldGroupLabel: `${titleCase(own)} Date`,
            fieldGroupVariant: titleCase(timeframe)
          }),
      sql,
      column: sql,
      columnType: is,
      isDouble,
      timeframe
    }))
  }
  /** A measure gives way to a column of its name, but has to be there. */
  const measureName = (base: string): string => {
    const isFree = (short: string) => !fields.has(`${name}.${short}`)
    if (isFree(base)) return base
    let short = `${base}_measure`
    for (let number = 2; !isFree(short); number++) short = `${base}_measure_${number}`
    return short
  }
  // The columns first: where a generated name is also a column's, the column has it.
  for (const column of typed) {
    addDimension(
      column,
      column.is === "time" || column.is === "date" ? (column.is === "time" ? "time" : "date") : undefined
    )
  }
  for (const column of typed) {
    if (column.is !== "date" && column.is !== "time") continue
    for (const timeframe of timeframes) addDimension(column, timeframe)
  }
  add(measureName("count"), (info) => ({
    ...info,
    category: "measure",
    type: "number",
    lookerType: "count",
    sql: null,
    aggregate: "count",
    column: undefined,
    isDouble: false,
    conditions: []
  }))
  for (const { is, isDouble, name: column, sql } of typed) {
    if (is !== "number") continue
    for (const [prefix, aggregate] of aggregates) {
      add(measureName(`${prefix}_${column}`), (info) => ({
        ...info,
        category: "measure",
        type: "number",
        lookerType: aggregate,
        sql,
        aggregate,
        column: sql,
        isDouble,
        conditions: []
      }))
    }
  }
  const view = { name, label, sqlTable: `${table} AS ${identifier(name)}`, fields }
  return { name, label, view, fields }
}

const loadFile = Effect.fnUntraced(function* (database: Database, path: string, schema: string, name: string) {
  const { columns, source } = yield* sourceOf(database, path)
  const names = uniqueNames(columns)
  const selected = columns.map((column, index) => `${normalised(column)} AS ${identifier(names[index] ?? "")}`)
  const table = `${schema}${identifier(name)}`
  yield* database.run(`CREATE TABLE ${table} AS SELECT ${selected.join(", ")} FROM ${source}`)
  const dates = columns.flatMap(({ dateFormat, type }, index) =>
    dateFormat === undefined ? [] : [{ name: names[index] ?? "", type, dateFormat }]
  )
  yield* readDates(database, table, dates)
  return exploreOf(table, name, yield* describe(database, table))
})

/**
 * What to load: a folder or file, several, or files by the names their explores shall have.
 *
 * @category models
 * @since 0.1.0
 */
export type Data = string | ReadonlyArray<string> | Readonly<Record<string, string>>

interface Source {
  readonly name: string
  readonly path: string
}

const isList = (data: Data): data is string | ReadonlyArray<string> => typeof data === "string" || Array.isArray(data)

const named = (path: string): Source => ({ name: toName(basename(path, extname(path))), path })

const sourcesOf = Effect.fnUntraced(function* (data: Data): Effect.fn.Return<ReadonlyArray<Source>, EmbeddedError> {
  if (isList(data)) {
    const paths = yield* Effect.forEach(typeof data === "string" ? [data] : data, filesIn)
    return paths.flat().map(named)
  }
  const sources = yield* Effect.forEach(Object.entries(data), ([name, path]) =>
    Effect.map(filesIn(path), (paths) => ({ name: toName(name), paths, path }))
  )
  const folder = sources.find(({ path, paths }) => paths.length !== 1 || paths[0] !== path)
  if (folder !== undefined) {
    return yield* new EmbeddedError({
      message: `${folder.path} is a folder: a name stands for one file`,
      path: folder.path
    })
  }
  return sources
})

const loadModel = Effect.fnUntraced(function* (
  database: Database,
  name: string,
  data: Data,
  schema: string
): Effect.fn.Return<Model, EmbeddedError> {
  const sources = yield* sourcesOf(data)
  if (sources.length === 0) {
    return yield* new EmbeddedError({ message: "no data: no file and no folder is named" })
  }
  const explores = new Map<string, Explore>()
  for (const { name, path } of sources) {
    if (explores.has(name)) {
      return yield* new EmbeddedError({ message: `${path} would be a second explore ${name}: rename one file`, path })
    }
    explores.set(name, yield* Effect.mapError(loadFile(database, path, schema, name), unreadable(path)))
  }
  return { name, label: titleCase(name), explores }
})

/**
 * Loads the files of one or several models, or the files of their folders, and then locks the database. Files of other kinds are left
 * alone.
 *
 * @category constructors
 * @since 0.1.0
 */
export const load = Effect.fn("DataFolder.load")(function* (
  database: Database,
  data: Readonly<Record<string, Data>>
): Effect.fn.Return<ReadonlyMap<string, Model>, EmbeddedError> {
  const models = new Map<string, Model>()
  // What a time without a zone is in must not depend on the machine.
  yield* Effect.orDie(database.run("SET GLOBAL TimeZone = 'UTC'"))
  for (const [name, files] of Object.entries(data)) {
    // Each further model has a schema of its own, so that two of them may have a file of the same name.
    const schema = models.size === 0 ? "" : identifier(`model_${name}`)
    if (schema !== "") {
      const refused = ({ message }: DatabaseError) =>
        new EmbeddedError({
          message: `the model ${JSON.stringify(name)} needs another name, which differs not only in case: ${reason(message)}`
        })
      yield* Effect.mapError(database.run(`CREATE SCHEMA ${schema}`), refused)
    }
    models.set(name, yield* loadModel(database, name, files, schema === "" ? "" : `${schema}.`))
  }
  if (models.size === 0) return yield* new EmbeddedError({ message: "no data: no model is named" })
  yield* Effect.forEach(
    ["CREATE SCHEMA results", "SET enable_external_access = false", "SET lock_configuration = true"],
    database.run
  ).pipe(Effect.orDie)
  return models
})
