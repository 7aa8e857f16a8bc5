/**
 * The files to load, and the explores that they become.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { EmbeddedError } from "../EmbeddedError.ts"
import { unreadable } from "./ReadError.ts"

/**
 * What to load: a folder or file, several of them, or an object of explore name to file.
 *
 * @category models
 * @since 0.1.0
 */
export type Data = string | ReadonlyArray<string> | Readonly<Record<string, string>>

/** The files that can be read, by the end of their names. */
const extensions = [".csv", ".json", ".ndjson", ".jsonl", ".parquet"]

/** Lower-case letters, digits and underscores, as in LookML. */
export const toName = (text: string): string => {
  const name = text.toLowerCase().replaceAll(/[^a-z0-9_]+/g, "_")
  return /^[a-z_]/.test(name) ? name : `_${name}`
}

/** A file, with its extension in lower case, and the name of its explore. */
export interface Source {
  readonly name: string
  readonly path: string
  readonly extension: string
}

/** The data files of a folder in the order of their names, or the file that `path` is. */
const filesIn = Effect.fnUntraced(function* (
  path: string
): Effect.fn.Return<ReadonlyArray<string>, EmbeddedError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const { extname, join, resolve } = yield* Path.Path
  const isData = (name: string) => extensions.includes(extname(name).toLowerCase())
  const missing = () => new EmbeddedError({ message: `there is no file or folder ${resolve(path)}`, path })
  const isDirectory = ({ type }: FileSystem.File.Info) => type === "Directory"
  if (!isDirectory(yield* Effect.mapError(fs.stat(path), missing))) {
    return isData(path)
      ? [path]
      : yield* new EmbeddedError({ message: `${path} is none of ${extensions.join(" ")}`, path })
  }
  const entries = (yield* Effect.mapError(fs.readDirectory(path), unreadable(path)))
    .map((name) => join(path, name))
    .sort()
  // A link counts as a file, wherever it leads: the error of reading it has its path.
  const isFolder = (entry: string) =>
    Effect.isSuccess(fs.readLink(entry)).pipe(
      Effect.flatMap((isLink) => (isLink ? Effect.succeed(false) : Effect.map(fs.stat(entry), isDirectory))),
      Effect.orElseSucceed(() => false)
    )
  const files = yield* Effect.filter(entries.filter(isData), (entry) => Effect.map(isFolder(entry), (is) => !is))
  if (files.length > 0) return files
  const folders = yield* Effect.filter(entries, isFolder)
  const subfolders = folders.length > 0 ? ", and subfolders are not read" : ""
  const message = `no data in ${resolve(path)}: none of its files is ${extensions.join(" ")}${subfolders}`
  return yield* new EmbeddedError({ message, path })
})

const isList = (data: Data): data is string | ReadonlyArray<string> => typeof data === "string" || Array.isArray(data)

/** The files to load. Two of them can have the same name. */
export const sourcesOf = Effect.fnUntraced(function* (
  data: Data
): Effect.fn.Return<ReadonlyArray<Source>, EmbeddedError, FileSystem.FileSystem | Path.Path> {
  const { basename, extname } = yield* Path.Path
  const sourceOf = (path: string, name?: string): Source => {
    const extension = extname(path)
    return { name: toName(name ?? basename(path, extension)), path, extension: extension.toLowerCase() }
  }
  if (isList(data)) {
    const paths = yield* Effect.forEach(typeof data === "string" ? [data] : data, filesIn)
    return paths.flat().map((path) => sourceOf(path))
  }
  return yield* Effect.forEach(Object.entries(data), ([name, path]) =>
    Effect.gen(function* () {
      const files = yield* filesIn(path)
      if (files.length === 1 && files[0] === path) return sourceOf(path, name)
      return yield* new EmbeddedError({ message: `${path} is a folder: a name stands for one file`, path })
    })
  )
})
