/**
 * Files as a model: every CSV, JSON or Parquet file becomes a table and an explore, every column a dimension.
 *
 * Everything is loaded into tables, Parquet too, and then the database is locked. After that no statement can read or write a file,
 * and the rows are those that the files had at the start.
 *
 * **Gotchas**
 *
 * A link in the folder is followed, wherever it leads. No query can add one.
 *
 * A column keeps its name, and a measure that would have the same name ends with `_measure`: in a file with a column `count`,
 * `count_measure` counts the rows.
 *
 * CSV and Parquet keep all digits of a number. In JSON a column with a fraction, or with an integer beyond 64 bits, becomes a column of
 * DOUBLEs, with about 16 digits and inexact sums, as in most readers of JSON. Two JSON keys that differ only in case become two columns,
 * the second with a number (`a`, `a_1`); inside an object such keys are an error.
 *
 * Dates have the year first (`2024-02-01`). In a CSV `13/02/2024`, `13.02.2024` and `02-13-2024` are dates too if some value of the
 * column shows which part is the day. A column with `01/02/2024` and `03/04/2024` alone stays text, because both orders are possible. A
 * time without a zone is in UTC.
 *
 * @since 0.1.0
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import { type DatabaseError, type DuckDb, lock } from "../database/DuckDb.ts"
import { identifier } from "../database/Sql.ts"
import { EmbeddedError } from "../EmbeddedError.ts"
import * as FromTables from "../model/FromTables.ts"
import type { Model } from "../model/Model.ts"
import { reason } from "./ReadError.ts"
import { type Data, sourcesOf } from "./Sources.ts"
import * as TableLoader from "./TableLoader.ts"

export type {
  /**
   * @category models
   * @since 0.1.0
   */
  Data
}

type Database = DuckDb["Service"]

const loadModel = Effect.fnUntraced(function* (
  database: Database,
  name: string,
  data: Data,
  schema: string
): Effect.fn.Return<Model, EmbeddedError, FileSystem.FileSystem | Path.Path> {
  const sources = yield* sourcesOf(data)
  if (sources.length === 0) {
    return yield* new EmbeddedError({ message: "no data: no file and no folder is named" })
  }
  const tables = new Map<string, FromTables.Table>()
  for (const source of sources) {
    const { name, path } = source
    if (tables.has(name)) {
      return yield* new EmbeddedError({ message: `${path} would be a second explore ${name}: rename one file`, path })
    }
    tables.set(name, yield* TableLoader.load(database, source, schema))
  }
  return FromTables.make(name, [...tables.values()])
})

const layerNode: Layer.Layer<FileSystem.FileSystem | Path.Path> = Layer.merge(NodeFileSystem.layer, NodePath.layer)

/**
 * Loads the files of one or several models, or the files of their folders, and then locks the database. Files of other kinds are
 * ignored.
 *
 * @category constructors
 * @since 0.1.0
 */
export const load = Effect.fn("DataFolder.load")(function* (
  database: Database,
  data: Readonly<Record<string, Data>>
): Effect.fn.Return<ReadonlyMap<string, Model>, EmbeddedError, FileSystem.FileSystem | Path.Path> {
  const models = new Map<string, Model>()
  // A time without a zone must not depend on the machine.
  yield* Effect.orDie(database.run("SET GLOBAL TimeZone = 'UTC'"))
  for (const [name, files] of Object.entries(data)) {
    // Each further model has a schema of its own, so that two of them can have a file of the same name.
    const schema = models.size === 0 ? "" : identifier(`model_${name}`)
    if (schema !== "") {
      const refused = ({ message }: DatabaseError) =>
        new EmbeddedError({
          message: `the model ${JSON.stringify(name)} needs another name, which differs not only in case: ${reason(message)}`
        })
      yield* Effect.mapError(database.run(`CREATE SCHEMA ${schema}`), refused)
    }
    models.set(name, yield* loadModel(database, name, files, schema === "" ? "" : `${schema}.`))
  }
  if (models.size === 0) return yield* new EmbeddedError({ message: "no data: no model is named" })
  yield* Effect.orDie(lock(database))
  return models
}, Effect.provide(layerNode))
