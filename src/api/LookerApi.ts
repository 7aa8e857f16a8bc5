/**
 * The contract: Looker API 4.0 as far as query tasks go, shared by the client and the embedded Looker, and knowing neither.
 *
 * Endpoints have the names of Looker's operations. Paths, parameters, bodies and status codes are those of Looker's OpenAPI
 * document, release 26.12. Each of its tags is a file here.
 *
 * @since 0.1.0
 */
import * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import { apiAuthGroup } from "./ApiAuth.ts"
import { prefix } from "./Endpoint.ts"
import { queryGroup } from "./Query.ts"
import { sessionGroup } from "./Session.ts"
import { userGroup } from "./User.ts"

export * from "./ApiAuth.ts"
export * from "./Authorization.ts"
export { Repeatable } from "./Endpoint.ts"
export { CommaSeparated } from "./Parameter.ts"
export * from "./Query.ts"
export * from "./Session.ts"
export * from "./User.ts"

const groups = [apiAuthGroup, sessionGroup, userGroup, queryGroup] as const

/**
 * An endpoint of the contract.
 *
 * @category models
 * @since 0.2.0
 */
export type Endpoint = HttpApiGroup.Endpoints<(typeof groups)[number]>

/**
 * The whole contract, under `/api/4.0`.
 *
 * @category models
 * @since 0.1.0
 */
export class LookerApi extends HttpApi.make("Looker")
  .add(...groups)
  .prefix(prefix)
  .annotateMerge(OpenApi.annotations({ title: "Looker API 4.0: query tasks", version: "4.0" })) {}
