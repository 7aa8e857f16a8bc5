import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { JsonScanner, NoRows } from "../../src/internal/jsonScanner.ts"

const Json = Schema.Json

const split = (chunks: ReadonlyArray<string>): Readonly<Record<string, unknown>> => {
  const found: Array<[string, unknown]> = []
  const scanner = new JsonScanner({ onMember: (key, value) => found.push([key, JSON.parse(value)]) })
  for (const chunk of chunks) scanner.feed(chunk)
  scanner.end()
  return Object.fromEntries(found)
}

const rowsOf = (chunks: ReadonlyArray<string>, ...rowsAt: ReadonlyArray<string>) => {
  const rows: Array<unknown> = []
  const members: Array<[string, unknown]> = []
  const scanner = new JsonScanner({
    rowsAt,
    onRows: (text) => rows.push(...(JSON.parse(text) as Array<unknown>)),
    onMember: (key, value) => members.push([key, JSON.parse(value)])
  })
  for (const chunk of chunks) scanner.feed(chunk)
  scanner.end()
  return { rows, members: Object.fromEntries(members) }
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

describe("JsonScanner", () => {
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

  it("says after how many characters a text breaks off, however it came", () => {
    for (const chunks of [['{"a":1,"b'], ['{"a"', ":1", ',"b']]) {
      assert.throws(() => split(chunks), "the text breaks off after 9 characters")
    }
  })

  it("hands a member over before the next one has come", () => {
    const found: Array<string> = []
    const members = new JsonScanner({ onMember: (key) => found.push(key) })
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

  const Sizes = Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 })))
  const Rows = Schema.Array(Schema.Record(Schema.String, Json))

  it.prop("finds the rows that JSON.parse finds, however the text is cut", [Rows, Sizes], ([value, sizes]) => {
    for (const text of [JSON.stringify(value), JSON.stringify(value, null, 2)]) {
      assert.deepStrictEqual(rowsOf(inPieces(text, sizes)).rows, JSON.parse(text))
    }
  })

  it.prop(
    "finds rows under a key, and what is before and behind them",
    [Rows, Schema.Record(Schema.String, Json), Sizes],
    ([value, others, sizes]) => {
      const text = JSON.stringify({ before: others, rows: value, behind: { rows: [1] } })
      const found = rowsOf(inPieces(text, sizes), "rows")
      assert.deepStrictEqual(found.rows, JSON.parse(JSON.stringify(value)))
      assert.deepStrictEqual(found.members, JSON.parse(JSON.stringify({ before: others, behind: { rows: [1] } })))
    }
  )

  it("hands rows over before the next one is whole", () => {
    const found: Array<string> = []
    const scanner = new JsonScanner({ rowsAt: [], onMember: () => {}, onRows: (text) => found.push(text) })
    scanner.feed('[{"a":1}, {"a":2},{"a"')
    assert.deepStrictEqual(found, ['[{"a":1}, {"a":2}]'])
    scanner.feed(":3")
    scanner.feed("}")
    assert.deepStrictEqual(found, ['[{"a":1}, {"a":2}]', '[{"a":3}]'])
  })

  for (const [text, rowsAt] of [
    ["", []],
    ["[", []],
    ['[{"a":1}', []],
    ['[{"a":1},]', []],
    ['[{"a":1}{"a":2}]', []],
    ['[{"a":1},,{"a":2}]', []],
    ["[1,2]", []],
    ["[[1]]", []],
    ['[{"a":1}] x', []],
    ['{"rows":[]}', []],
    ["{}", ["rows"]],
    ['{"rows":{}}', ["rows"]],
    ['{"rows":[{}]', ["rows"]],
    ["[]", ["rows"]]
  ] as const) {
    for (const sizes of [[1], [100]]) {
      it(`refuses ${JSON.stringify(text)} for rows at "${rowsAt}", in pieces of ${sizes}`, () => {
        assert.throws(() => rowsOf(inPieces(text, sizes), ...rowsAt), SyntaxError)
      })
    }
  }

  for (const [text, rowsAt, message] of [
    ['{"rows":[]}', [], 'it begins with "{"'],
    ["x]", [], 'it begins with "x"'],
    ["]", [], 'it begins with "]"'],
    ['[{"a":1}]', ["rows"], 'it begins with "["'],
    ["[]x", ["rows"], 'it begins with "["'],
    ["{}", ["rows"], "it has none"],
    ['{"rows":null}', ["rows"], "it has none"],
    ['{"rows":{}}', ["rows"], "it has none"]
  ] as const) {
    it(`throws NoRows for ${JSON.stringify(text)}, for rows at "${rowsAt}"`, () => {
      assert.throws(() => rowsOf([text], ...rowsAt), NoRows, message)
    })
  }

  for (const [text, message] of [
    ['[{"a":1}', "the text breaks off after 8 characters"],
    ['[{"a":1},]', 'unexpected "]" at character 9'],
    ['[{"a":1}] x', 'unexpected "x" at character 10']
  ] as const) {
    for (const sizes of [[3], [100]]) {
      it(`says where ${JSON.stringify(text)} is wrong, in pieces of ${sizes}`, () => {
        assert.throws(() => rowsOf(inPieces(text, sizes)), SyntaxError, message)
      })
    }
  }

  for (const text of [
    '{"rows":[],"rows":[]}',
    '{"rows":[],"rows":1}',
    '{"rows":[],"data":[]}',
    '{"data":[{}],"rows":[{}]}'
  ]) {
    it(`throws for rows that come twice: ${text}`, () => {
      for (const sizes of [[1], [100]]) {
        assert.throws(() => rowsOf(inPieces(text, sizes), "rows", "data"), SyntaxError, "its rows come twice")
      }
    })
  }

  it("takes the list where another member of such a name is none", () => {
    assert.deepStrictEqual(rowsOf(['{"data":1,"rows":[{"a":1}]}'], "rows", "data").rows, [{ a: 1 }])
    assert.deepStrictEqual(rowsOf(['{"rows":[{"a":1}],"data":1}'], "rows", "data").rows, [{ a: 1 }])
  })
})
