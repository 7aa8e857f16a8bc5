/**
 * effect-looker/node: Looker over Node's HTTP client.
 *
 * @since 0.2.0
 */
export * as NodeLooker from "./NodeLooker.ts"
