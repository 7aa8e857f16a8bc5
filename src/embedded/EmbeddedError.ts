/**
 * Why the embedded Looker could not start.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The data folder is missing, empty or holds a file that cannot be read, an option is out of its range, or the port is taken. `path` names
 * the file or folder.
 *
 * @category errors
 * @since 0.1.0
 */
export class EmbeddedError extends Schema.TaggedError<EmbeddedError>("effect-looker/EmbeddedError")("EmbeddedError", {
  message: Schema.String,
  path: Schema.optional(Schema.String)
}) {
  readonly isRetryable = false
}
