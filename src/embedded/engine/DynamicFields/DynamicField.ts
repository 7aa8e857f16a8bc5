/**
 * An entry of `dynamic_fields` as Looker writes it, and what one is compiled with.
 *
 * @since 0.1.0
 */
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as FilterExpression from "../../language/FilterExpression.ts"
import type { Explore, Field, FieldInfo } from "../../model/Model.ts"
import type { FindDimension } from "../FieldSql.ts"

const Text = Schema.optional(Schema.NullOr(Schema.String))

/** All keys that Looker is known to write. The last ones describe a field and do not change its values. */
export const DynamicField = Schema.Struct({
  category: Text,
  dimension: Text,
  measure: Text,
  table_calculation: Text,
  based_on: Text,
  type: Text,
  expression: Text,
  filters: Schema.optional(Schema.NullOr(Schema.Record(Schema.String, Schema.String))),
  filter_expression: Text,
  calculation_type: Text,
  args: Schema.optional(Schema.NullOr(Schema.Array(Schema.Unknown))),
  is_disabled: Schema.optional(Schema.NullOr(Schema.Boolean)),
  label: Text,
  description: Text,
  value_format: Text,
  value_format_name: Text,
  source_field: Text,
  _kind_hint: Text,
  _type_hint: Text
})

export type DynamicField = typeof DynamicField.Type

/** What an entry is compiled with. It can be based on the fields of the explore and on the entries before it. */
export interface Scope extends FilterExpression.Context {
  readonly explore: Explore
  readonly find: (name: string) => Result.Result<Field, string>
  readonly findDimension: FindDimension
}

export const infoOf = (
  { explore }: Scope,
  name: string,
  { label }: DynamicField
): Omit<FieldInfo, "type" | "lookerType" | "sql"> => ({
  name,
  label: label || name,
  labelShort: label || name,
  view: explore.name,
  // The heading in Looker's field picker (inferred: no recorded response has one).
  viewLabel: "Custom Fields",
  dimensionGroup: null,
  fieldGroupLabel: null,
  fieldGroupVariant: label || name
})
