/**
 * The size of browser programs, bundled from `dist`, minified and compressed as a server would.
 *
 * `npm run bench:size` prints them and exits with 1 when one is larger than its bound; `-- --modules` also prints what is in them.
 */
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"

/**
 * Bytes after gzip. Of each 27 kB are Effect's HTTP client, and 58 kB a program that has two endpoints as values. Lower a bound when a program
 * has become smaller. Raise it only for what every browser program needs.
 */
const bounds = { services: 75_000, looker: 92_000 }

const { values } = parseArgs({ options: { modules: { type: "boolean", default: false } } })
const print = (line: string) => process.stdout.write(`${line}\n`)

for (const [program, bound] of Object.entries(bounds)) {
  const input = fileURLToPath(new URL(`browser/${program}.ts`, import.meta.url))
  const bundle = await rolldown({
    input,
    platform: "browser",
    tsconfig: false,
    onLog: (_, { message }) => print(message)
  })
  const { output } = await bundle.generate({ format: "esm", minify: true })
  const code = output.map((chunk) => (chunk.type === "chunk" ? chunk.code : "")).join("")
  const bytes = gzipSync(code, { level: 9 }).length
  print(
    `${program}: ${(bytes / 1000).toFixed(1)} kB of at most ${bound / 1000} (${(code.length / 1000).toFixed(1)} before gzip)`
  )
  if (bytes > bound) process.exitCode = 1
  if (values.modules) {
    const modules = Object.entries(output[0].modules).sort(([, a], [, b]) => b.renderedLength - a.renderedLength)
    for (const [file, { renderedLength }] of modules) print(`${String(renderedLength).padStart(8)} ${file}`)
  }
}
