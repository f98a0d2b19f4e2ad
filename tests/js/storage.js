// localStorage for Node: the same interface, including its keys as own properties.

export function storageOf(limit = Infinity) {
  const storage = {}
  const method = (value) => ({ value, enumerable: false })
  return Object.defineProperties(storage, {
    getItem: method((key) => storage[key] ?? null),
    removeItem: method((key) => { delete storage[key] }),
    setItem: method((key, value) => {
      if (value.length > limit) throw Object.assign(new Error("full"), { name: "QuotaExceededError" })
      storage[key] = String(value)
    }),
    length: { get: () => Object.keys(storage).length, enumerable: false },
  })
}
