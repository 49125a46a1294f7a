// Pays somebody with a key in hardware behind Sealward:
//
//   node pay.mjs --key hot --rpc http://127.0.0.1:8545 --to 0x5290...9EE7 --eth 0.1
//
// It prints the hash of the transaction once that is in a block. A refusal ends it
// with exit code 1 and the reason.

import { parseArgs } from 'node:util'

import { createPublicClient, createWalletClient, defineChain, http, parseEther } from 'viem'

import { sealwardAccount } from './sealward.mjs'

const { values } = parseArgs({
  options: {
    socket: { type: 'string', default: '/run/sealward/sign.sock' },
    key: { type: 'string' },
    rpc: { type: 'string' },
    to: { type: 'string' },
    eth: { type: 'string' },
    claim: { type: 'string', default: '' },
  },
})
for (const name of ['key', 'rpc', 'to', 'eth']) {
  if (!values[name]) {
    console.error(`pay.mjs: --${name} is missing`)
    process.exit(2)
  }
}

try {
  const transport = http(values.rpc)
  const node = createPublicClient({ transport })
  // The chain is the node's; whether the key signs for it is Sealward's to say.
  const chain = defineChain({
    id: await node.getChainId(),
    name: 'the chain of the node',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [values.rpc] } },
  })
  const account = await sealwardAccount({ key: values.key, socket: values.socket, claim: values.claim })
  const wallet = createWalletClient({ account, chain, transport })
  const hash = await wallet.sendTransaction({ to: values.to, value: parseEther(values.eth) })
  const receipt = await node.waitForTransactionReceipt({ hash })
  console.log(`${hash} ${receipt.status} from ${account.address}`)
} catch (err) {
  // viem wraps what an account throws; the reason is at the bottom.
  let cause = err
  while (cause.cause) cause = cause.cause
  console.error(`pay.mjs: ${cause.shortMessage ?? cause.message}`)
  process.exit(1)
}
