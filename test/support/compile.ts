/** Compiles programs as a user of the package would write them. */
import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import { root } from "./paths.ts"

/** A folder inside the project, where imports resolve as in a user's. */
const temporary = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(root, "test/.examples-"))),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)

/** The errors of some files, each a name and a text; empty if all of them compile. */
export const compile = (files: ReadonlyArray<readonly [name: string, text: string]>): Effect.Effect<string> =>
  Effect.gen(function* () {
    const folder = yield* temporary
    for (const [name, text] of files) yield* Effect.promise(() => writeFile(join(folder, name), text))
    const settings = {
      extends: join(root, "tsconfig.json"),
      compilerOptions: { noUnusedLocals: false },
      include: [join(folder, "*.ts")]
    }
    const config = join(folder, "tsconfig.json")
    yield* Effect.promise(() => writeFile(config, JSON.stringify(settings)))
    const compiler = join(root, "node_modules/typescript/bin/tsc")
    return yield* Effect.callback<string>((resume) => {
      execFile(process.execPath, [compiler, "-p", config], { cwd: root }, (_error, stdout, stderr) =>
        resume(Effect.succeed(stdout + stderr))
      )
    })
  }).pipe(Effect.scoped)
