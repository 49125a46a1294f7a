// An account for viem whose key is in hardware behind Sealward.
//
//   import { createWalletClient, http } from 'viem'
//   import { mainnet } from 'viem/chains'
//   import { sealwardAccount } from './sealward.mjs'
//
//   const account = await sealwardAccount({ key: 'hot' })
//   const wallet = createWalletClient({ account, chain: mainnet, transport: http() })
//   await wallet.sendTransaction({ to, value })
//
// It needs viem and Node, nothing else. The API it speaks is in docs/api.md.

import { randomUUID } from 'node:crypto'
import { request as httpRequest } from 'node:http'

import { hashMessage, hexToBytes, keccak256, numberToHex, parseTransaction, recoverAddress, serializeTransaction, stringToBytes } from 'viem'
import { toAccount } from 'viem/accounts'

const MAX_ANSWER = 4 << 20 // bytes

// What a Connect code means in Sealward's words (docs/api.md, "Errors").
const CODES = {
  invalid_argument: 'invalid_request',
  unauthenticated: 'unauthenticated',
  not_found: 'not_found',
  permission_denied: 'denied',
  already_exists: 'conflict',
  failed_precondition: 'expired',
  deadline_exceeded: 'pending',
  resource_exhausted: 'overloaded',
  unavailable: 'unavailable',
}

// After these the same request may be asked again with the same id.
const AGAIN = new Set(['pending', 'overloaded', 'unavailable'])

/** What a call is refused with. `code` is one of docs/api.md, such as "denied". */
export class SealwardError extends Error {
  constructor(code, message, options) {
    super(`${code}: ${message}`, options)
    this.name = 'SealwardError'
    this.code = code
  }
}

/** Calls a method of sealward.v1.SignerService over the Unix socket. */
export function call(socket, method, message, timeout = 60_000) {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify(message)
    const req = httpRequest(
      {
        socketPath: socket,
        path: `/sealward.v1.SignerService/${method}`,
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
        signal: AbortSignal.timeout(timeout),
      },
      (res) => {
        const chunks = []
        let size = 0
        res.on('data', (chunk) => {
          size += chunk.length
          if (size > MAX_ANSWER) req.destroy(new Error('the answer is too large'))
          chunks.push(chunk)
        })
        res.on('error', (err) => reject(new SealwardError('unavailable', `the connection to ${socket} broke: ${err.message}`)))
        res.on('end', () => {
          try {
            const answer = JSON.parse(Buffer.concat(chunks).toString('utf8'))
            if (res.statusCode === 200) return resolve(answer)
            reject(new SealwardError(CODES[answer.code] ?? 'internal', answer.message ?? `HTTP ${res.statusCode}`))
          } catch {
            reject(new SealwardError('internal', `what answers at ${socket} does not speak Sealward's API (HTTP ${res.statusCode})`))
          }
        })
      },
    )
    req.on('error', (err) =>
      reject(new SealwardError('unavailable', `cannot reach sealwardd at ${socket}: ${err.message}; is it running, and may you open the socket?`)),
    )
    req.end(body)
  })
}

/**
 * Returns a viem account for a key of Sealward's.
 *
 * @param {object} options
 * @param {string} options.key name of the key
 * @param {string} [options.socket] path of the socket
 * @param {string} [options.claim] free text that is recorded with every request
 * @param {() => string} [options.requestId] makes the id of a request. Keep ids of
 *   your own where a program may crash between asking and sending: the same id
 *   with the same content gets the same answer, always.
 * @param {number} [options.attempts] how often to ask when the daemon is busy
 */
