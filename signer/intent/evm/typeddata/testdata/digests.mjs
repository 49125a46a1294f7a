// Reads typed data as lines of JSON and answers each with a line: what ethers and
// what viem make of it, as {"digest": "0x..."} or {"error": "..."}.
import { createInterface } from 'node:readline'
import { TypedDataEncoder } from 'ethers'
import { hashTypedData } from 'viem'

// ethers takes neither EIP712Domain nor the primary type: it makes up the one from
// the members of the domain, and the other from what refers to what.
function byEthers({ types: { EIP712Domain, ...types }, primaryType, domain, message }) {
  const made = TypedDataEncoder.from(types).primaryType
  if (made !== primaryType) throw new Error(`the primary type is ${made}`)
  return TypedDataEncoder.hash(domain, types, message)
}

function attempt(hash, data) {
  try {
    return { digest: hash(data) }
  } catch (err) {
    return { error: String(err.shortMessage ?? err.message).split('\n')[0] }
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const data = JSON.parse(line)
  console.log(JSON.stringify({ ethers: attempt(byEthers, data), viem: attempt(hashTypedData, data) }))
}
