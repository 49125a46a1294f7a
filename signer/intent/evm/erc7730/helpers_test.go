package erc7730_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing/fstest"

	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

func sha256Of(b []byte) [32]byte { return sha256.Sum256(b) }

func edit(old, new string) func(fstest.MapFS) {
	return func(d fstest.MapFS) {
		m := d[erc7730.ManifestName]
		m.Data = bytes.Replace(m.Data, []byte(old), []byte(new), 1)
	}
}

func cutEnd(n int) func(fstest.MapFS) {
	return func(d fstest.MapFS) {
		m := d[erc7730.ManifestName]
		m.Data = m.Data[:len(m.Data)-n]
	}
}

func upper(d fstest.MapFS) {
	m := d[erc7730.ManifestName]
	head, rest, _ := bytes.Cut(m.Data, []byte("\n"))
	m.Data = append(append(head, '\n'), bytes.ToUpper(rest)...)
}

func many(d fstest.MapFS, n int, end string, data []byte) {
	for i := range n {
		d[fmt.Sprintf("%d%s", i, end)] = &fstest.MapFile{Data: data}
	}
}
