/**
 * The parameters that endpoints of several groups have.
 *
 * @since 0.2.0
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/**
 * Ids in one comma-separated parameter, as every official SDK but its plain arrays sends them.
 *
 * @category codecs
 * @since 0.1.0
 */
export const CommaSeparated = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Array(
      Schema.String.check(
        Schema.makeFilter((id) => (/^[^,]+$/.test(id) ? undefined : "Expected an id without a comma in it"))
      )
    ),
    SchemaTransformation.transform({
      decode: (text: string): ReadonlyArray<string> => text.split(",").filter((id) => id !== ""),
      encode: (ids: ReadonlyArray<string>) => ids.join(",")
    })
  )
)

/**
 * `fields`: the keys that the response is to have.
 *
 * @category schemas
 * @since 0.2.0
 */
export const projected = { query: { fields: Schema.optional(Schema.String) } }

/**
 * A path segment: an empty one, `.` and `..` would name another endpoint, and half a surrogate pair cannot be encoded.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Segment = Schema.String.check(
  Schema.makeFilter((text) => (/^\.{0,2}$|\p{Surrogate}/u.test(text) ? "an id, which this is not" : undefined))
)
