import { inspect } from "node:util"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, FileSystem, Redacted } from "effect"
import { LookerConfig } from "effect-looker"

const config = LookerConfig.LookerConfig.use((settings) => Effect.succeed(settings))

const env = (variables: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env: variables }))

const full = {
  LOOKERSDK_BASE_URL: "https://acme.cloud.looker.com",
  LOOKERSDK_CLIENT_ID: "an-id",
  LOOKERSDK_CLIENT_SECRET: "a-secret"
}

const fromEnv = (variables: Record<string, string>) =>
  config.pipe(Effect.provide(LookerConfig.layerEnv), Effect.provide(env(variables)))

/** Settings from a looker.ini of this text, in a directory of its own. */
const fromIni = Effect.fnUntraced(
  function* (text: string, options: { readonly section?: string; readonly env?: Record<string, string> } = {}) {
    const fs = yield* FileSystem.FileSystem
    const path = `${yield* fs.makeTempDirectoryScoped()}/looker.ini`
    yield* fs.writeFileString(path, text)
    return yield* config.pipe(
      Effect.provide(LookerConfig.layerIni({ ...options, path })),
      Effect.provide(env(options.env ?? {}))
    )
  },
  (effect) => Effect.provide(Effect.scoped(effect), NodeFileSystem.layer)
)

const ini = `
; Looker's own SDKs read the same file
[Looker]
base_url=https://acme.cloud.looker.com:19999
client_id=an-id
client_secret=a-secret

[Other]
base_url=https://other.looker.com
client_id=other-id
client_secret=other-secret
verify_ssl=False
timeout=5
`

const urls = [
  ["https://acme.cloud.looker.com", "https://acme.cloud.looker.com"],
  ["https://acme.cloud.looker.com/", "https://acme.cloud.looker.com"],
  ["https://acme.cloud.looker.com///", "https://acme.cloud.looker.com"],
  ["https://acme.cloud.looker.com/api/4.0", "https://acme.cloud.looker.com"],
  ["https://acme.cloud.looker.com/api/4.0/", "https://acme.cloud.looker.com"],
  ["https://acme.cloud.looker.com//api/4.0//", "https://acme.cloud.looker.com"],
  ["https://acme.cloud.looker.com/api/3.1", "https://acme.cloud.looker.com"],
  ["https://acme.cloud.looker.com/api", "https://acme.cloud.looker.com"],
  ["https://acme.looker.com:19999", "https://acme.looker.com:19999"],
  ["https://acme.looker.com:19999/api/4.0/", "https://acme.looker.com:19999"],
  ["https://acme.looker.com:443", "https://acme.looker.com"],
  ["HTTPS://ACME.looker.com", "https://acme.looker.com"],
  ["http://localhost:9999/", "http://localhost:9999"],
  ["http://[::1]:9999/", "http://[::1]:9999"],
  ["  https://acme.looker.com \n", "https://acme.looker.com"],
  ['"https://acme.looker.com"', "https://acme.looker.com"],
  ["'https://acme.looker.com/'", "https://acme.looker.com"],
  ['" https://acme.looker.com "', "https://acme.looker.com"],
  ["https://proxy.acme.com/looker", "https://proxy.acme.com/looker"],
  ["https://proxy.acme.com/looker/api/4.0/", "https://proxy.acme.com/looker"],
  ["https://proxy.acme.com/api/looker", "https://proxy.acme.com/api/looker"]
] as const

