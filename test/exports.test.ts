/** Every module that package.json publishes, imported by its own entry. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { root } from "./support/paths.ts"

const exported: Readonly<Record<string, string | null | Readonly<Record<string, string>>>> = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8")
).exports

/** As Node does it: a name without a star goes first, then the longest pattern. */
const targetOf = (entry: string) => {
  if (entry in exported) return exported[entry]
  const [pattern] = Object.keys(exported)
    .filter((key) => key.endsWith("*") && entry.startsWith(key.slice(0, -1)))
    .sort((a, b) => b.length - a.length)
  return pattern === undefined ? null : exported[pattern]
}

const modules = globSync("**/*.ts", { cwd: join(root, "src") }).sort()
const entryOf = (file: string) =>
  Object.keys(exported).find((key) => {
    const target = exported[key]
    return typeof target === "object" && target?.["effect-looker-source"] === `./src/${file}`
  }) ?? `./${file.slice(0, -3)}`

const published = modules.map(entryOf).filter((entry) => targetOf(entry) !== null)

describe("the package", () => {
  it("publishes its public modules, and no others", () => {
    assert.includeMembers(published, [".", "./embedded", "./node", "./testing", "./Looker", "./domain/Query"])
    assert.deepStrictEqual(
      published.filter((entry) => /internal|embedded\/|node\/|testing\//.test(entry)),
      []
    )
  })

  it.each(published)("has exports at %s", async (entry) => {
    const module: object = await import(/* @vite-ignore */ `effect-looker${entry.slice(1)}`)
    assert.isAbove(Object.keys(module).length, 0)
  })
})
