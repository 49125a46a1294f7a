package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

// decoding is what reading a payload takes, without a signature.
type decoding struct {
	Payload string    `json:"payload"`
	Times   []float64 `json:"processor_us"` // the mean of each round
}

// decodeTime is how long a payload is read again and again in each round.
const decodeTime = 200 * time.Millisecond

// Places on chain 1, as bytes. The Safe is the benchmark's own.
var (
	benchToken  = common.HexToAddress("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48") // USDC
	benchSafe   = common.HexToAddress("0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359")
	benchPayee  = common.HexToAddress("0x52908400098527886E0F7030069857D2E4169EE7")
	benchBatch  = common.HexToAddress("0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526") // MultiSend 1.4.1
	benchSender = common.HexToAddress("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf")
)

// benchBook is an owner's book in which all that is decoded is known.
func benchBook() signer.Book {
	const chain = "eip155:1"
	token, safe := chain+"/erc20:"+benchToken.Hex(), chain+":"+benchSafe.Hex()
	return signer.NewBook(
		map[string]signer.Asset{token: {ID: token, Name: "usdc", Decimals: 6}},
		map[string]signer.Contract{safe: {Name: "vault", Kind: signer.ContractSafe}},
		map[string]string{chain + ":" + benchPayee.Hex(): "Acme Hosting"},
	)
}

// The names of what is decoded. The first is what the others are compared with.
const (
	plainPayment  = "a payment of ether"
	tokenPayment  = "a transfer of a token"
	batchPayments = "a Safe's MultiSend of 100 transfers"
	onePermit     = "typed data: PermitSingle of Permit2"
	withLabels    = "a transfer of a token, its labels by a descriptor"
)

// reader is one thing to measure: it reads a payload once.
type reader struct {
	name string
	read func() error
}

// readers are all that is measured. Each was read once, in full.
func readers(dir string) ([]reader, error) {
	book, from := benchBook(), benchSender.Hex()
	decoded := func(name string, d interface {
		Preview([]byte, string, signer.Book) (signer.Intent, error)
	}, payload []byte) reader {
		return reader{name, func() error {
			in, err := d.Preview(payload, from, book)
			if err == nil && !in.Complete {
				err = errors.New("a part of it was not read")
			}
			return err
		}}
	}
	plain, err := payment(acme, 7)
	if err != nil {
		return nil, err
	}
	transfer := pays(1)
	token, err := callOf(benchToken, transfer)
	if err != nil {
		return nil, err
	}
	batch, err := callOf(benchSafe, batchOf(100))
	if err != nil {
		return nil, err
	}
	set, err := benchLabels(filepath.Join(dir, "labels"))
	if err != nil {
		return nil, err
	}
	all := []reader{
		decoded(plainPayment, evm.Transaction{}, plain),
		decoded(tokenPayment, evm.Transaction{}, token),
		decoded(batchPayments, evm.Transaction{}, batch),
		decoded(onePermit, evm.TypedData{}, []byte(benchPermit)),
		{withLabels, func() error {
			labels, err := set.Describe(signer.Intent{Kind: signer.KindEVMTransaction}, token, from, book)
			if err == nil && (labels == nil || len(labels.Fields) != 2) {
				err = errors.New("the descriptor does not apply")
			}
			return err
		}},
	}
	for _, r := range all {
		if err := r.read(); err != nil {
			return nil, fmt.Errorf("read %s: %w", r.name, err)
		}
	}
	return all, nil
}

// measureDecoding reads each payload in turn, round by round.
func measureDecoding(dir string, rounds int, each time.Duration) ([]decoding, error) {
	all, err := readers(dir)
	if err != nil {
		return nil, err
	}
	out := make([]decoding, len(all))
	for range rounds {
		for i, r := range all {
			before, err := ownTime()
			if err != nil {
				return nil, err
			}
			n := 0
			for begun := time.Now(); time.Since(begun) < each; n++ {
				if err := r.read(); err != nil {
					return nil, err
				}
			}
			after, err := ownTime()
			if err != nil {
				return nil, err
			}
			out[i].Payload = r.name
			out[i].Times = append(out[i].Times, 1000*milliseconds(after-before)/float64(n))
		}
	}
	return out, nil
}

