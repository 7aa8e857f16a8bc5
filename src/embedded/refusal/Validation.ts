/**
 * The 422 of a request: what is wrong with it, field by field.
 *
 * @since 0.1.0
 */
import { type ValidationDetail, ValidationFailed } from "../../LookerError.ts"
import { suggest } from "./Suggestion.ts"

/** A query can have any number of errors, and a search for similar names takes time. The errors after these are only counted. */
const mostErrors = 10

/**
 * One error: the field of the body, a code, and the message.
 *
 * @category constructors
 * @since 0.1.0
 */
export const detail = (field: string, code: string, message: string): ValidationDetail => ({ field, code, message })

/**
 * A 422 with the first ten errors, and the number of the others.
 *
 * @category constructors
 * @since 0.1.0
 */
export const invalid = (all: ReadonlyArray<ValidationDetail>): ValidationFailed => {
  const next = all[mostErrors]
  const more = `There are ${all.length - mostErrors} more errors.`
  const errors = next === undefined ? all : [...all.slice(0, mostErrors), { ...next, code: "more", message: more }]
  return new ValidationFailed({
    message: `Validation Failed: ${errors.map((error) => error.message).join(" ")}`,
    errors
  })
}

/**
 * Suggests names for an error that has `errorsBefore` other errors before it: nothing where {@link invalid} only counts the error.
 *
 * @category conversions
 * @since 0.1.0
 */
export const suggestUnlessCounted = (
  name: string,
  names: ReadonlyArray<string>,
  errorsBefore: number,
  page: string
): string => (errorsBefore >= mostErrors ? "" : suggest(name, names, page))
