/**
 * What every answer of the embedded Looker is held against, by the client of `support.ts`: the contract, always; and Looker's own
 * OpenAPI document where LOOKER_OPENAPI names the file.
 *
 * The document is lax (no key is required, any key may be added), so here its objects are closed, and those the embedded Looker
 * fills completely have all their keys. It is wrong in places, too: see `exempt`.
 */
import { readFileSync } from "node:fs"
import { Ajv, type ValidateFunction } from "ajv"
import { Exit, Predicate, Schema } from "effect"
import { HttpApi } from "effect/http-api"
import { LookerApi } from "../../src/api/LookerApi.ts"
import { ErrorBody, ValidationErrorBody } from "../../src/api/WireError.ts"

export interface Answer {
  readonly status: number
  readonly type: string | undefined
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers as they came
  readonly json: any
}

// ---- the contract ----

interface Endpoint {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly matches: RegExp
  readonly successes: ReadonlyMap<number, Schema.Top>
  readonly errors: ReadonlyArray<number>
}

/** Those with fewer parameters first: `/query_tasks/multi_results` is no `/query_tasks/:query_task_id`. */
export const endpoints: ReadonlyArray<Endpoint> = (() => {
  const found: Array<Endpoint> = []
  HttpApi.reflect(LookerApi, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, errors, successes }) =>
      found.push({
        name: endpoint.identifier,
        method: endpoint.method,
        path: endpoint.path,
        matches: new RegExp(`^${endpoint.path.replaceAll(".", "\\.").replaceAll(/:\w+/g, "[^/]+")}$`),
        successes: new Map([...successes].map(([status, [schema]]) => [status, schema])),
        errors: [...errors.keys()]
      })
  })
  const parameters = ({ path }: Endpoint) => path.split(":").length
  return found.sort((a, b) => parameters(a) - parameters(b))
})()

const decodes = (schema: Schema.Top, value: unknown): ReadonlyArray<string> => {
  const exit = Schema.decodeUnknownExit(schema as Schema.Codec<unknown>)(value)
  return Exit.isSuccess(exit) ? [] : [`contract: ${String(exit.cause)}`]
}

/** What any endpoint may answer besides: a token that is none, a body that is too large, and the end of the server. */
const anywhere = [401, 413, 503]

// ---- Looker's document ----

/** OpenAPI 3.0 with words of Looker's own, as JSON Schema. */
const patch = (node: unknown): void => {
  if (typeof node !== "object" || node === null) return
  const object = node as { [key: string]: unknown }
  if (object.type === "any") {
    delete object.type
    delete object.format
  }
  if (typeof object.nullable === "boolean" && object.type === undefined) delete object.nullable
  for (const value of Object.values(object)) patch(value)
}

interface ObjectSchema {
  readonly properties: { [key: string]: { nullable?: boolean; $ref?: string; allOf?: unknown } }
  additionalProperties?: boolean
  required?: ReadonlyArray<string>
}

interface Operation {
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: { [name: string]: ObjectSchema } }
}

/** These have every key they are documented with, unless `fields` asks for some. */
const complete = ["QueryTask", "Query", "RunningQueries"]

/** Of these the embedded Looker has some keys, and no other than documented ones. */
const closed = [
  "AccessToken",
  "User",
  "UserPublic",
  "Error",
  "ValidationError",
  "ValidationErrorDetail",
  "JsonBiMetadata",
  "JsonBiBigQueryMetadata",
  "JsonBiFields",
  "JsonBiField",
  "JsonBiTableCalc",
  "JsonBiPivots"
]

/** Objects by the document, null in a query that belongs to no Look and on a database that is not BigQuery (inferred). */
const nullable: ReadonlyArray<readonly [schema: string, key: string]> = [
  ["RunningQueries", "sql_query"],
  ["RunningQueries", "look"],
  ["JsonBiMetadata", "big_query_metadata"]
]

interface Official {
  readonly document: Document
  readonly validator: (schema: object, projected: boolean) => ValidateFunction
}

const official: Official | undefined = (() => {
  const file = process.env.LOOKER_OPENAPI
  if (file === undefined || file === "") return undefined
  const read = (isComplete: boolean) => {
    const document: Document = JSON.parse(readFileSync(file, "utf8"))
    patch(document)
    const { schemas } = document.components
    for (const name of [...complete, ...closed]) {
      const schema = schemas[name]
      if (schema === undefined) throw new Error(`${name} is not in the document`)
      schema.additionalProperties = false
      if (!complete.includes(name)) continue
      if (isComplete) schema.required = Object.keys(schema.properties)
      else delete schema.required
    }
    for (const [name, key] of nullable) {
      const schema = schemas[name]
      const property = schema?.properties[key]
      if (schema !== undefined && property?.$ref !== undefined) {
        schema.properties[key] = { anyOf: [{ $ref: property.$ref }, { type: "null" }] } as object
      }
    }
    // A pivot of rows that have no value.
    for (const key of ["data", "sort_values"]) {
      const property = schemas.JsonBiPivots?.properties[key]
      if (property !== undefined) Object.assign(property, { additionalProperties: { type: ["string", "null"] } })
    }
    const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true })
    ajv.addSchema({ $id: "looker", ...document }, "looker", undefined, false)
    return { ajv, document }
  }
  const [whole, parts] = [read(true), read(false)]
  const compiled = new Map<string, ValidateFunction>()
  return {
    document: whole.document,
    validator: (schema, projected) => {
      const key = JSON.stringify([schema, projected])
      const known = compiled.get(key)
      if (known !== undefined) return known
      const text = JSON.stringify(schema).replaceAll('"#/', '"looker#/')
      const made = (projected ? parts : whole).ajv.compile(JSON.parse(text))
      compiled.set(key, made)
      return made
    }
  }
})()

