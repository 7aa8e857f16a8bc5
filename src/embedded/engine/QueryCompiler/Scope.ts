/**
 * What the clauses of a query are read with: the fields that they can name, the present, and the time zone.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { ValidationDetail } from "../../../LookerError.ts"
import type * as FilterExpression from "../../language/FilterExpression.ts"
import type { Explore, Field, Model } from "../../model/Model.ts"
import { detail } from "../../refusal/Validation.ts"

/** The explore has the dynamic fields of the query. `suggest` makes a sentence of the names that are similar to an unknown one. */
export interface Options extends FilterExpression.Context {
  readonly model: Model
  readonly explore: Explore
  readonly suggest: (name: string, names: ReadonlyArray<string>) => string
}

export interface Scope extends FilterExpression.Context {
  readonly explore: Explore
  /** The field that a clause names, or the error of the clause. */
  readonly find: (clause: string, name: string) => Result.Result<Field, ValidationDetail>
  /** What a caller can do about the name of a field that the explore does not have. */
  readonly hint: (name: string) => string
}

export const make = ({ explore, model, now, suggest, timezone }: Options): Scope => {
  const hint = (name: string): string => {
    const view = name.slice(0, Math.max(0, name.indexOf(".")))
    // In Looker itself, an explore can have the fields of several views.
    return view !== explore.name && model.explores.has(view)
      ? `${view} is another explore: an explore of the embedded Looker is one file, and there are no joins.`
      : suggest(name, [...explore.fields.keys()])
  }
  const find = (clause: string, name: string): Result.Result<Field, ValidationDetail> => {
    const field = explore.fields.get(name)
    return field === undefined
      ? Result.fail(detail(clause, "not_found", `Unknown field ${JSON.stringify(name)}. ${hint(name)}`))
      : Result.succeed(field)
  }
  return { explore, now, timezone, find, hint }
}