describe("normalizeBaseUrl", () => {
  it.effect.each(urls)("takes %j for %s", ([text, url]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* LookerConfig.normalizeBaseUrl(text), url)
    })
  )

  it.effect.each([
    ["acme.cloud.looker.com", "Write https://acme.cloud.looker.com"],
    ["localhost:9999", "Write http://localhost:9999"],
    ["127.0.0.1:9999", "Write http://127.0.0.1:9999"],
    ["localhost.acme.com", "Write https://localhost.acme.com"],
    ["http:/acme.looker.com", "Write http://acme.looker.com"],
    ["ftp://acme.looker.com", "Write https://acme.looker.com"],
    ["//acme.looker.com", "Write https://acme.looker.com"],
    ["https:/acme.looker.com", "Write https://acme.looker.com"],
    ["https://me:hunter2@acme.looker.com", "Write https://acme.looker.com"],
    ["https://me:hunter2/x@acme.looker.com:1", "https://acme.looker.com:1"],
    ["https://me:x/hunter2@acme.looker.com", "https://acme.looker.com"],
    ["me:hunter2/x@acme.looker.com", "Write https://acme.looker.com"],
    ["https://me@acme.looker.com/looker", "Write https://acme.looker.com"],
    ["https://acme.looker.com?x=hunter2", "Write https://acme.looker.com"],
    ["https://acme.looker.com#hunter2", "Write https://acme.looker.com"],
    ["me:hunter2@acme.looker.com", "Write https://acme.looker.com"],
    ["ftp://me:hunter2@acme.looker.com", "Write https://acme.looker.com"],
    ["https://me:hunter2@acme looker.com", "Write https://<your instance>"],
    ["", "Write https://<your instance>"],
    ["   ", "Write https://<your instance>"],
    ['""', "Write https://<your instance>"],
    ["https://", "Write https://<your instance>"],
    ["https://acme looker", "Write https://<your instance>"],
    ["https://acme:port", "Write https://<your instance>"]
  ] as const)("refuses %j, says what to write and shows no password", ([text, advice]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(LookerConfig.normalizeBaseUrl(text))
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.include(error.message, advice)
      assert.notInclude(error.message, "hunter2")
    })
  )

  it.effect.each([
    ["", ["base_url"]],
    ["acme", []],
    ["https://acme:port", []]
  ] as const)("names base_url as missing where it is empty, and not where it is wrong: %j", ([text, missing]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(LookerConfig.normalizeBaseUrl(text))
      assert.deepStrictEqual(error.missing, missing)
    })
  )

  it.effect.each(urls)("leaves a URL alone that it has made: from %j", ([text]) =>
    Effect.gen(function* () {
      const once = yield* LookerConfig.normalizeBaseUrl(text)
      assert.strictEqual(yield* LookerConfig.normalizeBaseUrl(once), once)
    })
  )
})

describe("LookerConfig.layer", () => {
  it.effect("fills in 120 seconds and the check of certificates", () =>
    Effect.gen(function* () {
      const settings = yield* config
      assert.strictEqual(settings.baseUrl, "https://acme.looker.com")
      assert.isTrue(settings.verifySsl)
      assert.strictEqual(Duration.toSeconds(settings.timeout), 120)
      assert.isUndefined(settings.clientId)
      assert.isUndefined(settings.clientSecret)
    }).pipe(Effect.provide(LookerConfig.layer({ baseUrl: "https://acme.looker.com/" })))
  )

  it.effect("takes a secret as a string or redacted", () =>
    Effect.gen(function* () {
      for (const clientSecret of ["a-secret", Redacted.make("a-secret")]) {
        const settings = yield* LookerConfig.make({ baseUrl: "https://acme.looker.com", clientSecret })
        assert.strictEqual(settings.clientSecret && Redacted.value(settings.clientSecret), "a-secret")
      }
    })
  )

  it.effect.each(["0 seconds", -1, Number.NaN, "1 fortnight"])("refuses a timeout of %s", (timeout) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        LookerConfig.make({ baseUrl: "https://acme.looker.com", timeout: timeout as Duration.Input })
      )
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.include(error.message, "timeout")
    })
  )

  it.effect("takes the shortest timeout, and keeps every setting that is given", () =>
    Effect.gen(function* () {
      const { clientSecret, ...settings } = yield* LookerConfig.make({
        baseUrl: "http://localhost:19999/",
        clientId: "an-id",
        clientSecret: "a-secret",
        timeout: 0.001,
        verifySsl: false,
        workspace: "dev"
      })
      assert.deepStrictEqual(settings, {
        baseUrl: "http://localhost:19999",
        clientId: "an-id",
        timeout: Duration.millis(0.001),
        verifySsl: false,
        workspace: "dev"
      })
      assert.isTrue(Redacted.isRedacted(clientSecret))
    })
  )

  it.effect("never prints the secret", () =>
    Effect.gen(function* () {
      const settings = yield* LookerConfig.make({ baseUrl: "https://acme.looker.com", clientSecret: "hunter2" })
      for (const text of [String(settings), JSON.stringify(settings), inspect(settings, { depth: null })]) {
        assert.notInclude(text, "hunter2")
      }
    })
  )
})

