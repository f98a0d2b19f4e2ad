// Theme and language in the menu, remembered with the person; drafts are forgotten at sign-out.

import { find, findAll, onAction } from "../helpers/dom.js"
import { post } from "../helpers/http.js"
import { forget } from "../models/drafts.js"
import { toast } from "./toast.js"

export function startPreferences() {
  onAction(document, { theme: chooseTheme, language: chooseLanguage })
  find("[data-sign-out]")?.addEventListener("submit", leaveNothing)
}

// The field is emptied too: leaving the page saves what is in it.
function leaveNothing() {
  const field = find("[data-text]")
  if (field) field.value = ""
  forget(localStorage, document.body.dataset.person)
}

function chooseTheme(button) {
  document.documentElement.dataset.theme = button.dataset.value
  for (const choice of findAll("[data-action=theme]")) choice.ariaChecked = String(choice === button)
  save({ theme: button.dataset.value })
}

async function chooseLanguage(button) {
  if (await save({ language: button.dataset.value })) location.reload()
}

// Also used for the composer's toggles. A preference that is not saved still counts on this page.
export async function save(fields) {
  try {
    await post("/preferences", fields)
    return true
  } catch (error) {
    toast(error.message)
    return false
  }
}
