/**
 * The formats a query task can deliver its rows in.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Every `result_format` that `create_query_task` documents. `png` and `jpg` are missing: they are for `run_query` only.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ResultFormat = Schema.Literals([
  "inline_json",
  "json",
  "json_detail",
  "json_fe",
  "json_bi",
  "csv",
  "html",
  "md",
  "txt",
  "xlsx",
  "gsxml",
  "sql",
  "odc"
])

/**
 * @category models
 * @since 0.1.0
 */
export type ResultFormat = typeof ResultFormat.Type

/**
 * The formats whose bodies this library decodes to rows.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RowFormat = Schema.Literals(["json", "json_detail", "json_bi", "csv"])

/**
 * @category models
 * @since 0.1.0
 */
export type RowFormat = typeof RowFormat.Type
