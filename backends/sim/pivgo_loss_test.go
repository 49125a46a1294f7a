package sim

import (
	"testing"
	"time"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends/sim/pivcard"
)

func testRemoval(t *testing.T, r *Reader, card *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	if err := r.Remove(card); err != nil {
		t.Fatal(err)
	}
	if _, err := yk.Serial(); err == nil {
		t.Error("a card that was pulled answers")
	}
	if err := yk.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if _, err := piv.Open(firstSlot); err == nil {
		t.Error("an empty reader is opened")
	}
	if err := r.Insert(card); err != nil {
		t.Fatal(err)
	}
	if serial, err := openPIV(t, firstSlot).Serial(); err != nil || serial != 31415926 {
		t.Errorf("Serial = %d, %v", serial, err)
	}
}

func testRemovalWhileItHangs(t *testing.T, r *Reader, card *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	card.Fault(pivcard.Fault{Kind: pivcard.Hang, INS: 0xf8, Times: 1})
	before := card.Counts().Commands
	done := make(chan error, 1)
	go func() {
		_, err := yk.Serial()
		done <- err
	}()
	for card.Counts().Commands == before {
		time.Sleep(time.Millisecond)
	}
	if err := r.Remove(card); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("a card that was pulled answers")
	}
	card.ClearFaults()
	if err := yk.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := r.Insert(card); err != nil {
		t.Fatal(err)
	}
	if serial, err := openPIV(t, firstSlot).Serial(); err != nil || serial != 31415926 {
		t.Errorf("Serial = %d, %v", serial, err)
	}
}

func testRestart(t *testing.T, r *Reader, _ *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	if err := yk.VerifyPIN(piv.DefaultPIN); err != nil {
		t.Fatal(err)
	}
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := yk.Serial(); err == nil {
		t.Error("pcscd answers after it was killed")
	}
	_ = yk.Close() // says that pcscd is gone
	if _, err := piv.Open(firstSlot); err == nil {
		t.Error("a reader is opened without pcscd")
	}
	if err := r.Restart(); err != nil {
		t.Fatal(err)
	}
	yk = openPIV(t, firstSlot)
	if n, err := yk.Retries(); err != nil || n != 3 { // an error would mean: verified
		t.Errorf("Retries = %d, %v; want the card to have forgotten the PIN", n, err)
	}
}

func testTwoCards(t *testing.T, r *Reader, _ *pivcard.Card) {
	insert(t, r, newCard(t, pivcard.Config{Serial: 2}))
	for i, want := range []uint32{31415926, 2} {
		reader := []string{firstSlot, readerName + " 00 01"}[i]
		if serial, err := openPIV(t, reader).Serial(); err != nil || serial != want {
			t.Errorf("%s: Serial = %d, %v; want %d", reader, serial, err, want)
		}
	}
	if err := r.Insert(newCard(t, pivcard.Config{Serial: 3})); err == nil {
		t.Error("a third card fits; want an error")
	}
}