describe("settings of a program without a compiler", () => {
  const valid = { baseUrl: "https://acme.looker.com", clientId: "an-id", clientSecret: "hunter2" }

  it.effect.each([
    [undefined, "The settings are undefined"],
    [{ ...valid, baseUrl: undefined }, "The base URL is undefined. Write https://<your instance>"],
    [{ ...valid, baseUrl: null }, "The base URL is null"],
    [{ ...valid, baseUrl: 5 }, "The base URL is 5"],
    [{ ...valid, baseUrl: new URL("ftp://acme.looker.com") }, "The base URL is ftp://acme.looker.com/"],
    [{ ...valid, clientId: 5 }, "clientId has to be a text"],
    [{ ...valid, clientSecret: ["hunter2"] }, "clientSecret has to be a text"],
    [{ ...valid, clientSecret: Redacted.make(5) }, "clientSecret has to be a text"],
    [{ ...valid, timeout: Number.NaN }, "timeout"],
    [{ ...valid, timeout: "2 minuts" }, "timeout"],
    [{ ...valid, timeout: -1 }, "timeout"],
    [{ ...valid, timeout: {} }, "timeout"],
    [{ ...valid, verifySsl: "false" }, 'verifySsl is "false", and has to be true or false'],
    [{ ...valid, caFile: true }, "caFile has to be a text"],
    [{ ...valid, workspace: 1 }, "workspace has to be a text"]
  ] as ReadonlyArray<readonly [LookerConfig.Options, string]>)(
    "are a ConfigurationError when wrong: %j",
    ([options, says]) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(config.pipe(Effect.provide(LookerConfig.layer(options))))
        assert.strictEqual(error._tag, "ConfigurationError")
        assert.include(error.message, says)
        assert.notInclude(error.message, "hunter2")
      })
  )

  it.effect("may be null where they may be absent", () =>
    Effect.gen(function* () {
      const absent = { timeout: undefined, verifySsl: null, caFile: null, workspace: null } as object
      const settings = yield* LookerConfig.make({ ...valid, ...absent })
      assert.isTrue(settings.verifySsl)
      assert.isUndefined(settings.caFile)
      assert.isUndefined(settings.workspace)
    })
  )
})