/**
 * Where the document is wrong or says nothing: it never has 401; the results of a query are a `string` by it, and are what their
 * format says; what is not finished was 204 before 25.0.9.
 */
const exempt = (endpoint: Endpoint, status: number): "all" | "body" | "nothing" =>
  anywhere.includes(status) || (endpoint.name === "query_task_results" && status === 204)
    ? "all"
    : endpoint.name === "query_task_results" && status === 200
      ? "body"
      : "nothing"

const violations = (schema: object, value: unknown, projected: boolean): ReadonlyArray<string> => {
  const validate = official?.validator(schema, projected)
  return validate === undefined || validate(value)
    ? []
    : (validate.errors ?? []).map(
        (error) => `document: ${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`
      )
}

/** json_bi is the one format whose shape the document has; its rows are texts there, and objects in truth. */
const inResult = (body: unknown): ReadonlyArray<string> =>
  Predicate.hasProperty(body, "metadata") && Predicate.hasProperty(body, "rows")
    ? violations({ $ref: "#/components/schemas/JsonBiMetadata" }, body.metadata, false)
    : []

const againstDocument = (endpoint: Endpoint, answer: Answer, projected: boolean): ReadonlyArray<string> => {
  if (official === undefined) return []
  const path = endpoint.path.replace("/api/4.0", "").replaceAll(/:(\w+)/g, "{$1}")
  const operation = official.document.paths[path]?.[endpoint.method.toLowerCase()]
  if (operation === undefined) return [`document: there is no ${endpoint.method} ${path}`]
  const exemption = exempt(endpoint, answer.status)
  if (exemption === "all") return []
  const response = operation.responses[answer.status]
  if (response === undefined) return [`document: ${endpoint.name} has no ${answer.status}`]
  if (answer.status === 204) return []
  if (exemption === "body") return inResult(answer.json)
  const schema = response.content?.["application/json"]?.schema
  const body = answer.type?.startsWith("application/json") ? answer.json : answer.text
  const entries = endpoint.name === "query_task_multi_results" && answer.status === 200 ? Object.values(body) : []
  return [
    ...(schema === undefined ? [] : violations(schema, body, projected)),
    ...entries.flatMap((entry) => (Predicate.hasProperty(entry, "data") ? inResult(entry.data) : []))
  ]
}

// ---- both ----

/** What is wrong with an answer; nothing, as a rule. */
export const mistakesIn = (method: string, path: string, answer: Answer): ReadonlyArray<string> => {
  const [bare = "", search = ""] = path.split("?")
  if (bare === "/" || bare === "/docs" || bare === "/openapi.json") return []
  const fail = answer.status >= 400
  const mistakes: Array<string> = []
  const isJson = answer.type?.startsWith("application/json") === true
  const body = answer.status === 422 ? ValidationErrorBody : ErrorBody
  if (fail) mistakes.push(...(isJson ? decodes(body, answer.json) : [`an error as ${answer.type}`]))
  if (answer.status === 204 && answer.text !== "") mistakes.push("204 with a body")
  const endpoint = endpoints.find((one) => one.method === method && one.matches.test(bare))
  if (endpoint === undefined) {
    return answer.status === 404 ? mistakes : [...mistakes, `${answer.status} from where no endpoint is`]
  }
  const projected = (new URLSearchParams(search).get("fields") ?? "") !== ""
  if (fail) {
    if (![...endpoint.errors, ...anywhere].includes(answer.status)) {
      mistakes.push(`contract: ${endpoint.name} has no ${answer.status}`)
    }
  } else if (endpoint.name !== "query_task_results") {
    const success = endpoint.successes.get(answer.status)
    if (success === undefined) mistakes.push(`contract: ${endpoint.name} has no ${answer.status}`)
    else if (answer.status !== 204) {
      mistakes.push(...(isJson ? decodes(success, projected ? { id: "1", ...answer.json } : answer.json) : ["no JSON"]))
    }
  } else if (![200, 202, 204].includes(answer.status)) {
    mistakes.push(`contract: ${endpoint.name} has no ${answer.status}`)
  }
  return [...mistakes, ...againstDocument(endpoint, answer, projected)]
}
