/**
 * Requests and responses of the endpoints of the contract, by their schemas.
 *
 * `HttpApiClient` does this, and streams of events, uploads and upgrades, which the contract does not have: with it a program for browsers is
 * 7 kB larger, gzipped, and every endpoint of the contract is in it.
 */
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as UrlParams from "effect/http/UrlParams"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as Endpoint from "../api/Endpoint.ts"
import * as asIs from "./asIs.ts"
import * as received from "./received.ts"

/** The parts of a request, as a caller writes them. */
export interface Input {
  readonly params?: unknown
  readonly query?: unknown
  readonly payload?: unknown
}

type Decode = (
  response: HttpClientResponse.HttpClientResponse
) => Effect.Effect<unknown, HttpClientError.HttpClientError | Schema.SchemaError>

export interface Codec {
  readonly encode: (input: Input) => Effect.Effect<HttpClientRequest.HttpClientRequest, Schema.SchemaError>
  /** How to read the body of a success, by its status. */
  readonly successes: ReadonlyMap<number, Decode>
}

/** The schemas of the contract need no services. */
const withoutServices = (schema: Schema.Top) => schema as Schema.Codec<unknown>

const encoder = <Encoded>(schema: Schema.Top) =>
  Schema.encodeUnknownEffect(withoutServices(schema)) as (input: unknown) => Effect.Effect<Encoded, Schema.SchemaError>

const payloadEncoder = (endpoint: Endpoint.Declaration) => {
  for (const { encoding, schemas } of endpoint.payload.values()) {
    const { contentType } = encoding
    if (encoding._tag === "FormUrlEncoded") {
      const encode = encoder<UrlParams.Input>(schemas[0])
      return (request: HttpClientRequest.HttpClientRequest, payload: unknown) =>
        Effect.map(encode(payload), (form) => HttpClientRequest.bodyUrlParams(request, form))
    }
    const encode = encoder<string>(Schema.fromJsonString(schemas[0]))
    return (request: HttpClientRequest.HttpClientRequest, payload: unknown) =>
      Effect.map(encode(payload), (json) => HttpClientRequest.bodyText(request, json, contentType))
  }
  return undefined
}

/**
 * The schema that a codec of the contract was made of. It decodes what `JSON.parse` gave to the same, and does not check each unknown key for
 * being JSON.
 */
const ofParsed = (codec: Schema.Top): Schema.Top =>
  "schema" in codec && Schema.isSchema(codec.schema) ? codec.schema : codec

const decoder = (endpoint: string, schema: Schema.Top): Decode => {
  if ("_tag" in schema && schema._tag === "StreamUint8Array") {
    return (response) => Effect.succeed(received.stream(endpoint, response))
  }
  if (HttpApiSchema.isNoContent(schema.ast)) return () => Effect.void
  // Looker has no text as JSON: a body that is a text is plain.
  if (SchemaAST.isString(schema.ast)) return (response) => received.text(endpoint, response)
  const isDecoded = asIs.make(ofParsed(schema))
  const decode = Schema.decodeUnknownEffect(withoutServices(ofParsed(schema)))
  // `Schema.fromJsonString` takes 4 us more for each body. It also says why a text is not JSON.
  const decodeText = Schema.decodeUnknownEffect(Schema.fromJsonString(withoutServices(schema)))
  return (response) =>
    Effect.flatMap(received.text(endpoint, response), (text) => {
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch {
        return decodeText(text)
      }
      return isDecoded(value) ? Effect.succeed(value) : decode(value)
    })
}

export const make = (endpoint: Endpoint.Declaration): Codec => {
  const { method, name, path } = Endpoint.entryOf(endpoint)
  const encodeParams =
    endpoint.params === undefined ? undefined : encoder<Readonly<Record<string, string>>>(endpoint.params)
  const encodeQuery = endpoint.query === undefined ? undefined : encoder<UrlParams.Input>(endpoint.query)
  const encodePayload = payloadEncoder(endpoint)
  const target = (params: Readonly<Record<string, string>>) =>
    Endpoint.prefix + Endpoint.pathOf(path, (name) => encodeURIComponent(params[name] ?? ""))
  const begin = HttpClientRequest.make(method)
  const withoutParams = Effect.succeed(begin(target({})))
  const encode = (input: Input): Effect.Effect<HttpClientRequest.HttpClientRequest, Schema.SchemaError> => {
    let request =
      encodeParams === undefined
        ? withoutParams
        : Effect.map(encodeParams(input.params), (params) => begin(target(params)))
    if (encodePayload !== undefined) {
      request = Effect.flatMap(request, (request) => encodePayload(request, input.payload))
    }
    if (encodeQuery === undefined) return request
    return Effect.flatMap(request, (request) =>
      Effect.map(encodeQuery(input.query), (query) => HttpClientRequest.appendUrlParams(request, query))
    )
  }
  const successes = [...endpoint.success].map((schema): [number, Decode] => {
    const status = Endpoint.statusOf(schema) ?? (HttpApiSchema.isNoContent(schema.ast) ? 204 : 200)
    return [status, decoder(name, schema)]
  })
  return { encode, successes: new Map(successes) }
}
