// Package version says which build of Sealward this is.
package version

import (
	"fmt"
	"runtime"
)

// Number is the version of the source. CHANGELOG.md has what each one brought.
const Number = "0.1.0-dev"

// commit is set by the linker (Makefile).
var commit = "unknown"

// Full is the version with what it was built from and with.
func Full() string {
	return fmt.Sprintf("%s (commit %s, %s, %s/%s)", Number, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
