/**
 * effect-looker: Looker's asynchronous query tasks as one typed Effect.
 *
 * @since 0.1.0
 */
export * as LookerApi from "./api/LookerApi.ts"
export * as Query from "./domain/Query.ts"
export * as QueryTask from "./domain/QueryTask.ts"
export * as ResultFormat from "./domain/ResultFormat.ts"
export * as RunningQuery from "./domain/RunningQuery.ts"
export * as Session from "./domain/Session.ts"
export * as SqlError from "./domain/SqlError.ts"
export * as TaskState from "./domain/TaskState.ts"
export * as Looker from "./Looker.ts"
export * as LookerAuth from "./LookerAuth.ts"
export * as LookerConfig from "./LookerConfig.ts"
export * as LookerError from "./LookerError.ts"
export * as LookerHttp from "./LookerHttp.ts"
export * as LookerMetrics from "./LookerMetrics.ts"
export * as LookerPolicy from "./LookerPolicy.ts"
export * as Queries from "./Queries.ts"
export * as QueryRunner from "./QueryRunner.ts"
export * as QueryTaskPoller from "./QueryTaskPoller.ts"
export * as QueryTaskRun from "./QueryTaskRun.ts"
export * as QueryTasks from "./QueryTasks.ts"
export * as ResultRows from "./ResultRows.ts"
