/**
 * Servers with certificates, proxies and slow connections, all on 127.0.0.1 until the scope closes.
 *
 * The certificates are valid from 2020 to 2120, but for `expired`. All but `selfSigned` are signed by `ca`.
 */
import { readFileSync } from "node:fs"
import { createServer as createHttpServer, type IncomingMessage } from "node:http"
import { createSecureServer } from "node:http2"
import { createServer as createHttpsServer } from "node:https"
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from "node:net"
import { join } from "node:path"
import type { Duplex } from "node:stream"
import { Effect } from "effect"

export const file = (name: string) => join(import.meta.dirname, "tls", name)

export type Certificate = "server" | "otherHost" | "expired" | "selfSigned"

const certificate = (name: Certificate) => ({
  key: readFileSync(file(`${name}.key`)),
  cert: readFileSync(file(`${name}.pem`))
})

/** What handlers use of the requests and responses of HTTP/1.1 and HTTP/2. */
export interface Request {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly httpVersion: string
}
export interface Response {
  writeHead(status: number, headers?: Record<string, string>): unknown
  end(body: string | Buffer): unknown
  on(event: "close", listener: () => void): unknown
}

const listen = <S extends Server>(server: S) =>
  Effect.acquireRelease(
    Effect.promise(() => {
      const sockets = new Set<Socket>()
      server.on("connection", (socket: Socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
      })
      return new Promise<{ server: S; sockets: Set<Socket>; port: number }>((resolve) =>
        server.listen(0, "127.0.0.1", () => resolve({ server, sockets, port: (server.address() as AddressInfo).port }))
      )
    }),
    ({ server, sockets }) =>
      Effect.promise(() => {
        for (const socket of sockets) socket.destroy()
        return new Promise<void>((resolve) => server.close(() => resolve()))
      })
  )

/** A Looker that can log in and has query 1; `handle` answers the rest, if it wants to. */
export const answer =
  (handle: (request: Request, response: Response) => boolean = () => false) =>
  (request: Request, response: Response) => {
    const json = (value: unknown) => {
      response.writeHead(200, { "content-type": "application/json" })
      response.end(JSON.stringify(value))
    }
    const path = request.url?.replace("/api/4.0", "") ?? ""
    if (handle(request, response)) return
    if (path === "/login") return json({ access_token: "a-token", expires_in: 3600 })
    if (path === "/queries/1") return json({ id: "1", model: request.httpVersion })
    response.writeHead(path === "/logout" ? 204 : 404)
    response.end("")
  }

/** A Looker with TLS, which speaks HTTP/2 unless told otherwise. `handshakes` counts the connections. */
export const looker = Effect.fnUntraced(function* (options: {
  readonly certificate: Certificate
  readonly http2?: boolean
  readonly handle?: (request: Request, response: Response) => boolean
}) {
  const handler = answer(options.handle)
  const keys = certificate(options.certificate)
  const server =
    options.http2 === false
      ? createHttpsServer(keys, handler)
      : createSecureServer({ ...keys, allowHTTP1: true }, handler)
  let handshakes = 0
  server.on("connection", () => handshakes++)
  server.on("tlsClientError", () => {})
  server.on("sessionError", () => {})
  const { port } = yield* listen(server as Server)
  return { port, baseUrl: `https://localhost:${port}`, handshakes: () => handshakes }
})

/** A proxy: CONNECT for https, a forwarded request for http. `asked` has what it was asked for. */
export const proxy = Effect.fnUntraced(function* (options: { readonly status?: number; readonly tls?: boolean } = {}) {
  const asked: Array<{ readonly target: string; readonly authorization: string | undefined }> = []
  const note = (request: IncomingMessage) =>
    asked.push({ target: request.url ?? "", authorization: request.headers["proxy-authorization"] })
  const server = options.tls ? createHttpsServer(certificate("server")) : createHttpServer()
  server.on("request", (request, response) => {
    note(request)
    const { pathname } = new URL(request.url ?? "")
    return answer()({ method: request.method, url: pathname, httpVersion: request.httpVersion }, response)
  })
  server.on("connect", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    note(request)
    socket.on("error", () => {})
    if (options.status !== undefined) return socket.end(`HTTP/1.1 ${options.status} No\r\ncontent-length: 0\r\n\r\n`)
    const [host = "", port] = (request.url ?? "").split(":")
    const target = connect(Number(port), host === "localhost" ? "127.0.0.1" : host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n")
      target.write(head)
      target.pipe(socket).pipe(target)
    })
    target.on("error", () => socket.destroy())
    socket.on("close", () => target.destroy())
    return undefined
  })
  server.on("tlsClientError", () => {})
  const { port } = yield* listen(server as Server)
  return { asked, host: `localhost:${port}`, url: `${options.tls ? "https" : "http"}://localhost:${port}` }
})

/** A connection on which each direction takes `millis`. `hold` stops all that the client sends from then on. */
export const slowLine = Effect.fnUntraced(function* (port: number, millis: number) {
  let held = false
  const { port: near } = yield* listen(
    createTcpServer({ noDelay: true }, (client) => {
      const server = connect({ port, host: "127.0.0.1", noDelay: true })
      const forward = (from: Socket, to: Socket, isHeld: () => boolean) => {
        from.on("data", (chunk) => {
          setTimeout(() => isHeld() || to.destroyed || to.write(chunk), millis)
        })
        from.on("close", () => setTimeout(() => to.destroy(), millis))
        from.on("error", () => {})
      }
      forward(client, server, () => held)
      forward(server, client, () => false)
    })
  )
  return {
    baseUrl: `https://localhost:${near}`,
    hold: () => {
      held = true
    }
  }
})