describe("LookerConfig.layerEnv", () => {
  it.effect("reads LOOKERSDK_CA_FILE, and ca_file of a looker.ini", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* fromEnv({ ...full, LOOKERSDK_CA_FILE: "/etc/ca.pem" })).caFile, "/etc/ca.pem")
      assert.isUndefined((yield* fromEnv({ ...full, LOOKERSDK_CA_FILE: "" })).caFile)
      assert.strictEqual((yield* fromIni(`${ini.trim()}\nca_file=ca.pem`, { section: "Other" })).caFile, "ca.pem")
    })
  )

  it.effect("reads Looker's variables", () =>
    Effect.gen(function* () {
      const settings = yield* fromEnv({ ...full, LOOKERSDK_VERIFY_SSL: "false", LOOKERSDK_TIMEOUT: "30" })
      assert.strictEqual(settings.baseUrl, "https://acme.cloud.looker.com")
      assert.strictEqual(settings.clientId, "an-id")
      assert.strictEqual(settings.clientSecret && Redacted.value(settings.clientSecret), "a-secret")
      assert.isFalse(settings.verifySsl)
      assert.strictEqual(Duration.toSeconds(settings.timeout), 30)
    })
  )

  it.effect.each([
    [{}, ["LOOKERSDK_BASE_URL", "LOOKERSDK_CLIENT_ID", "LOOKERSDK_CLIENT_SECRET"]],
    [{ LOOKERSDK_BASE_URL: "https://a.b" }, ["LOOKERSDK_CLIENT_ID", "LOOKERSDK_CLIENT_SECRET"]],
    [{ ...full, LOOKERSDK_CLIENT_SECRET: "" }, ["LOOKERSDK_CLIENT_SECRET"]],
    [{ LOOKERSDK_BASE_URL: "", LOOKERSDK_CLIENT_ID: "", LOOKERSDK_CLIENT_SECRET: "" }, Object.keys(full)]
  ] as ReadonlyArray<readonly [Record<string, string>, ReadonlyArray<string>]>)(
    "names every variable that is missing or empty, at once (%#)",
    ([variables, missing]) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(fromEnv(variables))
        assert.strictEqual(error._tag, "ConfigurationError")
        assert.deepStrictEqual(error.missing, missing)
        for (const name of Object.keys(full)) assert.strictEqual(error.message.includes(name), missing.includes(name))
      })
  )

  it.effect.each([
    ...["yes", "y", "true", "t", "1", "TRUE", "Yes"].map((word) => [word, true] as const),
    ...["no", "n", "false", "f", "0", "False", "NO"].map((word) => [word, false] as const),
    ["", true] as const
  ])("reads LOOKERSDK_VERIFY_SSL=%j as %s", ([word, verify]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* fromEnv({ ...full, LOOKERSDK_VERIFY_SSL: word })).verifySsl, verify)
    })
  )

  it.effect.each([
    ["120", 120],
    ["0.5", 0.5],
    [" 30 ", 30],
    ["", 120]
  ] as const)("reads LOOKERSDK_TIMEOUT=%j as %d seconds", ([word, seconds]) =>
    Effect.gen(function* () {
      const settings = yield* fromEnv({ ...full, LOOKERSDK_TIMEOUT: word })
      assert.strictEqual(Duration.toSeconds(settings.timeout), seconds)
    })
  )

  it.effect.each([
    ["LOOKERSDK_VERIFY_SSL", "maybe", "Write true or false"],
    ["LOOKERSDK_TIMEOUT", "2 minutes", "Write a number of seconds"],
    ["LOOKERSDK_TIMEOUT", "0", "Write a number of seconds"],
    ["LOOKERSDK_TIMEOUT", "-5", "Write a number of seconds"],
    ["LOOKERSDK_BASE_URL", "acme.looker.com", "Write https://acme.looker.com"]
  ] as const)("refuses %s=%j and says what to write", ([name, word, advice]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(fromEnv({ ...full, [name]: word }))
      assert.include(error.message, word)
      assert.include(error.message, advice)
    })
  )

  it.effect("takes quotes off values, as docker --env-file leaves them on", () =>
    Effect.gen(function* () {
      const settings = yield* fromEnv({
        ...full,
        LOOKERSDK_CLIENT_SECRET: '"a-secret"',
        LOOKERSDK_CLIENT_ID: "'an-id' "
      })
      assert.strictEqual(settings.clientId, "an-id")
      assert.strictEqual(settings.clientSecret && Redacted.value(settings.clientSecret), "a-secret")
    })
  )

  it.effect("says why the environment cannot be read", () =>
    Effect.gen(function* () {
      const broken = ConfigProvider.make(() =>
        Effect.fail(new ConfigProvider.SourceError({ message: "vault is sealed" }))
      )
      const error = yield* Effect.flip(
        config.pipe(Effect.provide(LookerConfig.layerEnv), Effect.provide(ConfigProvider.layer(broken)))
      )
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.include(error.message, "vault is sealed")
    })
  )

  it.effect("prints no secret in its errors", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        fromEnv({ LOOKERSDK_CLIENT_SECRET: "hunter2", LOOKERSDK_BASE_URL: "https://a.b", LOOKERSDK_TIMEOUT: "x" })
      )
      for (const text of [String(error), JSON.stringify(error), inspect(error, { depth: null })]) {
        assert.notInclude(text, "hunter2")
      }
    })
  )
})