// ownTime is the processor time of this process, which does nothing else meanwhile but
// collect garbage. What else the machine does is not in it.
func ownTime() (time.Duration, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// callOf is an unsigned transaction that calls a contract.
func callOf(to common.Address, data []byte) ([]byte, error) {
	const gwei = uint64(1e9)
	body, err := rlp.EncodeToBytes([]any{uint64(1), uint64(7), 1 * gwei, 30 * gwei, uint64(100_000), to, uint64(0), data, []any{}})
	return append([]byte{2}, body...), err
}

// pays is calldata that pays so much of a token.
func pays(n uint64) []byte {
	return abi.MustParseSignature("transfer(address to, uint256 amount)").Call(abi.Addr(benchPayee), abi.Uint64(n))
}

// batchOf is calldata by which a Safe makes n payments of a token. MultiSend packs them
// one behind the other: kind of call, target, value, length of data, data.
func batchOf(n int) []byte {
	var packed []byte
	for i := range n {
		data := pays(uint64(i))
		packed = append(packed, 0)
		packed = append(packed, benchToken[:]...)
		packed = append(packed, make([]byte, 32)...)
		packed = append(packed, abi.Encode(abi.Uint64(uint64(len(data))))...)
		packed = append(packed, data...)
	}
	batch := abi.MustParseSignature("multiSend(bytes transactions)").Call(abi.BytesValue(packed))
	zero, nobody := abi.Uint64(0), abi.Addr(common.Address{})
	return abi.MustParseSignature("execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)").Call(
		abi.Addr(benchBatch), zero, abi.BytesValue(batch), abi.Uint64(1), zero, zero, zero, nobody, nobody, abi.BytesValue(make([]byte, 65)))
}

const benchPermit = `{"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],
"PermitSingle":[{"name":"details","type":"PermitDetails"},{"name":"spender","type":"address"},{"name":"sigDeadline","type":"uint256"}],
"PermitDetails":[{"name":"token","type":"address"},{"name":"amount","type":"uint160"},{"name":"expiration","type":"uint48"},{"name":"nonce","type":"uint48"}]},
"primaryType":"PermitSingle","domain":{"name":"Permit2","chainId":1,"verifyingContract":"0x000000000022D473030F116dDEE9F6B43aC78BA3"},
"message":{"details":{"token":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","amount":"100000000","expiration":"1796083200","nonce":"0"},
"spender":"0x52908400098527886E0F7030069857D2E4169EE7","sigDeadline":"1796083200"}}`

const benchDescriptor = `{"$schema":"https://eips.ethereum.org/assets/eip-7730/erc7730-v2.schema.json",
"context":{"contract":{"deployments":[{"chainId":1,"address":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}]}},
"metadata":{"owner":"Circle"},"display":{"formats":{"transfer(address to, uint256 amount)":{"intent":"Send","interpolatedIntent":"Send {amount} to {to}","fields":[
{"path":"to","label":"To","format":"addressName"},{"path":"amount","label":"Amount","format":"tokenAmount","params":{"tokenPath":"@.to"}}]}}}}`

// benchLabels pins a descriptor of the token in a folder that is not there yet.
func benchLabels(dir string) (*erc7730.Set, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "token.json"), []byte(benchDescriptor), 0o600); err != nil {
		return nil, err
	}
	manifest, refused, err := erc7730.Pin(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	if len(refused) > 0 {
		return nil, fmt.Errorf("descriptor refused: %v", refused)
	}
	if err := os.WriteFile(filepath.Join(dir, erc7730.ManifestName), manifest, 0o600); err != nil {
		return nil, err
	}
	return erc7730.Load(os.DirFS(dir))
}

func (r *report) printDecoding(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "reading\tprocessor µs\tof a payment of ether\t")
	for i, d := range r.Decoding {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t\n", d.Payload, median(d.Times), r.ofPayment(i))
	}
	w.Flush()
}

// ofPayment is what a payload takes as a multiple of a plain payment in the same round.
func (r *report) ofPayment(i int) float64 {
	var all []float64
	for n, took := range r.Decoding[i].Times {
		all = append(all, took/r.Decoding[0].Times[n])
	}
	return median(all)
}

// decodingAims are those for reading payloads.
func (r *report) decodingAims() (all []aim) {
	for _, d := range r.Decoding {
		switch d.Payload {
		case tokenPayment:
			all = append(all, aim{"reading " + d.Payload, "µs", median(d.Times), 30, false})
		case batchPayments:
			all = append(all, aim{"reading " + d.Payload, "µs", median(d.Times), 1000, false})
		}
	}
	return all
}
