/**
 * The URL and the credentials of Looker: from options, from Config, from `LOOKERSDK_*`, or from a looker.ini.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { ConfigurationError } from "./LookerError.ts"

/**
 * The settings, checked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  /** Scheme, host and port; no `/api/4.0`, no slash at the end. */
  readonly baseUrl: string
  readonly clientId: string | undefined
  readonly clientSecret: Redacted.Redacted | undefined
  readonly timeout: Duration.Duration
  readonly verifySsl: boolean
  readonly caFile?: string
  readonly workspace: string | undefined
}

/**
 * The settings as a program gives them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** `https://acme.cloud.looker.com`; see {@link normalizeBaseUrl}. */
  readonly baseUrl: string
  /** Of an API key. Not needed with a token from elsewhere (`LookerAuth.layerToken`). */
  readonly clientId?: string | undefined
  /** Of the same API key. A string is redacted at once. */
  readonly clientSecret?: string | Redacted.Redacted | undefined
  /** For one request, from sending it to the end of its response. Default: 120 seconds, as Looker's SDKs document. */
  readonly timeout?: Duration.Input | undefined
  /**
   * Whether to check certificates. The HTTP client does this: the setting is for `effect-looker/node` or another program that chooses one,
   * and turns nothing off here. Default: yes.
   */
  readonly verifySsl?: boolean | undefined
  /**
   * A file with certificates of authorities (PEM) that are trusted beside those of Node. As `verifySsl` it is for the HTTP client: that of
   * `effect-looker/node` reads it.
   *
   * @since 0.2.0
   */
  readonly caFile?: string | undefined
  /**
   * The workspace whose models queries use, chosen after every login: `"dev"` is the user's own development copy. Default: Looker's own,
   * which is `"production"`.
   */
  readonly workspace?: string | undefined
}

/**
 * The settings as a service.
 *
 * @category services
 * @since 0.1.0
 */
export class LookerConfig extends Context.Service<LookerConfig, Settings>()("effect-looker/LookerConfig") {}

/**
 * Whether the HTTP client applies `verifySsl` and `caFile`, as that of `effect-looker/node` does. Where it does not, `LookerHttp` warns that
 * they have no effect.
 *
 * @category services
 * @since 0.2.0
 */
export const AppliesTlsSettings = Context.Reference<boolean>("effect-looker/LookerConfig/AppliesTlsSettings", {
  defaultValue: () => false
})

