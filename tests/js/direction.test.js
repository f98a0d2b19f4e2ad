import assert from "node:assert/strict"
import { test } from "node:test"

import { directionOf } from "../../static/js/helpers/direction.js"

test("the first letter decides, whatever stands before it", () => {
  for (const [text, direction] of [["How deep?", "ltr"], ["1. كم العمق؟", "rtl"], ["- עומק sonar", "rtl"], ["深さ", "ltr"], ["42 %", ""], ["", ""]]) {
    assert.equal(directionOf(text), direction, text)
  }
})