describe("LookerConfig.layerIni", () => {
  it.effect("reads the first section, whatever its name", () =>
    Effect.gen(function* () {
      const settings = yield* fromIni(ini)
      assert.strictEqual(settings.baseUrl, "https://acme.cloud.looker.com:19999")
      assert.strictEqual(settings.clientId, "an-id")
      assert.strictEqual(settings.clientSecret && Redacted.value(settings.clientSecret), "a-secret")
      assert.isTrue(settings.verifySsl)
      assert.strictEqual(Duration.toSeconds(settings.timeout), 120)
    })
  )

  it.effect("reads a section by its name", () =>
    Effect.gen(function* () {
      const settings = yield* fromIni(ini, { section: "Other" })
      assert.strictEqual(settings.baseUrl, "https://other.looker.com")
      assert.isFalse(settings.verifySsl)
      assert.strictEqual(Duration.toSeconds(settings.timeout), 5)
    })
  )

  it.effect.each([undefined, "acme.looker.com"])("reads a section with dots in its name (asked for: %s)", (section) =>
    Effect.gen(function* () {
      const text = `[acme.looker.com]\nbase_url=https://a.b\nclient_id=i\nclient_secret=s\n[Other]\nbase_url=https://c.d\n`
      const settings = yield* fromIni(text, section === undefined ? {} : { section })
      assert.strictEqual(settings.baseUrl, "https://a.b")
    })
  )

  it.effect("takes quotes off values, and Windows line ends and spaces around the sign", () =>
    Effect.gen(function* () {
      const settings = yield* fromIni(
        '[Looker]\r\nbase_url = "https://acme.looker.com/"\r\nclient_id = \'an-id\'\r\nclient_secret = "s;c#t"\r\n'
      )
      assert.strictEqual(settings.baseUrl, "https://acme.looker.com")
      assert.strictEqual(settings.clientId, "an-id")
      assert.strictEqual(settings.clientSecret && Redacted.value(settings.clientSecret), "s;c#t")
    })
  )

  it.effect("leaves comments out, beside a value too, and knows the sign Python writes", () =>
    Effect.gen(function* () {
      const settings = yield* fromIni(
        "# ours\n[Looker] ; first\nbase_url: https://a.b:9999 # prod\n;client_id=no\nclient_id=an;id#1\nclient_secret='s' ; key\nTimeout=9"
      )
      assert.strictEqual(settings.baseUrl, "https://a.b:9999")
      assert.strictEqual(settings.clientId, "an;id#1")
      assert.strictEqual(settings.clientSecret && Redacted.value(settings.clientSecret), "s")
      assert.strictEqual(Duration.toSeconds(settings.timeout), 9)
    })
  )

  it.effect("reads a file that begins with a byte order mark", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* fromIni(`\uFEFF${ini.trim()}`)).clientId, "an-id")
      assert.strictEqual(
        (yield* fromIni("\uFEFF[Looker]\nbase_url=https://a.b\nclient_id=i\nclient_secret=s")).clientId,
        "i"
      )
    })
  )

  it.effect.each(["12345678901234567890", "1e5", "0012", "true", "null"])("keeps an id of %s as it is written", (id) =>
    Effect.gen(function* () {
      for (const quoted of [id, `'${id}'`, `"${id}"`]) {
        const settings = yield* fromIni(`[L]\nbase_url=https://a.b\nclient_id=${quoted}\nclient_secret=s`)
        assert.strictEqual(settings.clientId, id)
      }
    })
  )

  it.effect("lets every variable override its key, and an empty one none", () =>
    Effect.gen(function* () {
      const settings = yield* fromIni(ini, {
        env: {
          LOOKERSDK_BASE_URL: "https://env.looker.com",
          LOOKERSDK_CLIENT_ID: "",
          LOOKERSDK_CLIENT_SECRET: "env-secret",
          LOOKERSDK_TIMEOUT: "7"
        }
      })
      assert.strictEqual(settings.baseUrl, "https://env.looker.com")
      assert.strictEqual(settings.clientId, "an-id")
      assert.strictEqual(settings.clientSecret && Redacted.value(settings.clientSecret), "env-secret")
      assert.strictEqual(Duration.toSeconds(settings.timeout), 7)
    })
  )

  it.effect("checks certificates when verify_ssl is there and empty", () =>
    Effect.gen(function* () {
      assert.isTrue((yield* fromIni(ini.replace("verify_ssl=False", "verify_ssl="), { section: "Other" })).verifySsl)
    })
  )

  it.effect("names a section that is missing, and those that are there", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(fromIni(ini, { section: "Prod" }))
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.include(error.message, "[Prod]")
      assert.include(error.message, "Looker, Other")
    })
  )

  it.effect.each(["", "base_url=https://a.b\nclient_id=i\nclient_secret=s\n"])(
    "refuses a file without sections: %j",
    (text) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(fromIni(text))
        assert.include(error.message, "has no section")
      })
  )

  it.effect("reads looker.ini where the program runs, unless another file is named", () => {
    const asked: Array<string> = []
    const files = FileSystem.layerNoop({ readFileString: (path) => Effect.succeed(asked.push(path) ? ini : "") })
    return Effect.gen(function* () {
      assert.strictEqual((yield* config).clientId, "an-id")
      assert.deepStrictEqual(asked, ["looker.ini"])
    }).pipe(Effect.provide(LookerConfig.layerIni()), Effect.provide(files), Effect.provide(env({})))
  })

  it.effect("names the file that is missing", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        config.pipe(
          Effect.provide(LookerConfig.layerIni({ path: "/nowhere/looker.ini" })),
          Effect.provide(NodeFileSystem.layer),
          Effect.provide(env({}))
        )
      )
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.include(error.message, "/nowhere/looker.ini")
    })
  )

  it.effect("names every key that is in neither the file nor the environment", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(fromIni("[Looker]\nclient_id=an-id\nclient_secret=\n"))
      assert.deepStrictEqual(error._tag === "ConfigurationError" && error.missing, ["base_url", "client_secret"])
      assert.include(error.message, "base_url")
      assert.include(error.message, "LOOKERSDK_BASE_URL")
      assert.include(error.message, "LOOKERSDK_CLIENT_SECRET")
      assert.notInclude(error.message, "LOOKERSDK_CLIENT_ID")
    })
  )
})