export async function sealwardAccount({
  key,
  socket = '/run/sealward/sign.sock',
  claim = '',
  requestId = () => `viem-${randomUUID()}`,
  attempts = 3,
}) {
  const { key: info } = await call(socket, 'GetKey', { name: key })
  if (!info?.ethereum_address) throw new SealwardError('invalid_request', `key "${key}" has no Ethereum address; it is a ${info?.algorithm} key`)
  const address = info.ethereum_address

  async function sign(kind, payload) {
    const request = { id: requestId(), key, kind, claim, ...payload }
    for (let attempt = 1; ; attempt++) {
      try {
        const res = await call(socket, 'Sign', { request })
        return `0x${Buffer.from(res.artifact, 'base64').toString('hex')}`
      } catch (err) {
        err.requestId = request.id
        if (!AGAIN.has(err.code) || attempt >= attempts) throw err
        await new Promise((resolve) => setTimeout(resolve, 500 * attempt))
      }
    }
  }

  return toAccount({
    address,

    async signTransaction(transaction) {
      const unsigned = unsignedOf(transaction)
      const signed = await sign('evm.transaction', { payload_text: JSON.stringify(toJSON(unsigned)) })
      return checked(signed, async () => {
        const { r, s, yParity, v } = parseTransaction(signed)
        const signature = { r, s, yParity, v }
        const signer = await recoverAddress({ hash: keccak256(serializeTransaction(unsigned)), signature })
        return signer === address && serializeTransaction(unsigned, signature) === signed
      })
    },

    async signMessage({ message }) {
      const bytes = typeof message === 'string' ? stringToBytes(message) : typeof message.raw === 'string' ? hexToBytes(message.raw) : message.raw
      const signature = await sign('evm.message', { payload: Buffer.from(bytes).toString('base64') })
      return checked(signature, async () => (await recoverAddress({ hash: hashMessage(message), signature })) === address)
    },

    async signTypedData() {
      throw new SealwardError('invalid_request', 'Sealward does not sign typed data (EIP-712): it cannot yet say what such a signature would do')
    },
  })
}

/** Returns an answer if it is what was asked for, signed by this account. */
async function checked(answer, holds) {
  let cause
  try {
    if (await holds()) return answer
  } catch (err) {
    cause = err
  }
  throw new SealwardError('internal', 'the answer is not what was asked for, signed by this account; it is not used', { cause })
}

// The types that Sealward decodes; any other is refused here, not changed.
const TYPES = { legacy: '0x0', eip2930: '0x1', eip1559: '0x2' }

// What goes into a transaction of these types. viem's own bookkeeping, such as
// account or nonceManager, does not.
const FIELDS = ['chainId', 'nonce', 'gas', 'gasPrice', 'maxFeePerGas', 'maxPriorityFeePerGas', 'to', 'value', 'data', 'accessList']
const FOREIGN = ['blobs', 'blobVersionedHashes', 'maxFeePerBlobGas', 'sidecars', 'authorizationList']

function unsignedOf(transaction) {
  const present = (name) => transaction[name] !== undefined && transaction[name] !== null
  const foreign = FOREIGN.filter(present)
  const type = transaction.type ?? (present('gasPrice') ? (present('accessList') ? 'eip2930' : 'legacy') : 'eip1559')
  if (!(type in TYPES) || foreign.length > 0) {
    throw new SealwardError('invalid_request', `Sealward signs transactions of types ${Object.keys(TYPES).join(', ')}; this is ${type} with ${foreign.join(', ') || 'its own fields'}`)
  }
  if (!present('chainId')) throw new SealwardError('invalid_request', 'the transaction has no chainId; give the wallet client a chain')
  const out = { type }
  for (const name of FIELDS) if (present(name)) out[name] = transaction[name]
  return out
}

/** The object that eth_signTransaction takes. */
function toJSON({ type, chainId, to, data, accessList, ...numbers }) {
  const out = { type: TYPES[type], chainId: numberToHex(chainId) }
  for (const name of ['nonce', 'gas']) out[name] = numberToHex(numbers[name] ?? 0)
  for (const name of ['gasPrice', 'maxFeePerGas', 'maxPriorityFeePerGas', 'value']) {
    if (numbers[name] !== undefined) out[name] = numberToHex(numbers[name])
  }
  if (to) out.to = to
  if (data) out.data = data
  if (accessList) out.accessList = accessList
  return out
}
