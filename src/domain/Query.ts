/**
 * A Looker query: what to select from which explore. Immutable in Looker; an identical one has the same id.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Can, Id, Limit, LimitInput, nullish, openStruct } from "./Wire.ts"

const writable = {
  fields: nullish(Schema.Array(Schema.String)),
  pivots: nullish(Schema.Array(Schema.String)),
  fill_fields: nullish(Schema.Array(Schema.String)),
  filters: nullish(Schema.Record(Schema.String, Schema.String)),
  filter_expression: nullish(Schema.String),
  sorts: nullish(Schema.Array(Schema.String)),
  total: nullish(Schema.Boolean),
  row_total: nullish(Schema.String),
  subtotals: nullish(Schema.Array(Schema.String)),
  vis_config: nullish(Schema.Record(Schema.String, Schema.Unknown)),
  filter_config: nullish(Schema.Record(Schema.String, Schema.Unknown)),
  visible_ui_sections: nullish(Schema.String),
  dynamic_fields: nullish(Schema.String),
  client_id: nullish(Schema.String),
  query_timezone: nullish(Schema.String)
}

const readOnly = {
  can: nullish(Can),
  slug: nullish(Schema.String),
  share_url: nullish(Schema.String),
  expanded_share_url: nullish(Schema.String),
  url: nullish(Schema.String),
  has_table_calculations: nullish(Schema.Boolean)
}

/**
 * A query as Looker returns it: all 26 documented fields, and whatever a newer release adds.
 *
 * **Gotchas**
 *
 * `view` is the name of an *explore*. `dynamic_fields` is JSON in a string. Any field may be absent: `fields=` of a request says
 * which are sent.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Query = openStruct({
  id: Schema.optional(Id),
  model: nullish(Schema.String),
  view: nullish(Schema.String),
  limit: nullish(Limit),
  column_limit: nullish(Limit),
  ...writable,
  ...readOnly
})

/**
 * @category models
 * @since 0.1.0
 */
export type Query = typeof Query.Type

/** Not documented, but in recorded responses; a pasted query may have them. */
const undocumented = {
  runtime: Schema.optional(Schema.Unknown),
  quick_calcs: Schema.optional(Schema.Unknown),
  analysis_config: Schema.optional(Schema.Unknown)
}

const input = {
  model: Schema.String,
  view: Schema.String,
  limit: nullish(LimitInput),
  column_limit: nullish(LimitInput),
  id: nullish(Id),
  ...writable,
  ...readOnly,
  ...undocumented
}

/**
 * A query as a caller writes it: `model` and `view` are required, limits may be numbers. A whole query pasted from Looker
 * fits too; its read-only fields are not sent (see {@link toInput}).
 *
 * @category schemas
 * @since 0.1.0
 */
export const QueryInput = openStruct(input)

/**
 * A query as a caller writes it. Unlike the schema it has no room for unknown keys, so that a misspelt one does not compile.
 *
 * @category models
 * @since 0.1.0
 */
export type QueryInput = Schema.Struct.Type<typeof input>

/**
 * Every key that a query is known to have.
 *
 * @category constants
 * @since 0.1.0
 */
export const knownKeys: ReadonlySet<string> = new Set(Object.keys(input))

const notSent: ReadonlySet<string> = new Set(["id", "filter_config", ...Object.keys(readOnly)])

/**
 * The body to send for a query: without the fields that only Looker sets, and without `filter_config`, which Looker's
 * documentation says to set to null when a query is created.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toInput = (query: QueryInput): QueryInput => ({
  ...Object.fromEntries(Object.entries(query).filter(([key]) => !notSent.has(key))),
  model: query.model,
  view: query.view
})

/** What Looker takes for the limit of a query that has none. */
const defaultLimit = 500

/**
 * The most rows that a task may give, totals and subtotals not counted: the `limit` of the task, or else that of the query as Looker
 * returned it, or else 500. Undefined for `-1`, which is all rows.
 *
 * @category getters
 * @since 0.2.0
 */
export const rowLimit = (query: Pick<Query, "limit">, taskLimit?: number): number | undefined => {
  const limit = taskLimit ?? Number(query.limit || defaultLimit)
  return limit >= 0 ? limit : undefined
}
