package sim

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed fidomodule/fido.c
var fidoSource []byte

// FIDOPIN is the PIN of the token that [FIDO] makes.
const FIDOPIN = "123456"

// FIDO builds a FIDO token for OpenSSH in a folder, and returns the path of its library:
// what `ssh-keygen -w` and SSH_SK_PROVIDER name. It asks nobody to touch it.
func FIDO(dir string) (library string, err error) {
	source, library := filepath.Join(dir, "fido.c"), filepath.Join(dir, "fido.so")
	if err := os.WriteFile(source, fidoSource, 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-lcrypto").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s (are gcc and libssl-dev installed? run `make deps`): %w: %s", library, err, strings.TrimSpace(string(out)))
	}
	return library, nil
}
