package tpm

import (
	"context"
	"encoding/json"
	"fmt"
)

// Call runs what only a TPM can do:
//
//	reseal.plan, reseal                             other PCR values for a key (reseal.go)
//	activate-credential                             a proof that AK and EK are in one TPM (attest.go)
//	counter.define, counter.read, counter.increment monotonic counters (counter.go)
//	target, import, duplicate                       wrapped keys of other hosts (transfer.go)
func (d *driver) Call(ctx context.Context, operation string, arguments []byte) ([]byte, error) {
	switch operation {
	case "reseal.plan":
		return call(ctx, operation, arguments, d.planReseal)
	case "reseal":
		return call(ctx, operation, arguments, d.reseal)
	case "activate-credential":
		return call(ctx, operation, arguments, d.activate)
	case "target":
		return call(ctx, operation, arguments, d.target)
	case "import":
		return call(ctx, operation, arguments, d.importKey)
	case "duplicate":
		return call(ctx, operation, arguments, d.duplicate)
	case "counter.define":
		return call(ctx, operation, arguments, d.defineCounter)
	case "counter.read":
		return call(ctx, operation, arguments, d.readCounter)
	case "counter.increment":
		return call(ctx, operation, arguments, d.incrementCounter)
	}
	return nil, fmt.Errorf("a TPM has no operation %q", operation)
}

func call[A, R any](ctx context.Context, operation string, arguments []byte, run func(context.Context, A) (R, error)) ([]byte, error) {
	var a A
	if err := decode(arguments, &a); err != nil {
		return nil, fmt.Errorf("%s: arguments: %w", operation, err)
	}
	r, err := run(ctx, a)
	if err != nil {
		return nil, err
	}
	return json.Marshal(r)
}
