package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/signer"
)

// treasuryConfig goes on where [configText] ends.
const treasuryConfig = `
key "treasury" {
  token  = "softhsm"
  uri    = "pkcs11:object=treasury"
  kinds  = ["evm.transaction"]
  chains = ["eip155:1"]
}
`

// treasuryPolicy goes on where [policyText] ends.
const treasuryPolicy = `
# The people who approve. Each has a token, in the folder of that name.
approver "alice" {
  certificate = "alice/certificate.pem"
}

approver "bob" {
  certificate = "bob/certificate.pem"
}

group "treasury" {
  members = ["alice", "bob"]
}

# Large payments have a key of their own, and wait for two people.
rule "large payouts" {
  keys  = ["treasury"]
  kinds = ["evm.transaction"]
  when  = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"

  require {
    group     = "treasury"
    approvals = 2
  }
  limit "each" {
    amount = "100 eth"
  }
}

# Nobody changes these rules alone, nor ends a freeze.
rule "policy and thaw" {
  keys = ["sealward"]
  when = "effects.all(e, e.class in ['policy_change', 'thaw'])"

  require {
    group     = "treasury"
    approvals = 2
  }
}
`

// approverText is an approver's own configuration: of name, instance, the fingerprint of the
// key "treasury", SoftHSM's configuration, its module and the token's URI.
const approverText = `# What %[1]s keeps on a machine of %[1]s's own: which daemon it is, which key, by which
# names recipients are known there, and what %[1]s approves with.
version  = 1
name     = %[1]q
instance = %[2]q
socket   = "../admin.sock"
book     = "names.hcl"

key "treasury" {
  fingerprint = %[3]q
}

device {
  environment = { SOFTHSM2_CONF = %[4]q }
  writable    = ["token"]
  pkcs11 {
    module = %[5]q
    uri    = "%[6]s;object=approvals"
  }
}
`

// namesText is an approver's own book.
const namesText = `version = 1

asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}

addresses "vendors" {
  entries = {
    "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting"
  }
}
`

// enrol gives people a folder each, with a token of their own and a certificate for its
// key. A real one is from whoever vouches for the people there; a policy takes the key out
// of it, and believes nothing else.
func enrol(bin, dir string, names ...string) (tokens map[string]*sim.SoftHSMToken, err error) {
	worker, err := program(bin, "sealward-worker")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	staff, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tokens = map[string]*sim.SoftHSMToken{}
	for _, name := range names {
		token, err := sim.SoftHSM(filepath.Join(dir, name, "token"), name, pin)
		if err != nil {
			return nil, err
		}
		made, err := token.MakeKeys(ctx, worker, filepath.Join(dir, "pin-setup.json"), []sim.KeyToMake{{Label: "approvals", Algorithm: signer.AlgorithmP256}})
		if err != nil {
			return nil, err
		}
		text, err := certificate(staff, name, made["approvals"])
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name, "certificate.pem"), text, 0o600); err != nil {
			return nil, err
		}
		tokens[name] = token
	}
	return tokens, nil
}

// certificate is one for a key, in PEM.
func certificate(staff *ecdsa.PrivateKey, name string, key signer.PublicKey) ([]byte, error) {
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.Bytes)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	issuer := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "staff"}}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: now, NotAfter: now.AddDate(1, 0, 0),
	}, issuer, public, staff)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// introduce writes the people's own configurations, for a daemon that runs.
func introduce(dir string, tokens map[string]*sim.SoftHSMToken, treasury signer.PublicKey) error {
	client := api.Dial(filepath.Join(dir, "admin.sock"))
	defer client.Close()
	status, err := client.Status(context.Background())
	if err != nil {
		return err
	}
	for name, t := range tokens {
		text := fmt.Sprintf(approverText, name, status.GetInstance(), treasury.Fingerprint(), t.Conf, t.Module, t.URI)
		for file, text := range map[string]string{"approver.hcl": text, "names.hcl": namesText} {
			if err := os.WriteFile(filepath.Join(dir, name, file), []byte(text), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
