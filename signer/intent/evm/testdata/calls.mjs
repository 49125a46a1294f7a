// Answers one line for each line of standard input, about the calldata of a function:
// encodes arguments, or decodes bytes and encodes what it read again.
import { createInterface } from "node:readline";
import { Interface } from "ethers";

const plain = (v) => (Array.isArray(v) ? Array.from(v, plain) : typeof v === "bigint" ? v.toString() : v);
const interfaces = new Map();

for await (const line of createInterface({ input: process.stdin })) {
  const { signature, args, data } = JSON.parse(line);
  let out;
  try {
    if (!interfaces.has(signature)) interfaces.set(signature, new Interface(["function " + signature]));
    const it = interfaces.get(signature);
    const f = it.fragments[0];
    if (data === undefined) {
      out = { data: it.encodeFunctionData(f, args) };
    } else {
      const read = it.decodeFunctionData(f, data);
      out = { args: plain(read), data: it.encodeFunctionData(f, plain(read)) };
    }
  } catch (e) {
    out = { error: String(e.shortMessage ?? e.message) };
  }
  console.log(JSON.stringify(out));
}
