package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// The NV indices that belong to the owner; TCG Registry of Reserved TPM 2.0 Handles,
// 2.2.2.
const (
	firstOwnerIndex = 0x01800000
	lastOwnerIndex  = 0x01bfffff
)

// counterIndex is the argument of the operations on counters.
type counterIndex struct {
	Index uint32 `json:"index"`
}

// counterValue is their result.
type counterValue struct {
	Index uint32 `json:"index"`
	// Name is that of the NV index, in hexadecimal. It depends on nothing but the
	// index: one with other attributes is refused.
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// counterPublic is what a counter of ours is: it only goes up, by one, for whoever
// knows the keys' auth value, which no wrong try locks, and each step is in permanent
// memory before the TPM answers (not orderly). Deleted and made again by the owner,
// it goes on above the highest value that any counter of the TPM ever had (TPM 2.0
// Library part 1, 37.2.4.2), so nothing turns it back.
func counterPublic(index uint32, written bool) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(index), NameAlg: tpm2.TPMAlgSHA256, DataSize: 8,
		Attributes: tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthRead: true, AuthWrite: true, NoDA: true, Written: written},
	}
}

func nvName(p tpm2.TPMSNVPublic) (tpm2.TPM2BName, error) {
	n, err := tpm2.NVName(&p)
	if err != nil {
		return tpm2.TPM2BName{}, err
	}
	return *n, nil
}

// defineCounter makes a counter and counts once, since a counter has no value before.
// One that is there already, also half made, is as good.
func (d *driver) defineCounter(ctx context.Context, a counterIndex) (counterValue, error) {
	return d.counter(ctx, a, func() error {
		if err := d.load(d.storage); err != nil {
			return err
		}
		_, err := tpm2.NVDefineSpace{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, 16, d.options(in, nil)...)},
			Auth:       tpm2.TPM2BAuth{Buffer: d.auth},
			PublicInfo: tpm2.New2B(counterPublic(a.Index, false)),
		}.Execute(d.link)
		if refused(err) {
			return fmt.Errorf("the owner hierarchy has a password; define the index as the owner: tpm2_nvdefine %#x -s 8 -a 'authread|authwrite|no_da|nt=counter'", a.Index)
		}
		if err != nil && !has(err, tpm2.TPMRCNVDefined) {
			return err
		}
		written, err := d.checkCounter(a.Index)
		if err != nil || written {
			return err
		}
		return d.count(a.Index, false)
	})
}

func (d *driver) readCounter(ctx context.Context, a counterIndex) (counterValue, error) {
	return d.counter(ctx, a, func() error { return nil })
}

func (d *driver) incrementCounter(ctx context.Context, a counterIndex) (counterValue, error) {
	return d.counter(ctx, a, func() error {
		written, err := d.checkCounter(a.Index)
		if err != nil {
			return err
		}
		return d.count(a.Index, written)
	})
}

// counter does something with a counter and then reads it.
func (d *driver) counter(ctx context.Context, a counterIndex, change func() error) (counterValue, error) {
	if a.Index < firstOwnerIndex || a.Index > lastOwnerIndex {
		return counterValue{}, fmt.Errorf("counter %#x: the indices for it are %#x to %#x", a.Index, firstOwnerIndex, lastOwnerIndex)
	}
	v := counterValue{Index: a.Index}
	done := false
	err := d.exclusively(ctx, func() error {
		if err := d.needAuth(); err != nil {
			return err
		}
		if !done { // the second attempt, after a stale session, must not count twice
			if err := change(); err != nil {
				return err
			}
			done = true
		}
		written, err := d.checkCounter(a.Index)
		if err != nil {
			return err
		}
		if !written {
			return errors.New("it was defined and never counted; define it again")
		}
		v.Value, v.Name, err = d.readValue(a.Index)
		return err
	})
	if err != nil {
		return counterValue{}, fmt.Errorf("counter %#x: %w", a.Index, refusedAuth(err))
	}
	return v, nil
}

// checkCounter refuses an index that is not exactly a counter of ours, and says
// whether it has counted.
func (d *driver) checkCounter(index uint32) (written bool, err error) {
	rsp, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(d.link)
	if has(err, tpm2.TPMRCHandle) {
		return false, errors.New("this TPM has no such counter: it was never defined, or deleted, or the TPM was cleared")
	}
	if err != nil {
		return false, err
	}
	for _, written := range []bool{false, true} {
		name, err := nvName(counterPublic(index, written))
		if err != nil {
			return false, err
		}
		if bytes.Equal(name.Buffer, rsp.NVName.Buffer) {
			return written, nil
		}
	}
	return false, errors.New("the index is used for something else; choose another one")
}

func (d *driver) count(index uint32, written bool) error {
	name, err := nvName(counterPublic(index, written))
	if err != nil {
		return err
	}
	s, err := d.session(neither)
	if err != nil {
		return err
	}
	_, err = tpm2.NVIncrement{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(index), Name: name, Auth: s},
		NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: name},
	}.Execute(d.link)
	return err
}

func (d *driver) readValue(index uint32) (uint64, string, error) {
	name, err := nvName(counterPublic(index, true))
	if err != nil {
		return 0, "", err
	}
	s, err := d.session(out)
	if err != nil {
		return 0, "", err
	}
	rsp, err := tpm2.NVRead{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(index), Name: name, Auth: s},
		NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: name},
		Size:       8,
	}.Execute(d.link)
	if err != nil {
		return 0, "", err
	}
	if len(rsp.Data.Buffer) != 8 {
		return 0, "", fmt.Errorf("the TPM returned %d bytes of a counter", len(rsp.Data.Buffer))
	}
	return binary.BigEndian.Uint64(rsp.Data.Buffer), hex.EncodeToString(name.Buffer), nil
}
