package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealward/sealward/ipc/api"
)

var update = flag.Bool("update", false, "write what commands print into the scripts")

// TestScripts runs the daemon and the command line as people do, on a set-up of
// their own in $WORK. "ready" waits until the daemon answers. The scripts are worth
// reading as a manual by example.
func TestScripts(t *testing.T) {
	tok, err := makeToken()
	must(t, err)
	bin, err := buildPrograms()
	must(t, err)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("ADDRESS", tok.address)
			env.Setenv("ME", fmt.Sprintf("uid:%d", os.Getuid()))
			return layOut(env.WorkDir, tok)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready},
	})
}

func ready(ts *testscript.TestScript, _ bool, _ []string) {
	client := api.Dial(ts.MkAbs("sign.sock"))
	defer client.Close()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err = client.Status(context.Background()); err == nil {
			return
		}
	}
	ts.Fatalf("the daemon does not answer: %v", err)
}
