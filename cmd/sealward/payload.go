package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
	"github.com/sealward/sealward/signer/intent/digest"
	"github.com/sealward/sealward/signer/intent/evm"
)

// decoder also reads a payload without knowing the key.
type decoder interface {
	signer.Decoder
	// The account from may be empty: it is not known then.
	Preview(payload []byte, from string, book signer.Book) (signer.Intent, error)
}

// decoders are the same that the daemon has.
func decoders() map[signer.Kind]decoder {
	return map[signer.Kind]decoder{
		signer.KindEVMTransaction:   evm.Transaction{},
		signer.KindEVMTypedData:     evm.TypedData{},
		signer.KindEVMAuthorization: evm.Authorization{},
		signer.KindEVMMessage:       evm.Message{},
		signer.KindDigest:           digest.Decoder{},
		signer.KindAdmin:            admin.Decoder{},
	}
}

// engineDecoders are those, as an engine takes them.
func engineDecoders() map[signer.Kind]signer.Decoder {
	out := map[signer.Kind]signer.Decoder{}
	for kind, d := range decoders() {
		out[kind] = d
	}
	return out
}

func kinds() []string {
	return []string{
		string(signer.KindEVMTransaction), string(signer.KindEVMTypedData), string(signer.KindEVMAuthorization), string(signer.KindEVMMessage),
		string(signer.KindDigest), string(signer.KindAdmin),
	}
}

func kindFlag(cmd *cobra.Command, kind *string) {
	cmd.Flags().StringVar(kind, "kind", "", "what the payload is: "+strings.Join(kinds(), ", "))
	fixed(cmd, "kind", kinds()...)
}

// payload reads a file, or standard input for "-".
func (c *cli) payload(kind, file string) ([]byte, error) {
	b, err := c.read(file)
	if err != nil {
		return nil, fmt.Errorf("read payload: %w", err)
	}
	return payloadIn(signer.Kind(kind), b)
}

// payloadIn is the payload that is in a file. A message is its bytes, all of them: a line
// feed at its end is part of what is signed. Of other text, white space around it is
// dropped.
func payloadIn(kind signer.Kind, b []byte) ([]byte, error) {
	switch kind {
	case signer.KindEVMMessage:
		return b, nil
	case signer.KindEVMTypedData: // JSON, with text of any language in it
		return bytes.TrimSpace(b), byteOrderMark(b)
	case signer.KindEVMTransaction, signer.KindEVMAuthorization:
		if err := byteOrderMark(b); err != nil {
			return nil, err
		}
	}
	if bytes.ContainsFunc(b, notText) {
		return b, nil
	}
	b = bytes.TrimSpace(b)
	if _, err := hex.DecodeString(string(b)); err == nil && len(b) > 32 {
		return nil, signer.Invalid("the payload is hexadecimal text without 0x in front; put it there")
	}
	evm := kind == signer.KindEVMTransaction || kind == signer.KindEVMAuthorization
	if evm && len(b) > 0 && b[0] != '{' && !bytes.HasPrefix(b, []byte("0x")) {
		return nil, signer.Invalid("the payload is text, and neither one JSON object nor 0x and hexadecimal digits; is it of another kind, or inside of a request?")
	}
	return b, nil
}

// byteOrderMark refuses what some editors write in front of text.
func byteOrderMark(b []byte) error {
	if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		return signer.Invalid("the payload begins with a byte order mark, which is no part of it; save the file as UTF-8 without one")
	}
	return nil
}

func (c *cli) read(file string) ([]byte, error) {
	const most = signer.MaxPayload + 64 // white space around it
	in := c.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, signer.Invalid("the payload has more than %d bytes", signer.MaxPayload)
	}
	return b, nil
}

// notText is for the kinds whose text is ASCII.
func notText(r rune) bool {
	return r > '~' || r < ' ' && r != '\n' && r != '\r' && r != '\t'
}
