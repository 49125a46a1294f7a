// Package worker is the program that drives one device: the switch between the
// families of devices, and nothing else. It runs as a child of sealwardd, which
// gives it a connection, or as a service of its own. No policy and no journal are
// linked into it, and no vendor's library into sealwardd.
package worker

import (
	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/piv"
	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/tpm"
)

// Main runs the worker and returns the status to exit with, at once. args are the
// program's arguments without its name.
func Main(args []string) int {
	return backends.Main(args, map[string]backends.NewDriver{
		"pkcs11": pkcs11.NewDriver,
		"tpm":    tpm.NewDriver,
		"piv":    piv.NewDriver,
	})
}
