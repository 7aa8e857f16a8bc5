/**
 * Tables as a model: every table becomes an explore, every column a dimension, with measures for its numbers.
 *
 * @since 0.1.0
 */
import { identifier } from "../database/Sql.ts"
import {
  type Explore,
  type Field,
  type FieldInfo,
  type FieldType,
  type Model,
  type Timeframe,
  titleCase
} from "./Model.ts"

/**
 * A table of the database, with its columns as DuckDB describes them. `sqlName` is its name in a statement.
 *
 * @category models
 * @since 0.1.0
 */
export interface Table {
  readonly name: string
  readonly sqlName: string
  readonly columns: ReadonlyArray<{ readonly name: string; readonly type: string }>
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

const exploreOf = ({ columns, name, sqlName }: Table): Explore => {
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
  const view = { name, label, sqlTable: `${sqlName} AS ${identifier(name)}`, primaryKey: undefined }
  return { name, label, from: { view, joins: [] }, fields }
}

/**
 * The model of some tables, each an explore.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, tables: ReadonlyArray<Table>): Model => ({
  name,
  label: titleCase(name),
  explores: new Map(tables.map((table) => [table.name, exploreOf(table)]))
})
