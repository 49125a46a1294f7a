package evm_test

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// random makes transactions out of the whole range that is accepted.
type random struct{ *rand.Rand }

func (r random) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r random) number(maxBytes int) *big.Int {
	return new(big.Int).SetBytes(r.bytes(r.IntN(maxBytes + 1)))
}

func (r random) recipient() *common.Address {
	if r.IntN(5) == 0 {
		return nil
	}
	a := common.Address(r.bytes(20))
	return &a
}

func (r random) accessList() types.AccessList {
	list := make(types.AccessList, r.IntN(4))
	for i := range list {
		list[i].Address = common.Address(r.bytes(20))
		for range r.IntN(4) {
			list[i].StorageKeys = append(list[i].StorageKeys, common.Hash(r.bytes(32)))
		}
	}
	return list
}

func (r random) transaction() (tx *types.Transaction, chainID *big.Int) {
	chainID = new(big.Int).SetUint64(r.Uint64()>>r.IntN(64) | 1)
	nonce, gas, to, value := r.Uint64()>>(1+r.IntN(63)), r.Uint64()>>r.IntN(64)|1, r.recipient(), r.number(31)
	data := r.bytes(r.IntN(100))
	if to == nil {
		data = append(data, 1)
	}
	price := r.number(22)
	tip := new(big.Int).Rsh(price, uint(r.IntN(200)))
	small := func(n *big.Int) *uint256.Int { return uint256.MustFromBig(n) }
	switch r.IntN(5) {
	case 0:
		return types.NewTx(&types.LegacyTx{Nonce: nonce, GasPrice: price, Gas: gas, To: to, Value: value, Data: data}), chainID
	case 1:
		return types.NewTx(&types.AccessListTx{ChainID: chainID, Nonce: nonce, GasPrice: price, Gas: gas, To: to, Value: value, Data: data, AccessList: r.accessList()}), chainID
	case 2:
		return types.NewTx(&types.DynamicFeeTx{ChainID: chainID, Nonce: nonce, GasTipCap: tip, GasFeeCap: price, Gas: gas, To: to, Value: value, Data: data, AccessList: r.accessList()}), chainID
	case 3:
		return types.NewTx(&types.BlobTx{ChainID: small(chainID), Nonce: nonce, GasTipCap: small(tip), GasFeeCap: small(price), Gas: gas,
			To: common.Address(r.bytes(20)), Value: small(value), Data: data, AccessList: r.accessList(), BlobFeeCap: small(r.number(22)), BlobHashes: r.blobs()}), chainID
	default:
		return types.NewTx(&types.SetCodeTx{ChainID: small(chainID), Nonce: nonce, GasTipCap: small(tip), GasFeeCap: small(price), Gas: gas,
			To: common.Address(r.bytes(20)), Value: small(value), Data: data, AccessList: r.accessList(), AuthList: r.authorizations(chainID.Uint64())}), chainID
	}
}

func (r random) blobs() []common.Hash {
	hashes := make([]common.Hash, 1+r.IntN(6))
	for i := range hashes {
		hashes[i] = common.Hash(r.bytes(32))
		hashes[i][0] = 1
	}
	return hashes
}

// authorizations are signed by keys that are made for them.
func (r random) authorizations(chainID uint64) []types.SetCodeAuthorization {
	list := make([]types.SetCodeAuthorization, 1+r.IntN(3))
	for i := range list {
		key, err := crypto.ToECDSA(append(r.bytes(31), 1))
		if err != nil {
			panic(err)
		}
		a := types.SetCodeAuthorization{ChainID: *uint256.NewInt([]uint64{0, 1, chainID}[r.IntN(3)]), Address: common.Address(r.bytes(20)), Nonce: r.Uint64() >> (1 + r.IntN(63))}
		if list[i], err = types.SignSetCode(key, a); err != nil {
			panic(err)
		}
	}
	return list
}

