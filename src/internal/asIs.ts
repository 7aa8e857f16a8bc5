/**
 * Tells whether decoding leaves a value of JSON as it is. For most responses it does, and to find that out takes a small part of the time
 * of decoding them.
 */
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { Id } from "../domain/Wire.ts"

type Check = (value: unknown) => boolean

/** Whether decoding by the schema leaves the value as it is. False where it may not, which takes decoding it. */
export const make = (schema: Schema.Top): Check => checkOf(schema.ast) ?? (() => false)

/** Undefined for a schema that this module does not know. */
const checkOf = (ast: SchemaAST.AST): Check | undefined => {
  // An id that was sent as a number becomes a text.
  if (ast === Id.ast) return Predicate.isString
  if (ast.encoding !== undefined || ast.checks !== undefined) return undefined
  switch (ast._tag) {
    case "String":
      return Predicate.isString
    case "Number":
      return Predicate.isNumber
    case "Boolean":
      return Predicate.isBoolean
    case "Null":
      return Predicate.isNull
    case "Undefined":
      return Predicate.isUndefined
    case "Unknown":
      return () => true
    case "Union": {
      const checks = ast.types.map(checkOf).filter(Predicate.isNotUndefined)
      return checks.length === ast.types.length ? (value) => checks.some((check) => check(value)) : undefined
    }
    case "Arrays": {
      const [rest, ...others] = ast.rest
      const check = rest && checkOf(rest)
      if (check === undefined || ast.elements.length > 0 || others.length > 0) return undefined
      return (value) => Array.isArray(value) && value.every(check)
    }
    case "Objects":
      return ofObject(ast)
    default:
      return undefined
  }
}

const ofObject = ({ indexSignatures, propertySignatures }: SchemaAST.Objects): Check | undefined => {
  const [others, ...more] = indexSignatures
  if (more.length > 0 || (others !== undefined && !SchemaAST.isString(others.parameter))) return undefined
  // An object without other keys would lose those that it has.
  const checkOther = others && checkOf(others.type)
  const checks = new Map(propertySignatures.map(({ name, type }) => [name, checkOf(type)]))
  const required = propertySignatures.filter(({ type }) => !SchemaAST.isOptional(type)).map(({ name }) => name)
  return (value) => {
    if (!Predicate.isObject(value) || Array.isArray(value)) return false
    for (const [key, member] of Object.entries(value)) {
      const check = checks.has(key) ? checks.get(key) : checkOther
      if (check === undefined || !check(member)) return false
    }
    return required.every((name) => Object.hasOwn(value, name))
  }
}
