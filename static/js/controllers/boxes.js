// Marks places on a page or picture: boxes as fractions of it, so that they hold at every size.

import { element, findAll } from "../helpers/dom.js"

export function showBoxes(target, boxes) {
  for (const old of findAll(":scope > .place", target)) old.remove()
  for (const [left, top, right, bottom] of boxes) {
    const place = element("span", { class: "place", "aria-hidden": "true" })
    for (const [name, value] of Object.entries({ left, top, width: right - left, height: bottom - top })) place.style.setProperty(`--${name}`, value)
    target.append(place)
  }
}
