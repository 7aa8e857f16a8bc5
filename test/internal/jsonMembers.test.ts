import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { JsonMembers } from "../../src/internal/jsonMembers.ts"

const Json = Schema.Json

const split = (chunks: ReadonlyArray<string>): Readonly<Record<string, unknown>> => {
  const found: Array<[string, unknown]> = []
  const members = new JsonMembers((key, value) => found.push([key, JSON.parse(value)]))
  for (const chunk of chunks) members.feed(chunk)
  members.end()
  return Object.fromEntries(found)
}

/** The text in pieces of the sizes given, again and again. */
const inPieces = (text: string, sizes: ReadonlyArray<number>): ReadonlyArray<string> => {
  const pieces: Array<string> = []
  for (let at = 0, index = 0; at < text.length; index++) {
    const size = sizes[index % sizes.length] ?? 1
    pieces.push(text.slice(at, at + size))
    at += size
  }
  return pieces
}

describe("JsonMembers", () => {
  it.prop(
    "finds what JSON.parse finds, however the text is cut",
    [
      Schema.Record(Schema.String, Json),
      Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })))
    ],
    ([value, sizes]) => {
      const text = JSON.stringify(value)
      assert.deepStrictEqual(split(inPieces(text, sizes)), JSON.parse(text))
      const spaced = JSON.stringify(value, null, 2)
      assert.deepStrictEqual(split(inPieces(spaced, sizes)), JSON.parse(text))
    }
  )

  it("hands a member over before the next one has come", () => {
    const found: Array<string> = []
    const members = new JsonMembers((key) => found.push(key))
    members.feed('{"a": {"status": "complete", "data": ["}", "\\"{"]}')
    assert.deepStrictEqual(found, ["a"])
    members.feed(', "b": {"da')
    assert.deepStrictEqual(members.unfinished, { key: "b", length: 4 })
    members.feed("ta")
    assert.deepStrictEqual(members.unfinished, { key: "b", length: 6 })
  })

  for (const text of [
    "",
    "[1]",
    "{",
    '{"a"',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    '{"a" 1}',
    '{"a":1} x',
    "<html>",
    '{"a":"b'
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => split([text]), SyntaxError)
    })
  }
})
