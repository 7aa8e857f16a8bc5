/**
 * Feeds a JsonScanner with a text while it arrives, and emits what it found, chunk by chunk. A stream for each chunk would take twice the
 * memory.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { snippetLength } from "./httpError.ts"
import type { JsonScanner } from "./jsonScanner.ts"

export const scan = <Found, E, E2, E3>(
  text: Stream.Stream<string, E>,
  options: {
    readonly scanner: JsonScanner
    /** What the handlers of the scanner have collected since the last time. `isEnd` is true once, after all of the text. */
    readonly take: (isEnd: boolean) => Effect.Effect<ReadonlyArray<Found>, E2>
    /** The error for what the scanner or its handlers threw. `beginning` is how the text began. */
    readonly malformed: (cause: unknown, beginning: string) => E3
  }
): Stream.Stream<Found, E | E2 | E3> =>
  Stream.suspend(() => {
    const { malformed, scanner, take } = options
    let beginning = ""
    const read = (next: () => void, isEnd: boolean) =>
      Effect.andThen(
        Effect.try({ try: next, catch: (cause) => malformed(cause, beginning) }),
        Effect.suspend(() => take(isEnd))
      )
    const feed = (chunks: ReadonlyArray<string>) =>
      read(() => {
        for (const chunk of chunks) {
          if (beginning.length < snippetLength) beginning += chunk.slice(0, snippetLength)
          scanner.feed(chunk)
        }
      }, false)
    const end = Effect.suspend(() => read(() => scanner.end(), true))
    return text.pipe(
      Stream.mapAccumArrayEffect(
        () => undefined,
        (_, chunks) => Effect.map(feed(chunks), (found) => [undefined, found] as const)
      ),
      Stream.concat(Stream.unwrap(Effect.map(end, Stream.fromArray)))
    )
  })
