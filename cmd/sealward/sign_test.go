package main

import (
	"strings"
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

func TestStandardOutputIsWhatAProgramSendsOn(t *testing.T) {
	for name, c := range map[string]struct {
		kind signer.Kind
		res  *v1.SignResponse
		want string
	}{
		"the raw transaction":           {signer.KindEVMTransaction, &v1.SignResponse{Signatures: [][]byte{{1}}, Artifact: []byte{2, 0xf8}}, "0x02f8\n"},
		"r, s and v of typed data":      {signer.KindEVMTypedData, &v1.SignResponse{Signatures: [][]byte{{1}}, Artifact: []byte{0xab, 27}}, "0xab1b\n"},
		"an authorization in JSON":      {signer.KindEVMAuthorization, &v1.SignResponse{Signatures: [][]byte{{1}}, Artifact: []byte(`{"nonce":"0x0"}`)}, "{\"nonce\":\"0x0\"}\n"},
		"the signatures, without other": {signer.KindDigest, &v1.SignResponse{Signatures: [][]byte{{1}, {2}}}, "0x01\n0x02\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := result(&b, string(c.kind), c.res); err != nil || b.String() != c.want {
				t.Errorf("result = %q, %v; want %q", b.String(), err, c.want)
			}
		})
	}
}
