/**
 * How Looker encodes values: the codecs that the schemas of this folder are made of.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

const toText = SchemaTransformation.transform({
  decode: (value: string | number) => String(value),
  encode: (text: string): string | number => text
})

/**
 * An id. Looker sends strings since 22.4 and sent numbers before; either arrives as a string, and a string is sent.
 *
 * @category codecs
 * @since 0.1.0
 */
export const Id = Schema.Union([Schema.String, Schema.Number]).pipe(Schema.decodeTo(Schema.String, toText))

/**
 * A row or column limit. On the wire it is a string (`"500"`, `"-1"` for all rows). A number is accepted, and becomes a string.
 *
 * @category codecs
 * @since 0.1.0
 */
export const Limit = Id

/**
 * A limit as a caller writes it: a number or a string, sent as a string.
 *
 * @category codecs
 * @since 0.1.0
 */
export const LimitInput = Schema.Union([Schema.String, Schema.Number]).pipe(
  Schema.decodeTo(
    Schema.Union([Schema.String, Schema.Number]),
    SchemaTransformation.transform({
      decode: (value: string | number): string | number => String(value),
      encode: (value: string | number): string | number => String(value)
    })
  )
)

/**
 * A key that Looker may leave out or send as `null`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const nullish = <S extends Schema.Top>(schema: S): Schema.optional<Schema.NullOr<S>> =>
  Schema.optional(Schema.NullOr(schema))

/**
 * An object whose unknown keys are kept: new Looker releases add keys, and an embedding program may need them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const openStruct = <const Fields extends Schema.Struct.Fields>(
  fields: Fields
): Schema.StructWithRest<Schema.Struct<Fields>, readonly [Schema.$Record<Schema.String, Schema.Unknown>]> =>
  Schema.StructWithRest(Schema.Struct(fields), [Schema.Record(Schema.String, Schema.Unknown)])

/**
 * The `can` of every resource: what the current user may do with it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Can = Schema.Record(Schema.String, Schema.Boolean)

/**
 * A value that Looker sent as JSON, kept as it is; undefined where it sent none.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Json = Schema.Union([Schema.Undefined, Schema.Unknown])
