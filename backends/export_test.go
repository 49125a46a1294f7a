package backends

import (
	"context"

	"github.com/sealward/sealward/signer"
)

// SignForTest signs what was not authorised. That only tests can.
func SignForTest(ctx context.Context, k *Key, m signer.Message) ([]byte, error) {
	return k.sign(ctx, m, true, nil)
}

// SignTouching is SignForTest with somebody who hears notices.
func SignTouching(ctx context.Context, k *Key, m signer.Message, notify func(signer.Notice)) ([]byte, error) {
	return k.sign(ctx, m, true, notify)
}
