// Reads lines of JSON, each a transaction as eth_signTransaction takes it, an
// authorisation or a message, and answers each with a line: what ethers and what viem
// would sign for it, as {"hash": "0x..."} or {"error": "..."}. For a raw signed
// transaction that comes along, they say who signed it.
import { createInterface } from 'node:readline'
import { Transaction, hashAuthorization, hashMessage } from 'ethers'
import * as viem from 'viem'
import { hashAuthorization as viemAuthorization } from 'viem/utils'

function ethersTransaction(tx) {
  const { from, gas, input, authorizationList, ...rest } = tx
  return Transaction.from({
    ...rest,
    type: Number(tx.type),
    nonce: Number(tx.nonce),
    gasLimit: gas,
    data: input,
    ...(authorizationList && {
      authorizationList: authorizationList.map(({ chainId, address, nonce, yParity, r, s }) => ({
        chainId: BigInt(chainId), address, nonce: BigInt(nonce),
        signature: { yParity: Number(yParity), r: viem.pad(r), s: viem.pad(s) },
      })),
    }),
  }).unsignedHash
}

const quantities = ['gas', 'gasPrice', 'maxFeePerGas', 'maxPriorityFeePerGas', 'maxFeePerBlobGas', 'value', 'chainId']
const names = ['legacy', 'eip2930', 'eip1559', 'eip4844', 'eip7702']

function viemTransaction(tx) {
  const { from, input, authorizationList, ...rest } = tx
  for (const name of quantities) if (name in rest) rest[name] = BigInt(rest[name])
  return viem.keccak256(viem.serializeTransaction({
    ...rest,
    type: names[Number(tx.type)],
    nonce: Number(tx.nonce),
    data: input,
    ...(authorizationList && {
      authorizationList: authorizationList.map(({ chainId, address, nonce, yParity, r, s }) => ({
        chainId: BigInt(chainId), address, nonce: BigInt(nonce), yParity: Number(yParity), r: viem.pad(r), s: viem.pad(s),
      })),
    }),
  }))
}

const authorization = ({ chainId, address, nonce }) => ({ chainId: BigInt(chainId), address, nonce: BigInt(nonce) })

async function attempt(what) {
  try {
    return await what()
  } catch (err) {
    return { error: String(err.shortMessage ?? err.message).split('\n')[0] }
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { transaction, signed, authorization: auth, message } = JSON.parse(line)
  const ethers = await attempt(() => {
    if (auth) return { hash: hashAuthorization(authorization(auth)) }
    if (message) return { hash: hashMessage(viem.hexToBytes(message)) }
    return { hash: ethersTransaction(transaction), ...(signed && { from: Transaction.from(signed).from, id: Transaction.from(signed).hash }) }
  })
  const viems = await attempt(async () => {
    if (auth) return { hash: viemAuthorization(authorization(auth)) }
    if (message) return { hash: viem.hashMessage({ raw: message }) }
    return {
      hash: viemTransaction(transaction),
      ...(signed && { from: await viem.recoverTransactionAddress({ serializedTransaction: signed }), id: viem.keccak256(signed) }),
    }
  })
  console.log(JSON.stringify({ ethers, viem: viems }))
}
