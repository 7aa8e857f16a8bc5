/** The examples in the doc comments of src compile, with the imports that a reader would add. */
import { globSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import * as effect from "effect"
import { Effect } from "effect"
import * as looker from "effect-looker"
import * as embedded from "effect-looker/embedded"
import * as testing from "effect-looker/testing"
import { compile } from "./support/compile.ts"
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

it.live("every example in a doc comment compiles", () =>
  Effect.gen(function* () {
    const files: Array<readonly [string, string]> = []
    for (const file of globSync("**/*.ts", { cwd: join(root, "src") })) {
      const source = yield* Effect.promise(() => readFile(join(root, "src", file), "utf8"))
      for (const example of examplesIn(source)) {
        const name = `${file.slice(0, -3).replaceAll("/", "-")}-${files.length}.ts`
        files.push([name, [...importsOf(example), example].join("\n")])
      }
    }
    assert.isAtLeast(files.length, 5)
    assert.strictEqual(yield* compile(files), "")
  })
)
