/**
 * Every code block of the README is compiled, and run, as it stands there.
 */
import { execFile, spawn } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { EmbeddedLooker } from "effect-looker/embedded"
import { root } from "./support/paths.ts"

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const exec = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.callback<Ended>((resume) => {
    const child = execFile(
      process.execPath,
      [...args],
      { cwd: root, env: { ...process.env, NO_COLOR: "1", ...env } },
      (error, stdout, stderr) =>
        resume(Effect.succeed({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }))
    )
    return Effect.sync(() => child.kill())
  })

const node = (script: string, env?: Readonly<Record<string, string>>) =>
  exec(["--conditions=effect-looker-source", script], env)

/** What a program prints first; it is ended then, as Ctrl-C would. */
const firstOutput = (script: string) =>
  Effect.callback<string>((resume) => {
    const child = spawn(process.execPath, ["--conditions=effect-looker-source", script], { cwd: root })
    let printed = "nothing"
    child.stdout.once("data", (data) => {
      printed = String(data)
      child.kill("SIGINT")
    })
    child.once("exit", () => resume(Effect.succeed(printed)))
    return Effect.sync(() => child.kill())
  })

/** The blocks as files of a folder inside the project, where their imports resolve as in a user's. */
const blocks = Effect.acquireRelease(
  Effect.promise(async () => {
    const readme = await readFile(join(root, "README.md"), "utf8")
    const folder = await mkdtemp(join(root, "test/.readme-"))
    const sources = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? "")
    const files = sources.map((source, index) =>
      join(folder, source.includes("@effect/vitest") ? `block-${index}.test.ts` : `block-${index}.ts`)
    )
    await Promise.all(files.map((file, index) => writeFile(file, sources[index] ?? "")))
    return { folder, files }
  }),
  ({ folder }) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)

/** Runs what a block exports, with the values of `program`. */
const runExport = (folder: string, program: string, env?: Readonly<Record<string, string>>) =>
  Effect.gen(function* () {
    const script = join(folder, "run.ts")
    yield* Effect.promise(() => writeFile(script, program))
    return yield* node(script, env)
  })

const succeeded = (ended: Ended) => assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)

describe("README", () => {
  it.live(
    "has blocks that compile and do what the text says",
    () =>
      Effect.gen(function* () {
        const { files, folder } = yield* blocks
        assert.strictEqual(files.length, 8, "a block was added or removed: say here how to run it")
        const tests = files.filter((file) => file.endsWith(".test.ts"))
        const [first = "", many = "", real = "", timing = "", server = ""] = files.filter(
          (file) => !tests.includes(file)
        )

        const config = join(folder, "tsconfig.json")
        const settings = { extends: join(root, "tsconfig.json"), include: [join(folder, "*.ts")] }
        yield* Effect.promise(() => writeFile(config, JSON.stringify(settings)))
        succeeded(yield* exec([join(root, "node_modules/typescript/bin/tsc"), "-p", config]))

        const quick = Effect.gen(function* () {
          const quick = yield* node(first)
          succeeded(quick)
          assert.match(quick.stdout, /^(\w\w has \d+ airports\n){3}$/)
        })

        const several = Effect.gen(function* () {
          const several = yield* node(many)
          succeeded(several)
          assert.match(several.stdout, /^(\d+ cities\n){3}3376 airports\n$/)
          assert.include(several.stderr, "0 waiting, 0 running, 3 done")
        })

        const configured = Effect.gen(function* () {
          const data = yield* Effect.acquireRelease(
            Effect.promise(() => mkdtemp(join(tmpdir(), "readme-"))),
            (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
          )
          yield* Effect.promise(() => writeFile(join(data, "history.csv"), "query_run_count\n42\n"))
          const counted = yield* Effect.gen(function* () {
            const server = yield* EmbeddedLooker.EmbeddedServer
            return yield* node(real, {
              LOOKERSDK_BASE_URL: server.baseUrl,
              LOOKERSDK_CLIENT_ID: server.clientId,
              LOOKERSDK_CLIENT_SECRET: Redacted.value(server.clientSecret)
            })
          }).pipe(Effect.provide(EmbeddedLooker.layerServer({ data, model: "system__activity" })))
          succeeded(counted)
          assert.strictEqual(counted.stdout, "42\n")
        })

        const unconfigured = Effect.gen(function* () {
          const unconfigured = yield* node(real, {
            LOOKERSDK_BASE_URL: "",
            LOOKERSDK_CLIENT_ID: "",
            LOOKERSDK_CLIENT_SECRET: ""
          })
          assert.strictEqual(unconfigured.code, 1)
          assert.include(
            unconfigured.stdout,
            "Looker is not configured: LOOKERSDK_BASE_URL, LOOKERSDK_CLIENT_ID, LOOKERSDK_CLIENT_SECRET are not set"
          )
        })

        const serves = Effect.gen(function* () {
          assert.match(
            yield* firstOutput(server),
            /^Looker at http:\/\/127\.0\.0\.1:\d+, client id and secret "embedded"\n$/
          )
        })

        const policy = Effect.gen(function* () {
          const policy = yield* runExport(
            folder,
            `import { Effect, Layer } from "effect"\nimport { LookerPolicy } from "effect-looker"\nimport { policy } from ${JSON.stringify(timing)}\n` +
              `console.log(await Effect.runPromise(LookerPolicy.LookerPolicy.pipe(Effect.map((p) => p.grace.toString()), Effect.provide(policy))))\n`
          )
          succeeded(policy)
          assert.strictEqual(policy.stdout, "60000 millis\n")
        })

        const tested = Effect.gen(function* () {
          const vitest = join(folder, "vitest.config.ts")
          const base = JSON.stringify(join(root, "vitest.config.ts"))
          const where = `{ dir: ${JSON.stringify(folder)}, include: ${JSON.stringify(tests)} }`
          const source = `import base from ${base}\nexport default { ...base, test: ${where} }\n`
          yield* Effect.promise(() => writeFile(vitest, source))
          const tested = yield* exec([join(root, "node_modules/vitest/vitest.mjs"), "run", "--config", vitest])
          succeeded(tested)
          assert.match(tested.stdout, /Tests\s+3 passed/)
        })

        yield* Effect.all([tested, quick, several, configured, unconfigured, serves, policy], { concurrency: 3 })
      }).pipe(Effect.scoped),
    // Eight processes, on a busy machine.
    300_000
  )
})
