/**
 * Tables as a model: every table becomes an explore, every column a dimension, with measures for its numbers.
 *
 * @since 0.1.0
 */
import { identifier } from "../database/Sql.ts"
import {
  type Aggregate,
  type Dimension,
  type Explore,
  type Field,
  type FieldType,
  type Measure,
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

/** The timeframes that a date or time offers besides its own value. */
const timeframes = ["date", "week", "month", "quarter", "year"] as const

/** The measures of a column of numbers, with the words before its name. */
const aggregates = [
  ["total", "sum"],
  ["average", "average"],
  ["min", "min"],
  ["max", "max"]
] as const

interface Column {
  readonly name: string
  readonly type: FieldType
  readonly sql: string
  readonly isDouble: boolean
}

const infoOf = (view: string, name: string) => {
  const [viewLabel, labelShort] = [titleCase(view), titleCase(name)]
  return {
    name: `${view}.${name}`,
    label: `${viewLabel} ${labelShort}`,
    labelShort,
    view,
    viewLabel,
    dimensionGroup: null,
    fieldGroupLabel: null,
    fieldGroupVariant: labelShort
  }
}

const dimensionOf = (view: string, column: Column, timeframe: Timeframe | undefined): Dimension => {
  const { isDouble, name, sql, type } = column
  // The value of a column has the name of the column; Looker would call it `created_time`.
  const isOwn = timeframe === undefined || timeframe === type
  return {
    ...infoOf(view, isOwn ? name : `${name}_${timeframe}`),
    category: "dimension",
    type: timeframe === undefined || timeframe === "time" ? type : timeframe === "year" ? "number" : "date",
    lookerType: timeframe === undefined ? type : `date_${timeframe}`,
    ...(timeframe === undefined
      ? {}
      : {
          dimensionGroup: `${view}.${name}`,
          fieldGroupLabel: `${titleCase(name)} Date`,
          fieldGroupVariant: titleCase(timeframe)
        }),
    sql,
    column: sql,
    columnType: type,
    isDouble,
    timeframe
  }
}

/** Without a column it aggregates rows. */
const measureOf = (view: string, name: string, aggregate: Aggregate, column: Column | undefined): Measure => ({
  ...infoOf(view, name),
  category: "measure",
  type: "number",
  lookerType: aggregate,
  sql: column?.sql ?? null,
  aggregate,
  column: column?.sql,
  isDouble: column?.isDouble ?? false,
  conditions: []
})

const exploreOf = ({ columns, name, sqlName }: Table): Explore => {
  const fields = new Map<string, Field>()
  const typed = columns.map((column) => ({
    name: column.name,
    type: typeOf(column.type),
    sql: `${identifier(name)}.${identifier(column.name)}`,
    isDouble: column.type === "DOUBLE"
  }))
  const addDimension = (column: Column, timeframe: Timeframe | undefined) => {
    const dimension = dimensionOf(name, column, timeframe)
    if (!fields.has(dimension.name)) fields.set(dimension.name, dimension)
  }
  /** A column keeps its name, and a measure of the same name gets another one. */
  const addMeasure = (base: string, aggregate: Aggregate, column: Column | undefined) => {
    const isTaken = (short: string) => fields.has(`${name}.${short}`)
    let short = isTaken(base) ? `${base}_measure` : base
    for (let number = 2; isTaken(short); number++) short = `${base}_measure_${number}`
    const measure = measureOf(name, short, aggregate, column)
    fields.set(measure.name, measure)
  }

  // All columns come first, so that a timeframe never takes the name of a column.
  for (const column of typed) {
    addDimension(column, column.type === "time" || column.type === "date" ? column.type : undefined)
  }
  for (const column of typed) {
    if (column.type !== "date" && column.type !== "time") continue
    for (const timeframe of timeframes) addDimension(column, timeframe)
  }
  addMeasure("count", "count", undefined)
  for (const column of typed) {
    if (column.type !== "number") continue
    for (const [prefix, aggregate] of aggregates) addMeasure(`${prefix}_${column.name}`, aggregate, column)
  }
  const label = titleCase(name)
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
