package tpm

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// fixed is what does not change while a TPM runs.
type fixed struct{ manufacturer, firmware, revision string }

// properties reads TPM properties from one on.
func (d *driver) properties(first tpm2.TPMPT) (map[tpm2.TPMPT]uint32, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(first), PropertyCount: 64}.Execute(d.link)
	if err != nil {
		return nil, fmt.Errorf("read the TPM's properties: %w", err)
	}
	list, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil {
		return nil, fmt.Errorf("read the TPM's properties: %w", err)
	}
	all := map[tpm2.TPMPT]uint32{}
	for _, p := range list.TPMProperty {
		all[p.Property] = p.Value
	}
	return all, nil
}

func (d *driver) readFixed() error {
	p, err := d.properties(tpm2.TPMPTFamilyIndicator)
	if err != nil {
		return err
	}
	// TPM 2.0 Library part 2, 6.13: four characters each, and the revision times 100.
	d.fixed.manufacturer = printable(p[tpm2.TPMPTManufacturer])
	v1, v2 := p[tpm2.TPMPTFirmwareVersion1], p[tpm2.TPMPTFirmwareVersion2]
	d.fixed.firmware = fmt.Sprintf("%d.%d.%d.%d", v1>>16, v1&0xffff, v2>>16, v2&0xffff)
	d.fixed.revision = fmt.Sprintf("%d.%02d", p[tpm2.TPMPTRevision]/100, p[tpm2.TPMPTRevision]%100)
	return nil
}

// printable reads a property that is four characters.
func printable(v uint32) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(binary.BigEndian.AppendUint32(nil, v))))
}

// TPMA_PERMANENT; TPM 2.0 Library part 2, 8.6.
const (
	ownerAuthSet   = 1 << 0
	lockoutAuthSet = 1 << 2
	inLockout      = 1 << 9
)

func (d *driver) State(ctx context.Context) (backends.State, error) {
	var s backends.State
	err := d.exclusively(ctx, func() error {
		p, err := d.properties(tpm2.TPMPTPermanent)
		if err != nil {
			return err
		}
		s = d.state(p)
		return nil
	})
	return s, err
}

// state describes the TPM from its properties that change.
func (d *driver) state(p map[tpm2.TPMPT]uint32) backends.State {
	permanent := p[tpm2.TPMPTPermanent]
	kept := "re-created, takes a slot"
	if d.storage.permanent {
		kept = fmt.Sprintf("kept at %#x", uint32(persistentStorage))
	}
	s := backends.State{
		Device:    fmt.Sprintf("TPM 2.0 by %s, serial %s", d.fixed.manufacturer, d.serial()),
		NeedsPIN:  d.auth == nil,
		TriesLeft: -1,
		Facts: []signer.Field{
			{Name: "manufacturer", Value: d.fixed.manufacturer},
			{Name: "firmware", Value: d.fixed.firmware},
			{Name: "specification", Value: "TPM 2.0 revision " + d.fixed.revision},
			{Name: "serial", Value: d.serial()},
			{Name: "storage root key", Value: kept},
			{Name: "lockout", Value: yes(permanent&inLockout != 0)},
			{Name: "lockout counter", Value: fmt.Sprintf("%d of %d", p[tpm2.TPMPTLockoutCounter], p[tpm2.TPMPTMaxAuthFail])},
			{Name: "lockout interval", Value: fmt.Sprintf("one try is forgotten every %d s", p[tpm2.TPMPTLockoutInterval])},
			{Name: "lockout recovery", Value: fmt.Sprintf("%d s after a wrong lockout password", p[tpm2.TPMPTLockoutRecovery])},
			{Name: "key slots", Value: fmt.Sprintf("%d in use here, at least %d free", len(d.loaded), p[tpm2.TPMPTHRTransientAvail])},
			{Name: "resource manager", Value: yes(d.link.managed)},
		},
	}
	if permanent&inLockout != 0 {
		s.Notes = append(s.Notes, "the TPM is in dictionary-attack lockout: somebody gave wrong passwords for keys that are not ours. The keys used here are exempt and go on working. "+
			fmt.Sprintf("It ends by itself, one try every %d s, or with tpm2_dictionarylockout --clear-lockout, which wants the lockout password", p[tpm2.TPMPTLockoutInterval]))
	}
	if permanent&lockoutAuthSet == 0 {
		s.Notes = append(s.Notes, "the lockout hierarchy has no password, so whoever reaches the TPM can clear it, which destroys every key in it; set one with tpm2_changeauth -c lockout")
	}
	if !d.storage.permanent && permanent&ownerAuthSet == 0 && p[tpm2.TPMPTHRTransientAvail] == 0 {
		s.Notes = append(s.Notes, "all key slots of the TPM are in use, so keys take turns, which is slower; a storage root key that is kept would free one")
	}
	return s
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
