package tpm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// object is something that is in the TPM when it is needed.
type object struct {
	what string // for messages
	// bring loads or makes it. Nothing of kept may give way for it.
	bring func(kept []*object) (tpm2.TPMHandle, tpm2.TPM2BName, error)
	// name is what it must have, nil before it was first there.
	name []byte
	// permanent is set for what takes no slot and is never flushed.
	permanent bool

	handle  tpm2.TPMHandle    // 0 when it is not loaded
	context *tpm2.TPMSContext // brings it back faster, until the TPM restarts
}

func (o *object) named() tpm2.NamedHandle {
	return tpm2.NamedHandle{Handle: o.handle, Name: tpm2.TPM2BName{Buffer: o.name}}
}

func (o *object) authorized(s tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: o.handle, Name: tpm2.TPM2BName{Buffer: o.name}, Auth: s}
}

// load makes sure that an object is in the TPM and that the kept ones stay there.
func (d *driver) load(o *object, kept ...*object) error {
	if o.handle == 0 {
		if err := d.room(func() error { return d.place(o, kept) }, kept...); err != nil {
			return fmt.Errorf("load %s: %w", o.what, err)
		}
		if !o.permanent {
			d.loaded = append(d.loaded, o)
		}
		return nil
	}
	if i := slices.Index(d.loaded, o); i >= 0 && i != len(d.loaded)-1 {
		d.loaded = append(slices.Delete(d.loaded, i, i+1), o) // used last
	}
	return nil
}

func (d *driver) place(o *object, kept []*object) error {
	if o.context != nil {
		rsp, err := tpm2.ContextLoad{Context: *o.context}.Execute(d.link)
		if err == nil {
			o.handle = rsp.LoadedHandle
			return nil
		}
		if full(err) || errors.Is(err, backends.ErrGone) {
			return err
		}
		o.context = nil // the TPM has restarted since
	}
	handle, name, err := o.bring(kept)
	if err != nil {
		return err
	}
	if o.name == nil {
		o.name = name.Buffer
	}
	if !bytes.Equal(o.name, name.Buffer) {
		if !o.permanent {
			d.flush(handle)
		}
		return backends.Gone(fmt.Errorf("%s is another one than before: the TPM was cleared or exchanged", o.what))
	}
	o.handle = handle
	if !o.permanent {
		// A TPM that cannot save a context is only slower.
		if saved, err := (tpm2.ContextSave{SaveHandle: handle}).Execute(d.link); err == nil {
			o.context = &saved.Context
		}
	}
	return nil
}

// room runs something that takes a slot. While the TPM is full, what was not used for
// longest and need not be kept gives way, sessions last.
func (d *driver) room(run func() error, kept ...*object) error {
	for {
		err := run()
		if !full(err) {
			return err
		}
		if errors.Is(err, tpm2.TPMRCSessionMemory) || errors.Is(err, tpm2.TPMRCSessionHandles) {
			if len(d.sessions) == 0 {
				return taken("session slots", "-l", err)
			}
			d.endSessions()
			continue
		}
		i := slices.IndexFunc(d.loaded, func(o *object) bool { return !slices.Contains(kept, o) })
		if i < 0 {
			return taken("key slots", "-t", err)
		}
		d.unload(d.loaded[i])
	}
}

// taken is a full TPM in which nothing is ours to flush. The cause is kept as text: to
// whoever loads one thing for another, this is not something to make room for again.
func taken(what, flag string, cause error) error {
	return &signer.Error{Code: signer.CodeUnavailable, Detail: "the " + what + " of the TPM are all taken by other programs",
		Err: fmt.Errorf("end them, or flush what they left with tpm2_flushcontext %s, or configure /dev/tpmrm0: %v", flag, cause)}
}

func (d *driver) unload(o *object) {
	d.flush(o.handle)
	o.handle = 0
	d.loaded = slices.DeleteFunc(d.loaded, func(p *object) bool { return p == o })
}

// flush frees a slot. That it fails where the slot is free already does not matter,
// and any other failure shows at the next command.
func (d *driver) flush(h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(d.link)
}

// forget drops every handle and session after one turned out to be stale. A handle
// may be somebody else's by now, so only what still has our name is flushed.
func (d *driver) forget() {
	for _, o := range slices.Clone(d.loaded) {
		rsp, err := tpm2.ReadPublic{ObjectHandle: o.handle}.Execute(d.link)
		if err == nil && bytes.Equal(rsp.Name.Buffer, o.name) {
			d.flush(o.handle)
		}
		o.handle = 0
	}
	d.loaded = nil
	if d.storage != nil {
		d.storage.handle = 0
	}
	d.endSessions()
}

// leftovers flushes what is loaded, where there is no resource manager and so no
// other program that may rely on it: it was left by a predecessor that crashed.
func (d *driver) leftovers() error {
	if d.link.managed {
		return nil
	}
	// TPM 2.0 Library part 2, 7.2: the first handle of each type.
	for _, first := range []uint32{0x80000000, 0x02000000, 0x03000000} {
		rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(d.link)
		if err != nil {
			return fmt.Errorf("list what is loaded: %w", err)
		}
		list, err := rsp.CapabilityData.Data.Handles()
		if err != nil {
			return fmt.Errorf("list what is loaded: %w", err)
		}
		for _, h := range list.Handle {
			if uint32(h)>>24 == first>>24 {
				d.flush(h)
			}
		}
	}
	return nil
}
