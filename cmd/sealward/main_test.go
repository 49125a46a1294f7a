package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealward/sealward/backends/worker"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sealward":        main,
		"sealward-worker": func() { os.Exit(worker.Main(os.Args[1:])) },
	})
}

var update = flag.Bool("update", false, "write what commands print into the scripts")

// generator is the generator of secp256k1, the public key of the private key 1.
const generator = "0x0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798" +
	"483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"

// TestScripts runs the commands as a person would. The scripts are worth reading
// as a manual by example. At $SOCKETS something answers as a daemon would.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("KEY", generator)
			env.Setenv("ME", "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23")
			dir, err := os.MkdirTemp("", "sw") // a socket's path has 107 bytes at most
			if err != nil {
				return err
			}
			env.Defer(func() { _ = os.RemoveAll(dir) })
			env.Setenv("SOCKETS", dir)
			for _, name := range []string{"sign", "admin"} {
				stop, err := operated().listen(filepath.Join(dir, name+".sock"), name == "admin")
				if err != nil {
					return err
				}
				env.Defer(stop)
			}
			return nil
		},
	})
}
