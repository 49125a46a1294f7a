package backends

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealward/sealward/signer"
)

// Driver drives one device, inside a worker process and nowhere else: what reaches
// it has come down the worker's connection from [Token], which alone turns an
// authorised message into a call. Methods are called by several goroutines at once,
// as many as the worker was told to run; a driver whose device does one thing at a
// time orders them itself.
//
// A call into C or into a device cannot be cancelled, so a driver need not try: the
// owner of the worker kills it at the deadline. Where a context can be honoured
// before a device is touched, it is.
//
// Errors are for the operator. Three kinds mean something: one that wraps [ErrGone]
// says that the device is out of reach, and ends the worker, which is started again;
// a [*PINError] says that a PIN was refused; a [*signer.Error] goes to the caller as
// it is. Any other fails the one operation.
type Driver interface {
	// Open finds the device, without a PIN, and says how it is. It is called once,
	// before anything else. It must refuse a device that is not exactly the one
	// configured.
	Open(ctx context.Context) (State, error)
	// State says how the device is now.
	State(ctx context.Context) (State, error)
	// Login gives the driver the PIN (for a TPM: the keys' auth value). The driver
	// keeps it for as long as it needs it, and sends it only within [Host.TryPIN].
	// Login sends it once, where the device can check it without a key.
	Login(ctx context.Context, pin []byte) error
	// Find returns the one key that a locator names.
	Find(ctx context.Context, locator string) (DeviceKey, error)
	// Close leaves the device as it was found: sessions closed, loaded keys flushed.
	Close() error
}

// DeviceKey is a key as its driver sees it.
type DeviceKey interface {
	Facts() KeyFacts
	// Sign signs a message that [CheckMessage] has accepted for the key's algorithm
	// and returns the form that [signer.Key] describes. notify tells the caller that
	// somebody has to touch the device, and with [signer.NoticeNone] that it is over.
	Sign(ctx context.Context, m signer.Message, notify func(signer.Notice)) ([]byte, error)
}

// Generator is a driver that makes keys.
type Generator interface {
	// Generate makes a key that cannot leave the device.
	Generate(ctx context.Context, spec KeySpec) (NewKey, error)
}

// Attester is a driver whose device can prove where a key is.
type Attester interface {
	// Attest returns evidence about a key. The challenge, up to 32 bytes, is part of
	// what is signed, where the device can do that.
	Attest(ctx context.Context, locator string, challenge []byte) (Evidence, error)
}

// Caller is a driver with operations that no other kind of device has, such as a
// TPM's counters. Arguments and results are JSON.
type Caller interface {
	Call(ctx context.Context, operation string, arguments []byte) (result []byte, err error)
}

// Host is what a driver may ask of the process that owns its worker.
type Host interface {
	// TryPIN calls send, which sends the PIN to the device once, and makes durable
	// that a try is under way before, and what came of it after. left is how many
	// tries the device says are left, or -1. It does not call send, and returns an
	// error, where an earlier try of the same credential was refused, or was cut
	// short and may have been, and where the last try is left and nobody typed the
	// PIN.
	TryPIN(ctx context.Context, left int, send func() error) error
}

// State is how a device is.
type State struct {
	Device string `json:"device"` // what it is and its serial number, for people
	// NeedsPIN is set as long as the keys cannot be used without [Driver.Login].
	NeedsPIN bool `json:"needs_pin,omitempty"`
	// TriesLeft is how many wrong PINs it still takes, 0 when it is blocked, and -1
	// when it does not tell.
	TriesLeft int `json:"tries_left"`
	// Facts are further facts for the operator, such as a TPM's lockout counter, and
	// Notes what is wrong and what to do about it.
	Facts []signer.Field `json:"facts,omitempty"`
	Notes []string       `json:"notes,omitempty"`
}

// KeyFacts is what a device tells of a key.
type KeyFacts struct {
	Public     signer.PublicKey  `json:"public"`
	Protection signer.Protection `json:"protection"`
	Origin     signer.Origin     `json:"origin"`
	// Touch is set when somebody has to touch the device for a signature.
	Touch bool `json:"touch,omitempty"`
	// Facts are further facts for people, such as a PIN policy.
	Facts []signer.Field `json:"facts,omitempty"`
}

// KeySpec describes a key to make.
type KeySpec struct {
	Name      string           `json:"name"` // label, where the device keeps one
	Algorithm signer.Algorithm `json:"algorithm"`
	Bits      int              `json:"bits,omitempty"`    // of an RSA key
	Wrapped   bool             `json:"wrapped,omitempty"` // sealed to the device, for curves that it lacks
	// Options are those of one kind of device, such as a slot, and a touch policy;
	// the driver refuses those that it does not know.
	Options map[string]string `json:"options,omitempty"`
}

// NewKey is a key that was made.
type NewKey struct {
	// Locator finds the key. Where that is the contents of a file, File is set, and
	// the owner of the worker keeps it.
	Locator string   `json:"locator"`
	File    bool     `json:"file,omitempty"`
	Facts   KeyFacts `json:"facts"`
}

// Evidence is a device's proof about a key, to be checked offline.
type Evidence struct {
	// Format names the form of the parts: "piv-attestation", "tpm2-certify" or
	// "pkcs11-attributes". docs/formats.md has them.
	Format string            `json:"format"`
	Parts  map[string][]byte `json:"parts"`
	// Proven are the facts that the evidence proves once it is verified, and
	// Claimed those for which there is only the device's word.
	Proven  []signer.Field `json:"proven,omitempty"`
	Claimed []signer.Field `json:"claimed,omitempty"`
}

// ErrGone says that a device is out of reach: pulled, restarted, disconnected.
var ErrGone = errors.New("the device is out of reach")

// Gone wraps [ErrGone] and a cause.
func Gone(cause error) error { return fmt.Errorf("%w: %w", ErrGone, cause) }

// PINError says that a device refused a PIN, or takes none any more.
type PINError struct {
	Left    int  // tries left; -1 when the device does not tell
	Blocked bool // it takes no PIN any more
	Sent    bool // the PIN reached the device, and a try is used up
	Text    string
}

func (e *PINError) Error() string { return e.Text }
