export * as DataFolder from "./DataFolder.ts"
export * as EmbeddedLooker from "./EmbeddedLooker.ts"
export * as FilterExpression from "./FilterExpression.ts"
export * as Model from "./Model.ts"
