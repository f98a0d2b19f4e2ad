// Passkeys: adding one on the page of the account, entering by one at the door.

import { find, onAction } from "../helpers/dom.js"
import { post, postJson } from "../helpers/http.js"
import { t } from "../helpers/strings.js"
import { toJson, toOptions } from "../helpers/webauthn.js"

const isAble = () => Boolean(window.isSecureContext && window.PublicKeyCredential)

export function startPasskeys() {
  const form = find("[data-add-passkey]")
  const door = find("[data-enter-by-passkey]")
  if (form) form.hidden = !isAble()
  if (form && !isAble()) find("[data-no-passkeys]").hidden = false
  if (door) door.hidden = !isAble()
  form?.addEventListener("submit", (event) => {
    event.preventDefault()
    told(form, () => add(form))
  })
  if (door) onAction(door, { "enter-by-passkey": () => told(door, () => enter(door)) })
}

async function add(form) {
  const fields = new FormData(form)
  const options = await post("/account/passkeys/begin", { password: fields.get("password") ?? "" })
  const credential = await navigator.credentials.create(toOptions(options))
  await postJson("/account/passkeys", { name: fields.get("name"), credential: toJson(credential) })
  location.reload()
}

async function enter(door) {
  const options = await post("/sign-in/passkey/begin")
  const credential = await navigator.credentials.get(toOptions(options))
  const { next } = await postJson("/sign-in/passkey", { credential: toJson(credential), next: door.dataset.next })
  location.assign(next)
}

// A person who has closed the device's question knows that; a refusal of ours has its own words.
async function told(place, act) {
  const error = find("[data-passkey-error]", place)
  error.hidden = true
  try {
    await act()
  } catch (refused) {
    if (refused.name === "NotAllowedError" || refused.name === "AbortError") return
    error.textContent = refused.name === "InvalidStateError" ? t("This device has a passkey for you already.") : refused.message
    error.hidden = false
  }
}
