// WebAuthn speaks bytes and our server JSON. The browsers' own conversions are too young to rely on.

// As base64url, which is how bytes travel.
export function encode(bytes) {
  const text = String.fromCharCode(...new Uint8Array(bytes))
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}

export function decode(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"))
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0))
}

// What navigator.credentials.create and .get take, from the server's JSON.
export function toOptions({ publicKey }) {
  const options = { ...publicKey, challenge: decode(publicKey.challenge) }
  if (publicKey.user) options.user = { ...publicKey.user, id: decode(publicKey.user.id) }
  for (const list of ["excludeCredentials", "allowCredentials"]) {
    if (publicKey[list]) options[list] = publicKey[list].map((each) => ({ ...each, id: decode(each.id) }))
  }
  return { publicKey: options }
}

// The device's answer as JSON.
export function toJson(credential) {
  const response = {}
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = encode(credential.response[name])
  }
  return { id: credential.id, rawId: encode(credential.rawId), type: credential.type, response, clientExtensionResults: {} }
}
