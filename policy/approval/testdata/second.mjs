// A second implementation of docs/approvals.md, for node and openssl: it makes a proposal's
// canonical form and digest from plain values, and verifies an approval that is a JWS.
// Usage: node second.mjs FILE, where FILE is JSON: {fields, payload (hex), signed, certificate}.
import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash('sha256')).digest('hex')
const need = (ok, what) => { if (!ok) throw new Error(what) }

// RFC 8785: JSON.stringify writes strings and small numbers as it demands.
const canonical = (v) => Array.isArray(v) ? '[' + v.map(canonical).join() + ']'
  : v && typeof v === 'object' ? '{' + Object.keys(v).sort().map((k) => JSON.stringify(k) + ':' + canonical(v[k])).join() + '}'
  : JSON.stringify(v)

const unbase64 = (s) => {
  const b = Buffer.from(s, 'base64url')
  need(b.length > 0 && b.toString('base64url') === s, 'not base64url')
  return b
}

// der puts r || s into a SEQUENCE of two INTEGERs, as openssl takes it.
const der = (raw) => {
  const item = (tag, b) => Buffer.concat([Buffer.from(b.length < 128 ? [tag, b.length] : [tag, 0x81, b.length]), b])
  const integer = (b) => {
    let i = 0
    while (i < b.length - 1 && b[i] === 0) i++
    return item(2, b[i] & 0x80 ? Buffer.concat([Buffer.from([0]), b.subarray(i)]) : b.subarray(i))
  }
  return item(0x30, Buffer.concat([integer(raw.subarray(0, raw.length / 2)), integer(raw.subarray(raw.length / 2))]))
}

const {fields, payload, signed, certificate} = JSON.parse(readFileSync(process.argv[2]))
const proposal = canonical({...fields, payload_sha256: sha256(Buffer.from(payload, 'hex')), version: 1})
const digest = sha256('sealward.dev/proposal/v1\0', proposal)

const {jws, ...more} = JSON.parse(signed)
need(canonical({jws}) === signed && Object.keys(more).length === 0, 'the document is not canonical')
const [head, body, tail, ...rest] = jws.split('.')
need(tail !== undefined && rest.length === 0, 'not three parts')
const text = unbase64(body).toString()
const approval = JSON.parse(text)
need(canonical(approval) === text && approval.type === 'sealward.dev/approval/v1', 'the approval is not canonical')

const dir = mkdtempSync(join(tmpdir(), 'second-'))
try {
  const put = (name, data) => { writeFileSync(join(dir, name), data); return join(dir, name) }
  const openssl = (...args) => execFileSync('openssl', args, {stdio: ['ignore', 'pipe', 'ignore']})
  const pub = put('pub.pem', openssl('x509', '-in', put('cert.pem', certificate), '-noout', '-pubkey'))
  const spki = openssl('pkey', '-pubin', '-in', pub, '-outform', 'der')
  need(approval.device === 'sha256:' + sha256(spki), 'by another key')
  const kind = openssl('pkey', '-pubin', '-in', pub, '-noout', '-text_pub').toString()
  const algs = /P-(256|384|521)/.test(kind) ? ['ES' + RegExp.$1.replace('521', '512')] : /ED25519/.test(kind) ? ['EdDSA'] : ['PS256', 'RS256']
  const alg = algs.find((alg) => unbase64(head).toString() === canonical({alg, kid: approval.device, typ: 'sealward-approval+jws'}))
  need(alg, 'the header is not that of the key')
  const sig = put('sig', alg.startsWith('ES') ? der(unbase64(tail)) : unbase64(tail))
  const input = put('input', head + '.' + body)
  const pss = alg === 'PS256' ? ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'] : []
  if (alg === 'EdDSA') openssl('pkeyutl', '-verify', '-pubin', '-inkey', pub, '-rawin', '-in', input, '-sigfile', sig)
  else openssl('dgst', '-sha' + alg.slice(2), ...pss, '-verify', pub, '-signature', sig, input)
} finally {
  rmSync(dir, {recursive: true})
}
console.log(canonical({about: approval.proposal === digest, digest, word: approval.word}))
