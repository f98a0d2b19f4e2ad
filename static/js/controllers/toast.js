// A short word at the bottom of the page, with at most one thing to do about it.

import { element, find } from "../helpers/dom.js"

const SHOWN_MS = 7_000 // long enough to read the line and reach for Undo

export function toast(words, { action, onAction } = {}) {
  const box = element("div", { class: "toast" }, element("span", {}, words))
  if (action) {
    const button = element("button", { type: "button", class: "toast__action" }, action)
    button.addEventListener("click", () => { box.remove(); onAction() })
    box.append(button)
  }
  find("[data-toasts]").append(box)
  setTimeout(() => removeUnlessUsed(box), SHOWN_MS)
  return box
}

function removeUnlessUsed(box) {
  if (box.matches(":hover, :focus-within")) setTimeout(() => removeUnlessUsed(box), 2_000)
  else box.remove()
}
