package backends

import (
	"path/filepath"
	"testing"
	"time"
)

// What an operator has forgotten while the device looks at a PIN is what became of
// those before it.
func TestARefusalIsRememberedThoughTheMarksWereForgottenUnderTheTry(t *testing.T) {
	t.Parallel()
	m := newPINMarks(filepath.Join(t.TempDir(), "mark"), time.Now)
	pin, salt := []byte("314159"), newSalt()
	if err := m.begin(3, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.forget(); err != nil {
		t.Fatal(err)
	}
	if err := m.end(wireTry{verdictRefused, 2, salt, pinDigest(salt, pin)}, false); err != nil {
		t.Errorf("the end of the try: %v", err)
	}
	if _, err := m.mayTry(pin, 2); err == nil {
		t.Error("the refused PIN may be sent again")
	}
}
