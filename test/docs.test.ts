/** The guides: every file that they name exists, their code compiles, and their pictures are those of the sources. */
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { compile } from "./support/compile.ts"
import { root } from "./support/paths.ts"

const read = (file: string) => readFileSync(join(root, file), "utf8")

const guides = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...globSync("docs/**/*.md", { cwd: root })]

/** What looks like a file of this repository: below one of its folders, or beside them with the ending of a file. */
const isPath = (code: string) =>
  /^(src|test|examples|docs|\.ci)(\/[\w.-]+)+$/.test(code) || /^[\w.-]+\.(ts|md|json)$/.test(code)

const pathsIn = (text: string) =>
  [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code).filter(isPath)

const linksIn = (text: string) =>
  [...text.matchAll(/\]\(([^)#\s]+)\)/g)].map(([, link = ""]) => link).filter((link) => !link.includes("://"))

type Edges = ReadonlyMap<string, ReadonlySet<string>>

const toEdges = (pairs: Iterable<readonly [from: string, to: string]>): Edges => {
  const edges = new Map<string, Set<string>>()
  for (const [from, to] of pairs) {
    const known = edges.get(from)
    if (known === undefined) edges.set(from, new Set([to]))
    else known.add(to)
  }
  return edges
}

const pictures = [...read("docs/architecture.md").matchAll(/^```mermaid\n([\s\S]*?)^```$/gm)].map(([, picture = ""]) =>
  toEdges([...picture.matchAll(/^ *(\w+) --> (\w+)$/gm)].map(([, from = "", to = ""]) => [from, to]))
)

/** Imports between the files and folders of a folder of `src`. */
const importsWithin = (folder: string, isElsewhere: (part: string) => boolean): Edges => {
  const pairs: Array<readonly [string, string]> = []
  const partOf = (file: string) => (file.startsWith("../") ? "" : (file.split("/")[0] ?? "").replace(/\.ts$/, ""))
  for (const file of globSync("**/*.ts", { cwd: join(root, folder) })) {
    for (const [, path = ""] of read(join(folder, file)).matchAll(/ from "(\.[^"]+)"/g)) {
      const [from, to] = [partOf(file), partOf(join(dirname(file), path))]
      if (to !== "" && from !== to && ![from, to].some(isElsewhere)) pairs.push([from, to])
    }
  }
  return toEdges(pairs)
}

/** All that can be reached by two or more arrows. */
const implied = (edges: Edges, from: string): ReadonlySet<string> => {
  const found = new Set<string>()
  const visit = (part: string) => {
    for (const next of edges.get(part) ?? []) {
      if (found.has(next)) continue
      found.add(next)
      visit(next)
    }
  }
  for (const next of edges.get(from) ?? []) visit(next)
  return found
}

const withoutImplied = (edges: Edges) =>
  [...edges].flatMap(([from, targets]) => {
    const others = implied(edges, from)
    return [...targets].filter((to) => !others.has(to)).map((to) => `${from} --> ${to}`)
  })

describe.each(guides)("%s", (guide) => {
  const text = read(guide)

  it("names files that exist", () => {
    const links = linksIn(text).map((link) => join(dirname(guide), link))
    assert.deepStrictEqual(
      [...pathsIn(text), ...links].filter((path) => !existsSync(join(root, path))),
      []
    )
  })
})

describe("docs/architecture.md", () => {
  it("draws the imports of the client half", () => {
    const imports = importsWithin("src", (part) => ["embedded", "testing", "index"].includes(part))
    assert.sameMembers(withoutImplied(pictures[0] ?? new Map()), withoutImplied(imports))
  })

  it("draws the imports of the embedded half", () => {
    const imports = importsWithin("src/embedded", (part) => part === "index")
    assert.sameMembers(withoutImplied(pictures[1] ?? new Map()), withoutImplied(imports))
  })
})

it.live("the code of the guides compiles", () =>
  Effect.gen(function* () {
    // The README's programs are compiled and run by a test of their own.
    const blocks = guides
      .filter((guide) => guide !== "README.md")
      .flatMap((guide) => [...read(guide).matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block))
    assert.isAtLeast(blocks.length, 1)
    assert.strictEqual(yield* compile(blocks.map((block, index) => [`block-${index}.ts`, block])), "")
  })
)
