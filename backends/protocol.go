package backends

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/sealward/sealward/signer"
)

// protocolVersion changes with everything below. Both ends come from one build; a
// worker that is a service of its own may have been left behind by an upgrade.
const protocolVersion = 1

// A frame is the length of its body (4 bytes, big endian), the id of the operation
// it belongs to (4 bytes), its kind (1 byte) and the body. Signatures have bodies
// of fixed layout, because they are what the daemon is for; the rest is JSON.
const (
	frameHeader = 9
	maxBody     = 1 << 20
)

type frameKind uint8

// The kinds that ask for an operation, or answer a worker.
const (
	kindOpen      frameKind = 1 + iota // hello; done: welcome
	kindLogin                          // the PIN from the credential
	kindUnlockKey                      // done: the public key that a typed PIN is sealed to
	kindUnlock                         // the PIN that was typed, sealed
	kindFind                           // the locator; done: handle, then KeyFacts
	kindSign                           // handle, length of the scheme (1 byte), scheme, message; done: signature
	kindState                          // done: State
	kindGenerate                       // KeySpec; done: NewKey
	kindAttest                         // attestation; done: Evidence
	kindCall                           // invocation; done: its result
	kindClose                          // done: the driver is closed
	kindMayTry                         // answers trying: empty to go ahead, or why not
	kindNoted                          // answers tried
)

// The kinds that a worker sends.
const (
	kindDone   frameKind = 64 + iota // the result
	kindFailed                       // wireError
	kindNotice                       // a signer.Notice
	kindTrying                       // a PIN is about to be sent: tries left (4 bytes, two's complement); id 0
	kindTried                        // wireTry; id 0
)

func (k frameKind) known() bool {
	return k >= kindOpen && k <= kindNoted || k >= kindDone && k <= kindTried
}

// hello is the first thing that a worker hears.
type hello struct {
	Version  int             `json:"version"`
	Token    string          `json:"token"`
	Driver   string          `json:"driver"`
	Settings json.RawMessage `json:"settings"`
	AtOnce   int             `json:"at_once"`
}

// welcome is its answer, once the driver has opened the device.
type welcome struct {
	Version int   `json:"version"`
	State   State `json:"state"`
}

// attestation asks for evidence.
type attestation struct {
	Locator   string `json:"locator"`
	Challenge []byte `json:"challenge,omitempty"`
}