describe("LookerConfig.layerConfig", () => {
  const layer = LookerConfig.layerConfig({
    baseUrl: Config.String("URL"),
    clientId: Config.String("ID"),
    clientSecret: Config.Redacted("SECRET")
  })

  it.effect("reads a Config of the program", () =>
    Effect.gen(function* () {
      const settings = yield* config
      assert.strictEqual(settings.baseUrl, "https://acme.looker.com")
      assert.strictEqual(settings.clientSecret && Redacted.value(settings.clientSecret), "hunter2")
      assert.notInclude(inspect(settings, { depth: null }), "hunter2")
    }).pipe(
      Effect.provide(layer),
      Effect.provide(env({ URL: "https://acme.looker.com/api/4.0", ID: "an-id", SECRET: "hunter2" }))
    )
  )

  it.effect("fails with ConfigError when a value is absent, with ConfigurationError when it is wrong", () =>
    Effect.gen(function* () {
      const absent = yield* Effect.flip(config.pipe(Effect.provide(layer), Effect.provide(env({ URL: "x" }))))
      assert.strictEqual(absent._tag, "ConfigError")
      const wrong = yield* Effect.flip(
        config.pipe(Effect.provide(layer), Effect.provide(env({ URL: "x", ID: "i", SECRET: "hunter2" })))
      )
      assert.strictEqual(wrong._tag, "ConfigurationError")
      assert.notInclude(inspect(wrong, { depth: null }), "hunter2")
    })
  )
})
