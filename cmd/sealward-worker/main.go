// Command sealward-worker drives one device for sealwardd, which starts it.
package main

import (
	"fmt"
	"os"

	"github.com/sealward/sealward/backends/worker"
	"github.com/sealward/sealward/cmd/version"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("sealward-worker", version.Full())
		return
	}
	os.Exit(worker.Main(os.Args[1:]))
}
