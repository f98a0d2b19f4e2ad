// Requests to our own site: partials as parsed elements, writes with the CSRF token, errors with words for people.

import { parse } from "./dom.js"
import { t } from "./strings.js"

export class RequestError extends Error {
  constructor(message, status, code = "") {
    super(message)
    this.status = status
    this.code = code
  }
}

export async function getPartial(path, { signal } = {}) {
  const response = await request(path, { headers: { "X-Requested-With": "fetch" }, signal })
  return parse(await response.text())
}

export async function getJson(path) {
  const response = await request(path, { headers: { Accept: "application/json" } })
  return response.json()
}

export async function post(path, fields = {}) {
  return send(path, new URLSearchParams(fields))
}

export async function postJson(path, fields) {
  return send(path, JSON.stringify(fields), { "Content-Type": "application/json" })
}

export function csrfToken() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? document.querySelector("meta[name=csrf-token]")?.content ?? ""
}

async function send(path, body, headers = {}) {
  const response = await request(path, { method: "POST", headers: { "X-CSRFToken": csrfToken(), Accept: "application/json", ...headers }, body })
  return response.headers.get("Content-Type")?.includes("json") ? response.json() : null
}

async function request(path, options) {
  let response
  try {
    response = await fetch(path, { credentials: "same-origin", ...options })
  } catch {
    throw new RequestError(t("The site cannot be reached. Check the connection and try again."), 0)
  }
  if (response.ok && !response.redirected) return response
  if (response.redirected) throw new RequestError(t("You are signed out. Sign in again to go on."), 401)
  const { error } = await response.json().catch(() => ({}))
  throw new RequestError(error?.message ?? t("That did not work. Try again."), response.status, error?.code)
}
