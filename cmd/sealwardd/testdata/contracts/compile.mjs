// Compiles the sources given and prints abi and code of every contract in them, and of
// the contracts that packages bring compiled, as one object of JSON.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [packages, source] = process.argv.slice(2)
const load = createRequire(join(packages, 'any.js'))

const input = {
  language: 'Solidity',
  sources: { 'tokens.sol': { content: readFileSync(source, 'utf8') } },
  settings: { optimizer: { enabled: false }, evmVersion: 'cancun', outputSelection: { 'tokens.sol': { '*': ['abi', 'evm.bytecode.object'] } } },
}
const find = (path) => ({ contents: readFileSync(join(packages, path), 'utf8') })
const compiled = JSON.parse(load('solc').compile(JSON.stringify(input), { import: find }))
const errors = (compiled.errors ?? []).filter((e) => e.severity === 'error')
if (errors.length > 0) throw new Error(errors.map((e) => e.formattedMessage).join('\n'))

const out = {}
for (const [name, c] of Object.entries(compiled.contracts['tokens.sol'])) {
  out[name] = { abi: c.abi, code: '0x' + c.evm.bytecode.object }
}
for (const [name, path] of Object.entries({
  WETH9: 'canonical-weth/build/contracts/WETH9.json',
  Safe: '@safe-global/safe-contracts/build/artifacts/contracts/Safe.sol/Safe.json',
  SafeProxyFactory: '@safe-global/safe-contracts/build/artifacts/contracts/proxies/SafeProxyFactory.sol/SafeProxyFactory.json',
  MultiSend: '@safe-global/safe-contracts/build/artifacts/contracts/libraries/MultiSend.sol/MultiSend.json',
  DelegateCallTransactionGuard: '@safe-global/safe-contracts/build/artifacts/contracts/examples/guards/DelegateCallTransactionGuard.sol/DelegateCallTransactionGuard.json',
  CompatibilityFallbackHandler: '@safe-global/safe-contracts/build/artifacts/contracts/handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler.json',
  Safe4337Module: '@safe-global/safe-4337/build/artifacts/contracts/Safe4337Module.sol/Safe4337Module.json',
  EntryPoint: '@account-abstraction/contracts/artifacts/EntryPoint.json',
  SimpleAccount: '@account-abstraction/contracts/artifacts/SimpleAccount.json',
  SimpleAccountFactory: '@account-abstraction/contracts/artifacts/SimpleAccountFactory.json',
  EntryPoint6: 'account-abstraction-0.6/artifacts/EntryPoint.json',
  SimpleAccount6: 'account-abstraction-0.6/artifacts/SimpleAccount.json',
  EntryPoint7: 'account-abstraction-0.7/artifacts/EntryPoint.json',
  SimpleAccount7: 'account-abstraction-0.7/artifacts/SimpleAccount.json',
  MultiSendCallOnly: '@safe-global/safe-contracts/build/artifacts/contracts/libraries/MultiSendCallOnly.sol/MultiSendCallOnly.json',
})) {
  const c = JSON.parse(readFileSync(join(packages, path), 'utf8'))
  out[name] = { abi: c.abi, code: c.bytecode }
}
process.stdout.write(JSON.stringify(out))