// invocation is a call of what only one kind of device has.
type invocation struct {
	Operation string          `json:"operation"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// wireTry is what became of a try of a PIN.
type wireTry struct {
	Verdict verdict `json:"verdict"`
	Left    int     `json:"left"`
	// Salt and Digest recognise a credential that was refused; see [refusedPIN].
	Salt   []byte `json:"salt,omitempty"`
	Digest []byte `json:"digest,omitempty"`
}

// verdict is what a device said to a PIN.
type verdict string

const (
	verdictAccepted verdict = "accepted"
	verdictRefused  verdict = "refused"
	verdictUnsent   verdict = "unsent" // it never reached the device
	verdictNone     verdict = "none"   // another failure: the device may have counted it or not
)

type frame struct {
	id   uint32
	kind frameKind
	body []byte
}

// readFrame reads one frame. Its body is a copy.
func readFrame(r *bufio.Reader) (frame, error) {
	head, err := r.Peek(frameHeader)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	length := binary.BigEndian.Uint32(head)
	f := frame{id: binary.BigEndian.Uint32(head[4:]), kind: frameKind(head[8])}
	switch {
	case length > maxBody:
		return frame{}, fmt.Errorf("a frame of %d bytes; the most is %d", length, maxBody)
	case !f.kind.known():
		return frame{}, fmt.Errorf("a frame of unknown kind %d", f.kind)
	}
	if _, err := r.Discard(frameHeader); err != nil {
		return frame{}, err
	}
	if length == 0 {
		return f, nil
	}
	f.body = make([]byte, length)
	if _, err := io.ReadFull(r, f.body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	return f, nil
}

var errTooLarge = errors.New("the message is too long")

// appendFrame appends a frame whose body is given in parts.
func appendFrame(b []byte, kind frameKind, id uint32, parts ...[]byte) ([]byte, error) {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	if length > maxBody {
		return nil, fmt.Errorf("%w: %d bytes, where a worker takes %d", errTooLarge, length, maxBody)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	b = binary.BigEndian.AppendUint32(b, id)
	b = append(b, byte(kind))
	for _, p := range parts {
		b = append(b, p...)
	}
	return b, nil
}

// frameWriter writes each frame with one call.
type frameWriter struct {
	conn net.Conn
	mu   sync.Mutex
	buf  []byte // owned by mu
}

// send writes a frame. It wipes what it copied of it: that may be a PIN.
func (w *frameWriter) send(kind frameKind, id uint32, parts ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, err := appendFrame(w.buf[:0], kind, id, parts...)
	if err != nil {
		return err
	}
	_, err = w.conn.Write(b)
	clear(b)
	if cap(b) <= 1<<16 {
		w.buf = b
	}
	return err
}

// signBody reads the body of a kindSign.
func signBody(b []byte) (handle uint32, m signer.Message, err error) {
	if len(b) < 5 || len(b) < 5+int(b[4]) {
		return 0, signer.Message{}, errors.New("a request to sign is cut off")
	}
	scheme, message := b[5:5+int(b[4])], b[5+int(b[4]):]
	return binary.BigEndian.Uint32(b), signer.Message{Scheme: signer.Scheme(scheme), Bytes: message}, nil
}

// fromJSON reads one value and nothing else.
func fromJSON(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("trailing data")
	}
	return nil
}

// wireError is an error on its way from a driver to the daemon.
type wireError struct {
	Class  errorClass  `json:"class"`
	Text   string      `json:"text"`
	Code   signer.Code `json:"code,omitempty"`   // of a *signer.Error
	Detail string      `json:"detail,omitempty"` // of a *signer.Error
	PIN    *PINError   `json:"pin,omitempty"`
}

type errorClass string

const (
	classGone   errorClass = "gone"
	classPIN    errorClass = "pin"
	classSigner errorClass = "signer"
	classOther  errorClass = "other"
)

// toWire keeps of an error what means something to the daemon.
func toWire(err error) wireError {
	w := wireError{Class: classOther, Text: err.Error()}
	if errors.Is(err, ErrGone) {
		w.Class = classGone
	} else if e, ok := errors.AsType[*PINError](err); ok {
		pin := *e
		pin.Left = max(pin.Left, -1)
		w.Class, w.PIN = classPIN, &pin
	} else if e, ok := errors.AsType[*signer.Error](err); ok {
		w.Class, w.Code, w.Detail = classSigner, e.Code, e.Detail
		if w.Text = ""; e.Err != nil {
			w.Text = e.Err.Error()
		}
	}
	return w
}

// fromWire is the error that a worker tells of. Its texts end up in logs and in
// terminals, and a worker may be hostile.
func fromWire(body []byte) (error, error) {
	var w wireError
	if err := fromJSON(body, &w); err != nil {
		return nil, fmt.Errorf("an error that cannot be read: %w", err)
	}
	text := errors.New(plain(w.Text, 1000))
	switch {
	case w.Class == classGone:
		return &goneError{text}, nil
	case w.Class == classPIN && w.PIN != nil && w.PIN.Left >= -1:
		pin := *w.PIN
		pin.Text = plain(pin.Text, 1000)
		return &pin, nil
	case w.Class == classSigner:
		// What a device cannot know, such as what policy says, no worker may say.
		switch w.Code {
		case signer.CodeInvalid, signer.CodeNotFound, signer.CodeUnavailable:
		default:
			w.Code = signer.CodeInternal
		}
		return &signer.Error{Code: w.Code, Detail: plain(w.Detail, 1000), Err: text}, nil
	case w.Class == classOther:
		return text, nil
	}
	return nil, fmt.Errorf("an error of unknown class %q", plain(string(w.Class), 20))
}

// goneError is an [ErrGone] that came from a worker, whose text says so already.
type goneError struct{ text error }

func (e *goneError) Error() string        { return e.text.Error() }
func (e *goneError) Is(target error) bool { return target == ErrGone }

// clean makes the texts of a state fit for a terminal.
func clean(s *State) {
	const most = 50
	s.Device = plain(s.Device, 300)
	s.Facts = slices.Clone(s.Facts[:min(len(s.Facts), most)])
	for i, f := range s.Facts {
		s.Facts[i] = signer.Field{Name: plain(f.Name, 100), Value: plain(f.Value, 1000)}
	}
	s.Notes = slices.Clone(s.Notes[:min(len(s.Notes), most)])
	for i, n := range s.Notes {
		s.Notes[i] = plain(n, 1000)
	}
}

// plain makes foreign text fit for a log: no control characters, nor others that
// change how what follows is shown, and not too long.
func plain(s string, most int) string {
	var b bytes.Buffer
	for _, r := range s {
		if b.Len() >= most {
			b.WriteString(" [...]")
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}