// TestAgreesWithGoEthereum compares what is signed and what is assembled with
// go-ethereum, and the forms of a payload with each other.
func TestAgreesWithGoEthereum(t *testing.T) {
	r := random{rand.New(rand.NewPCG(1, 2))}
	for i := range 2000 {
		tx, chainID := r.transaction()
		key := keyFor(t, "eip155:"+chainID.String())
		payload := rawOf(t, tx, chainID)
		in, err := evm.Transaction{}.Decode(payload, key, book())
		if err != nil {
			t.Fatalf("transaction %d, %x: %v", i, payload, err)
		}
		geth := types.LatestSignerForChainID(chainID)
		if want := geth.Hash(tx); len(in.Messages) != 1 || !bytes.Equal(in.Messages[0].Bytes, want[:]) || in.Messages[0].Scheme != signer.SchemeSecp256k1 {
			t.Fatalf("transaction %d, %x: messages %v, want the hash %x", i, payload, in.Messages, want)
		}
		signed, err := types.SignTx(tx, geth, private(t))
		if err != nil {
			t.Fatal(err)
		}
		want, err := signed.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		for form, p := range map[string][]byte{"bytes": payload, "hexadecimal": toHex(payload), "JSON": toJSON(t, object(tx, chainID))} {
			same, err := evm.Transaction{}.Decode(p, key, book())
			if err != nil || !reflect.DeepEqual(same, in) {
				t.Fatalf("transaction %d as %s: %+v, %v; want %+v", i, form, same, err, in)
			}
			got, err := evm.Transaction{}.Assemble(p, key, [][]byte{sign(t, in.Messages[0])})
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("transaction %d assembled from %s: %x, %v; want %x", i, form, got, err, want)
			}
		}
		if fee := mostFee(tx); in.Fee.N.Cmp(fee) != 0 {
			t.Fatalf("transaction %d: fee %s, want %s", i, in.Fee.N, fee)
		}
		checkAuthorities(t, tx, in)
		again, err := evm.Transaction{}.Decode(want, key, book())
		if err != nil || !reflect.DeepEqual(again.Messages, in.Messages) || !reflect.DeepEqual(again.Effects, in.Effects) || again.Digests[1].Value != signed.Hash() {
			t.Fatalf("transaction %d, signed: %+v, %v; want the meaning of the unsigned one and the hash %s", i, again, err, signed.Hash())
		}
		if got := field(in, "nonce"); got != strconv.FormatUint(tx.Nonce(), 10) {
			t.Fatalf("transaction %d: nonce %s, want %d", i, got, tx.Nonce())
		}
	}
}

// mostFee is what a node would have the sender own (go-ethereum, Transaction.Cost).
func mostFee(tx *types.Transaction) *big.Int {
	return new(big.Int).Sub(tx.Cost(), tx.Value())
}

// checkAuthorities compares who is handed over with whom go-ethereum recovers.
func checkAuthorities(t *testing.T, tx *types.Transaction, in signer.Intent) {
	t.Helper()
	for i, a := range tx.SetCodeAuthorizations() {
		authority, err := a.Authority()
		if err != nil {
			t.Fatal(err)
		}
		e := in.Effects[i]
		if !strings.HasSuffix(e.Actor, ":"+authority.Hex()) || !strings.HasSuffix(e.Counterparty, ":"+a.Address.Hex()) || e.Class != signer.ClassDelegation {
			t.Fatalf("authorization %d: %+v; want %s handed over to %s", i, e, authority.Hex(), a.Address.Hex())
		}
	}
}

// TestAssembledSenderIsTheKey recovers the sender as a node does.
func TestAssembledSenderIsTheKey(t *testing.T) {
	key, payload := keyFor(t, "eip155:1"), raw(t, pay(nil))
	in, err := evm.Transaction{}.Decode(payload, key, book())
	if err != nil {
		t.Fatal(err)
	}
	out, err := evm.Transaction{}.Assemble(payload, key, [][]byte{sign(t, in.Messages[0])})
	if err != nil {
		t.Fatal(err)
	}
	var tx types.Transaction
	if err := tx.UnmarshalBinary(out); err != nil {
		t.Fatal(err)
	}
	from, err := types.Sender(types.LatestSignerForChainID(big.NewInt(1)), &tx)
	if err != nil || from.Hex() != sender {
		t.Errorf("sender = %s, %v; want %s", from, err, sender)
	}
}

func TestAssembleRefuses(t *testing.T) {
	key, good := keyFor(t, "eip155:1"), make([]byte, 65)
	highV := append(make([]byte, 64), 2)
	chainZero := raw(t, pay(func(tx *types.DynamicFeeTx) { tx.ChainID = new(big.Int) }))
	for name, test := range map[string]struct {
		payload    []byte
		signatures [][]byte
	}{
		"no signature":              {raw(t, pay(nil)), nil},
		"two signatures":            {raw(t, pay(nil)), [][]byte{good, good}},
		"signature without v":       {raw(t, pay(nil)), [][]byte{good[:64]}},
		"v above 1":                 {raw(t, pay(nil)), [][]byte{highV}},
		"payload that is no intent": {[]byte{0xc0}, [][]byte{good}},
		"chain id 0":                {chainZero, [][]byte{good}},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := (evm.Transaction{}).Assemble(test.payload, key, test.signatures); err == nil || out != nil {
				t.Errorf("Assemble = %x, %v; want an error", out, err)
			}
			if test.signatures == nil || len(test.signatures[0]) != 65 {
				if out, err := (evm.Message{}).Assemble([]byte("hello"), key, test.signatures); err == nil || out != nil {
					t.Errorf("Assemble of a message = %x, %v; want an error", out, err)
				}
			}
		})
	}
}
