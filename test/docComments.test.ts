/** The examples in the doc comments of src compile, with the imports that a reader would add. */
import { execFile } from "node:child_process"
import { globSync } from "node:fs"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import * as effect from "effect"
import { Effect } from "effect"
import * as looker from "effect-looker"
import * as embedded from "effect-looker/embedded"
import * as testing from "effect-looker/testing"
import { root } from "./support/paths.ts"

/** What an example may use without importing it; the first that has a name is taken. */
const packages: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  ["effect-looker", Object.keys(looker)],
  ["effect-looker/embedded", Object.keys(embedded)],
  ["effect-looker/testing", Object.keys(testing)],
  ["@effect/vitest", ["assert", "it"]],
  ["effect", Object.keys(effect)]
]

const builtIn = (name: string) => name in globalThis || name === "Record"

const importsOf = (example: string) => {
  const names = new Set(
    [...example.replace(/"[^"\n]*"/g, '""').matchAll(/(?<![.\w])[A-Za-z]\w*/g)].map(([name]) => name)
  )
  const imports: Array<string> = []
  for (const [from, exports] of packages) {
    const used = exports.filter((name) => names.delete(name) && !builtIn(name))
    if (used.length > 0) imports.push(`import { ${used.join(", ")} } from "${from}"`)
  }
  return imports
}

const examplesIn = (source: string) =>
  [...source.matchAll(/^ *\* ```ts\n([\s\S]*?)^ *\* ```$/gm)].map(([, block = ""]) => block.replace(/^ *\* ?/gm, ""))

/** A folder inside the project, where imports resolve as in a user's. */
const temporary = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(root, "test/.examples-"))),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)

it.live(
  "every example in a doc comment compiles",
  () =>
    Effect.gen(function* () {
      const folder = yield* temporary
      let count = 0
      for (const file of globSync("**/*.ts", { cwd: join(root, "src") })) {
        const source = yield* Effect.promise(() => readFile(join(root, "src", file), "utf8"))
        for (const example of examplesIn(source)) {
          const name = `${file.slice(0, -3).replaceAll("/", "-")}-${count++}.ts`
          const text = [...importsOf(example), example].join("\n")
          yield* Effect.promise(() => writeFile(join(folder, name), text))
        }
      }
      assert.isAtLeast(count, 5)
      const settings = {
        extends: join(root, "tsconfig.json"),
        compilerOptions: { noUnusedLocals: false },
        include: [join(folder, "*.ts")]
      }
      const config = join(folder, "tsconfig.json")
      yield* Effect.promise(() => writeFile(config, JSON.stringify(settings)))
      const compiler = join(root, "node_modules/typescript/bin/tsc")
      const output = yield* Effect.callback<string>((resume) => {
        execFile(process.execPath, [compiler, "-p", config], { cwd: root }, (_error, stdout, stderr) =>
          resume(Effect.succeed(stdout + stderr))
        )
      })
      assert.strictEqual(output, "")
    }).pipe(Effect.scoped),
  60_000
)