const unquote = (text: string): string =>
  text
    .trim()
    .replace(/^(["'])(.*)\1$/, "$2")
    .trim()

const invalid = (message: string, missing: ReadonlyArray<string> = []) => new ConfigurationError({ message, missing })

/**
 * A base URL as the library needs it, from one as people write it: `https://acme.cloud.looker.com/` and
 * `https://acme.cloud.looker.com/api/4.0` become `https://acme.cloud.looker.com`. Without a scheme, or with a user, a query or a
 * fragment, it is an error that says what to write.
 *
 * @category conversions
 * @since 0.1.0
 */
export const normalizeBaseUrl = Effect.fnUntraced(function* (
  text: string
): Effect.fn.Return<string, ConfigurationError> {
  if (typeof text !== "string") {
    return yield* invalid(`The base URL is ${String(text)}. Write https://<your instance>`, ["base_url"])
  }
  const trimmed = unquote(text)
  if (trimmed === "") return yield* invalid("The base URL is empty. Write https://<your instance>", ["base_url"])
  // A password may have a slash in it. All before the last @ is left out, so that no part of it is shown.
  const withoutUser = trimmed.replace(/^([a-z]+:\/\/)?.*@/i, "$1")
  if (!/^https?:\/\//i.test(trimmed)) {
    const rest = withoutUser.replace(/^([a-z]+:)?\/+/i, "")
    // A server on the same machine has no certificate.
    const scheme = /^http:|^(localhost|127(\.\d+){3})(?![\w.-])/i.test(withoutUser) ? "http" : "https"
    return yield* invalid(
      `The base URL "${withoutUser}" has no http:// or https:// in front. Write ${scheme}://${rest}`
    )
  }
  if (!URL.canParse(trimmed)) {
    return yield* invalid(`The base URL "${withoutUser}" is not a URL. Write https://<your instance>`)
  }
  const url = new URL(trimmed)
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return yield* invalid(
      `The base URL has a user, a query or a fragment in it. Write ${url.origin}, and give the credentials beside it`
    )
  }
  return url.origin + url.pathname.replace(/\/+$/, "").replace(/\/+api(\/[0-9.]+)?$/, "")
})

/**
 * Checks settings and fills in the defaults.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Settings, ConfigurationError> {
  if (!Predicate.isObject(options)) return yield* invalid(`The settings are ${String(options)}`, ["base_url"])
  for (const name of ["clientId", "caFile", "workspace"] as const) {
    if (options[name] != null && typeof options[name] !== "string") return yield* invalid(`${name} has to be a text`)
  }
  if (options.verifySsl != null && typeof options.verifySsl !== "boolean") {
    return yield* invalid(`verifySsl is ${JSON.stringify(options.verifySsl)}, and has to be true or false`)
  }
  const { clientSecret } = options
  const secret = Redacted.isRedacted(clientSecret) ? Redacted.value(clientSecret) : clientSecret
  if (secret != null && typeof secret !== "string") return yield* invalid("clientSecret has to be a text")
  const timeout = Option.getOrElse(Duration.fromInput(options.timeout ?? "120 seconds"), () => Duration.zero)
  if (!(Duration.toMillis(timeout) > 0)) return yield* invalid("The timeout has to be a duration longer than zero")
  return {
    baseUrl: yield* normalizeBaseUrl(options.baseUrl),
    clientId: options.clientId ?? undefined,
    clientSecret: typeof clientSecret === "string" ? Redacted.make(clientSecret) : (clientSecret ?? undefined),
    timeout,
    verifySsl: options.verifySsl ?? true,
    ...(options.caFile ? { caFile: options.caFile } : {}),
    workspace: options.workspace ?? undefined
  }
})

/**
 * Settings from values in the program.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<LookerConfig, ConfigurationError> =>
  Layer.effect(LookerConfig, make(options))

/**
 * Settings from a `Config` of the program's own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<LookerConfig, ConfigurationError | Config.ConfigError> =>
  Layer.effect(LookerConfig, Config.unwrap(options).pipe(Effect.flatMap(make)))

const keys = ["base_url", "client_id", "client_secret", "verify_ssl", "timeout", "ca_file"] as const

/** The settings of one source, by Looker's own names. `ca_file` is ours: Looker's SDKs have none. */
type Found = { readonly [Key in (typeof keys)[number]]?: string }

const required = ["base_url", "client_id", "client_secret"] as const

const yes: ReadonlySet<string> = new Set(["yes", "y", "true", "t", "1"])
const no: ReadonlySet<string> = new Set(["no", "n", "false", "f", "0", ""])

const fromFound = Effect.fnUntraced(function* (
  found: Found,
  nameOf: (key: string) => string,
  path?: string
): Effect.fn.Return<Settings, ConfigurationError> {
  const missing = required.filter((key) => !found[key])
  if (missing.length > 0) {
    const names = missing.map(nameOf)
    return yield* invalid(
      `Looker is not configured: ${names.join(", ")} ${missing.length > 1 ? "are" : "is"} not set${
        path === undefined ? "" : ` in ${path}, nor ${missing.map(envName).join(", ")} in the environment`
      }`,
      names
    )
  }
  const verify = found.verify_ssl?.toLowerCase() ?? "true"
  if (!yes.has(verify) && !no.has(verify)) {
    return yield* invalid(`${nameOf("verify_ssl")} is "${found.verify_ssl}". Write true or false`)
  }
  const seconds = found.timeout === undefined || found.timeout === "" ? 120 : Number(found.timeout)
  if (!(seconds > 0)) return yield* invalid(`${nameOf("timeout")} is "${found.timeout}". Write a number of seconds`)
  return yield* make({
    baseUrl: found.base_url ?? "",
    clientId: found.client_id,
    clientSecret: found.client_secret,
    verifySsl: yes.has(verify),
    caFile: found.ca_file,
    timeout: Duration.seconds(seconds)
  })
})

const envName = (key: string) => `LOOKERSDK_${key.toUpperCase()}`

const readEnv = Effect.gen(function* () {
  const provider = yield* ConfigProvider.ConfigProvider
  const found: { [key: string]: string } = {}
  for (const key of keys) {
    const value = yield* Config.option(Config.String(envName(key))).parse(provider)
    if (value._tag === "Some" && unquote(value.value) !== "") found[key] = unquote(value.value)
  }
  return found as Found
}).pipe(
  Effect.catchTag("ConfigError", (error) => Effect.fail(invalid(`The environment cannot be read: ${error.message}`)))
)

/**
 * Settings from `LOOKERSDK_BASE_URL`, `LOOKERSDK_CLIENT_ID`, `LOOKERSDK_CLIENT_SECRET`, `LOOKERSDK_VERIFY_SSL` (true), `LOOKERSDK_CA_FILE` and
 * `LOOKERSDK_TIMEOUT` (120, seconds), read from the current `ConfigProvider`. One error names every variable that is missing.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerEnv: Layer.Layer<LookerConfig, ConfigurationError> = Layer.effect(
  LookerConfig,
  Effect.flatMap(readEnv, (found) => fromFound(found, envName))
)

/**
 * Settings from a looker.ini, each overridden by its `LOOKERSDK_*` variable, as in Looker's own SDKs.
 *
 * **Details**
 *
 * `path` is `looker.ini` unless given, `section` the first in the file. Quotes around a value are taken off.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerIni = (
  options: { readonly path?: string; readonly section?: string } = {}
): Layer.Layer<LookerConfig, ConfigurationError, FileSystem.FileSystem> =>
  Layer.effect(
    LookerConfig,
    Effect.gen(function* () {
      const path = options.path ?? "looker.ini"
      const text = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(path)).pipe(
        Effect.mapError((error) => invalid(`${path} cannot be read: ${error.message}`))
      )
      const sections = parseIni(text)
      const section = options.section ?? sections.keys().next().value
      const found = section === undefined ? undefined : sections.get(section)
      if (found === undefined) {
        const others = [...sections.keys()].join(", ")
        return yield* invalid(`${path} has no section [${section ?? "Looker"}]${others && `; it has ${others}`}`)
      }
      return yield* fromFound({ ...found, ...(yield* readEnv) }, (key) => key, path)
    })
  )

/**
 * The sections of an ini file, in their order; empty values are left out. Every value is a text, and the dots in the name of a section mean
 * nothing. `effect/encoding/Ini` is not used: it ends a secret at a `#` or `;`, makes booleans of `true` and `false`, knows no `key: value`, and
 * nests sections at the dots of their names.
 */
const parseIni = (text: string): ReadonlyMap<string, Found> => {
  const sections = new Map<string, { [key: string]: string }>()
  let section: { [key: string]: string } | undefined
  for (const line of text.replace(/^\uFEFF/, "").split(/[\r\n]+/)) {
    const name = /^\s*\[([^\]]*)\]/.exec(line)?.[1]?.trim()
    if (name !== undefined) {
      section = sections.get(name) ?? {}
      sections.set(name, section)
    }
    const [, key, value] = /^\s*(\w+)\s*[=:]\s*("[^"]*"|'[^']*'|.*?)\s*(?:\s[;#].*)?$/.exec(line) ?? []
    if (section && key && value && unquote(value) !== "") section[key.toLowerCase()] = unquote(value)
  }
  return sections
}
