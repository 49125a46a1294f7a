package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// RawRate measures how fast a module signs with nothing in front of it: a number
// of sessions, each in a loop, for a duration. The key is found by its label; it
// signs a 32-byte hash, or a 32-byte message if it is an Edwards key. It
// initialises the module itself, so a process that has the module open already
// cannot call it.
func RawRate(module, tokenLabel, pin, keyLabel string, sessions int, d time.Duration) (perSecond float64, latencies []time.Duration, err error) {
	p := pkcs11.New(module)
	if p == nil {
		return 0, nil, fmt.Errorf("load %s: it is not a PKCS#11 module", module)
	}
	defer p.Destroy()
	if err := p.Initialize(); err != nil {
		return 0, nil, fmt.Errorf("initialise %s: %w", module, err)
	}
	defer func() { err = errors.Join(err, p.Finalize()) }()
	open, mechanism, key, err := rawSessions(p, tokenLabel, pin, keyLabel, sessions)
	if err != nil {
		return 0, nil, err
	}

	var wg sync.WaitGroup
	all, errs := make([][]time.Duration, len(open)), make([]error, len(open))
	start := time.Now()
	for i, session := range open {
		wg.Go(func() { all[i], errs[i] = rawLoop(p, session, mechanism, key, start.Add(d)) })
	}
	wg.Wait()
	elapsed := time.Since(start)
	latencies = slices.Concat(all...)
	return float64(len(latencies)) / elapsed.Seconds(), latencies, errors.Join(errs...)
}

func rawLoop(p *pkcs11.Ctx, session pkcs11.SessionHandle, mechanism uint, key pkcs11.ObjectHandle, until time.Time) ([]time.Duration, error) {
	var out []time.Duration
	m, hash := []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, bytes.Repeat([]byte{0x5a}, 32)
	for now := time.Now(); now.Before(until); {
		if err := p.SignInit(session, m, key); err != nil {
			return out, err
		}
		if _, err := p.Sign(session, hash); err != nil {
			return out, err
		}
		next := time.Now()
		out = append(out, next.Sub(now))
		now = next
	}
	return out, nil
}

// rawSessions logs in, opens sessions and finds the key.
func rawSessions(p *pkcs11.Ctx, tokenLabel, pin, keyLabel string, sessions int) (open []pkcs11.SessionHandle, mechanism uint, key pkcs11.ObjectHandle, err error) {
	slot, err := rawSlot(p, tokenLabel)
	if err != nil {
		return nil, 0, 0, err
	}
	for range sessions {
		s, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
		if err != nil {
			return nil, 0, 0, fmt.Errorf("open session: %w", err)
		}
		open = append(open, s)
	}
	if len(open) == 0 {
		return nil, 0, 0, errors.New("no sessions asked for")
	}
	if err := p.Login(open[0], pkcs11.CKU_USER, pin); err != nil {
		return nil, 0, 0, fmt.Errorf("log in: %w", err)
	}
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_LABEL, keyLabel)}
	if err := p.FindObjectsInit(open[0], template); err != nil {
		return nil, 0, 0, err
	}
	found, _, err := p.FindObjects(open[0], 2)
	if err = errors.Join(err, p.FindObjectsFinal(open[0])); err != nil {
		return nil, 0, 0, err
	}
	if len(found) != 1 {
		return nil, 0, 0, fmt.Errorf("%d private keys are labelled %q; want one", len(found), keyLabel)
	}
	// PKCS #11 v3.0, 2.3.5: CKM_EDDSA is 0x1057 and signs with a CKK_EC_EDWARDS, 0x40.
	mechanism = pkcs11.CKM_ECDSA
	edwards := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, uint(0x40))}
	got, err := p.GetAttributeValue(open[0], found[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, nil)})
	if err != nil {
		return nil, 0, 0, err
	}
	if bytes.Equal(got[0].Value, edwards[0].Value) {
		mechanism = 0x1057
	}
	return open, mechanism, found[0], nil
}

func rawSlot(p *pkcs11.Ctx, tokenLabel string) (uint, error) {
	slots, err := p.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, slot := range slots {
		if info, err := p.GetTokenInfo(slot); err == nil && info.Label == tokenLabel {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("no token is labelled %q", tokenLabel)
}
