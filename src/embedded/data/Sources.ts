/**
 * The files to load, and the explores that they become.
 *
 * @since 0.1.0
 */
import { readdir, stat } from "node:fs/promises"
import { basename, extname, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import { EmbeddedError } from "../EmbeddedError.ts"
import { unreadable } from "./ReadError.ts"

/**
 * What to load: a folder or file, several, or files by the names their explores shall have.
 *
 * @category models
 * @since 0.1.0
 */
export type Data = string | ReadonlyArray<string> | Readonly<Record<string, string>>

const fileFormats = [".csv", ".json", ".ndjson", ".jsonl", ".parquet"]

/** Lower-case letters, digits and underscores, as LookML wants names. */
export const toName = (text: string): string => {
  const name = text.toLowerCase().replaceAll(/[^a-z0-9_]+/g, "_")
  return /^[a-z_]/.test(name) ? name : `_${name}`
}

const filesIn = Effect.fnUntraced(function* (path: string) {
  const missing = () => new EmbeddedError({ message: `there is no file or folder ${resolve(path)}`, path })
  const info = yield* Effect.tryPromise({ try: () => stat(path), catch: missing })
  if (!info.isDirectory()) {
    return fileFormats.includes(extname(path).toLowerCase())
      ? [path]
      : yield* new EmbeddedError({ message: `${path} is none of ${fileFormats.join(" ")}`, path })
  }
  const entries = yield* Effect.tryPromise({
    try: () => readdir(path, { withFileTypes: true }),
    catch: (cause) => unreadable(path)(cause instanceof Error ? cause : { message: String(cause) })
  })
  const files = entries
    .filter((entry) => !entry.isDirectory() && fileFormats.includes(extname(entry.name).toLowerCase()))
    .map((entry) => join(path, entry.name))
    .sort()
  if (files.length > 0) return files
  const subfolders = entries.some((entry) => entry.isDirectory()) ? ", and subfolders are not read" : ""
  const message = `no data in ${resolve(path)}: none of its files is ${fileFormats.join(" ")}${subfolders}`
  return yield* new EmbeddedError({ message, path })
})

export interface Source {
  readonly name: string
  readonly path: string
}

const isList = (data: Data): data is string | ReadonlyArray<string> => typeof data === "string" || Array.isArray(data)

const named = (path: string): Source => ({ name: toName(basename(path, extname(path))), path })

export const sourcesOf = Effect.fnUntraced(function* (
  data: Data
): Effect.fn.Return<ReadonlyArray<Source>, EmbeddedError> {
  if (isList(data)) {
    const paths = yield* Effect.forEach(typeof data === "string" ? [data] : data, filesIn)
    return paths.flat().map(named)
  }
  const sources = yield* Effect.forEach(Object.entries(data), ([name, path]) =>
    Effect.map(filesIn(path), (paths) => ({ name: toName(name), paths, path }))
  )
  const folder = sources.find(({ path, paths }) => paths.length !== 1 || paths[0] !== path)
  if (folder !== undefined) {
    return yield* new EmbeddedError({
      message: `${folder.path} is a folder: a name stands for one file`,
      path: folder.path
    })
  }
  return sources
})
