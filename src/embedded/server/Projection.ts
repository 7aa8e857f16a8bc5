/**
 * The projection of a response by the query parameter `fields`.
 *
 * @since 0.1.0
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"

interface Selection extends Map<string, Selection | undefined> {}

/** Reads `id,query(id,model)`: names, each with the names of an inner object in brackets. */
const parse = (text: string): Selection => {
  const root: Selection = new Map()
  const open: Array<Selection> = []
  let current = root
  let last: string | undefined
  for (const token of text.match(/[(),]|[^(),]+/g) ?? []) {
    if (token === ")") {
      current = open.pop() ?? root
    } else if (token === "(" && last !== undefined) {
      const inner: Selection = new Map()
      current.set(last, inner)
      open.push(current)
      current = inner
    } else if (/[^(),\s]/.test(token)) {
      last = token.trim()
      current.set(last, undefined)
    }
  }
  return root
}

const select = (value: object, selection: Selection): object =>
  Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => selection.has(key))
      .map(([key, inner]) => {
        const within = selection.get(key)
        return [key, within !== undefined && Predicate.isObject(inner) ? select(inner, within) : inner]
      })
  )

/** An empty `fields`, and the `null` that the TypeScript SDK sends, keep all keys. */
const projected = (value: object, fields: string | undefined): object =>
  fields === undefined || fields.trim() === "" || fields === "null" ? value : select(value, parse(fields))

/**
 * A response with only the keys that `fields` names, such as `id,query(id,model)`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const projectedResponse = (value: object, fields: string | undefined): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(projected(value, fields))
