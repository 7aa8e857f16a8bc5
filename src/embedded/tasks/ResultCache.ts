/**
 * The cache of results: the latest result of each query, for the next task of the same query.
 *
 * It is not effect's `Cache`, because an entry that is too old for a task still serves `cache_only`, and because an entry that leaves the
 * cache has tables to release.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CreateQueryTaskParams } from "../../domain/QueryTask.ts"
import type { DuckDb } from "../database/DuckDb.ts"
import { release, retain, type StoredResult } from "./StoredResult.ts"
import type { NewTask } from "./Task.ts"

/**
 * `cacheLife` is how long a result is fresh. A life of zero disables the cache.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly cacheLife: Duration.Duration
}

/**
 * @category models
 * @since 0.1.0
 */
export interface ResultCache {
  /** The result for a task with these parameters: a fresh one, or with `cache_only` any that is still kept. */
  get(key: string, params: CreateQueryTaskParams, now: number): StoredResult | undefined
  set(key: string, stored: StoredResult): Effect.Effect<void>
  /** Removes the results that ended two lives ago. */
  removeExpired(now: number): Effect.Effect<void>
  readonly clear: Effect.Effect<void>
}

/**
 * The key of a task's result: the query, and what can differ between two tasks of it. The limit of a pivoted query is not in its SQL. The
 * data never changes, and who asks does not change the rows.
 *
 * The hash is `node:crypto`'s because it is synchronous: effect's `Digest` would be one more effect for every task.
 *
 * @category conversions
 * @since 0.1.0
 */
export const keyOf = ({ plan, stored }: NewTask): string =>
  createHash("sha256")
    .update(JSON.stringify([stored.query.id, plan.limit, plan.sql]))
    .digest("hex")
    .slice(0, 32)

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (database: DuckDb["Service"], options: Options): ResultCache => {
  const life = Duration.toMillis(options.cacheLife)
  /** In the order of their ends. */
  const results = new Map<string, StoredResult>()

  const set: ResultCache["set"] = Effect.fnUntraced(function* (key, stored) {
    if (life === 0) return
    const replaced = results.get(key)
    // Deleted first, because a Map keeps the place of a key that is set again.
    results.delete(key)
    results.set(key, stored)
    retain(stored)
    if (replaced !== undefined) yield* release(database, replaced)
  })

  const removeExpired: ResultCache["removeExpired"] = Effect.fnUntraced(function* (now) {
    for (const [key, stored] of results) {
      if (stored.endedAt + 2 * life > now) break
      results.delete(key)
      yield* release(database, stored)
    }
  })

  return {
    get: (key, params, now) => {
      const stored = results.get(key)
      if (stored === undefined || params.cache_only === true) return stored
      return params.cache === false || stored.endedAt + life <= now ? undefined : stored
    },
    set,
    removeExpired,
    clear: Effect.suspend(() => {
      const all = [...results.values()]
      results.clear()
      return Effect.forEach(all, (stored) => release(database, stored), { discard: true })
    })
  }
}
