package pivcard

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// Kind is a way to fail.
type Kind uint8

// The ways to fail. Where it is not said otherwise the command is not carried out.
const (
	// WrongStatus answers with the status word of the fault.
	WrongStatus Kind = iota + 1
	// Empty says 9000 and nothing else, whatever was asked.
	Empty
	// Garbage says 9000 after random bytes.
	Garbage
	// Mute answers with no bytes at all, not even a status word.
	Mute
	// Truncated carries the command out and returns the first half of its data.
	Truncated
	// Endless says that there is more, for ever, until the faults are cleared or the
	// card is reset.
	Endless
	// Hang does not answer until the faults are cleared; then it carries the command
	// out.
	Hang
	// HangAfter carries the command out and does not answer until the faults are
	// cleared.
	HangAfter
	// OtherMessage signs a message that differs in one bit from the one given.
	OtherMessage
	// OtherKey uses a new key, which the slot's metadata do not show.
	OtherKey
)

// Fault is something that goes wrong with commands.
type Fault struct {
	Kind   Kind
	INS    byte   // the instruction that it happens to; 0 is any
	After  int    // how many such commands go well first
	Times  int    // how often it happens; 0 is until the faults are cleared
	Status uint16 // for WrongStatus
}

type fault struct {
	Fault
	released chan struct{} // closed when the faults are cleared
}

// Fault adds a fault. Of several that fit a command, the one added first happens.
func (c *Card) Fault(f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &fault{f, make(chan struct{})})
}

// ClearFaults ends all faults and lets what hangs go on.
func (c *Card) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		close(f.released)
	}
	c.faults = nil
	c.session.endless = false
}

// strike returns the fault that happens to a command, or nil.
func (c *Card) strike(ins byte) *fault {
	for i, f := range c.faults {
		switch {
		case f.INS != 0 && f.INS != ins:
			continue
		case f.After > 0:
			f.After--
			continue
		case f.Times == 1 && f.Kind != Hang && f.Kind != HangAfter:
			c.faults = slices.Delete(c.faults, i, i+1)
		case f.Times == 1: // stays, to be released
			f.Times = -1
		case f.Times < 0:
			continue
		case f.Times > 1:
			f.Times--
		}
		return f
	}
	return nil
}

// failing carries out a command as the faults will have it.
func (c *Card) failing(ctx context.Context, cmd command) []byte {
	f := c.strike(cmd.ins)
	if f == nil {
		return c.do(ctx, cmd)
	}
	switch f.Kind {
	case WrongStatus:
		return c.session.respond(nil, status(f.Status), 0)
	case Empty:
		return c.session.respond(nil, swOK, 0)
	case Garbage:
		return c.session.respond(random(64), swOK, 64)
	case Mute:
		return []byte{}
	case Truncated:
		answer := c.do(ctx, cmd)
		if n := (len(answer) - 2) / 2; n > 0 {
			return c.session.respond(answer[:n], swOK, n)
		}
		return answer
	case Endless:
		c.session.endless = true
		return endless()
	case Hang:
		if !c.hang(ctx, f) {
			return nil
		}
		return c.do(ctx, cmd)
	case HangAfter:
		answer := c.do(ctx, cmd)
		if !c.hang(ctx, f) {
			return nil
		}
		return answer
	case OtherMessage:
		c.session.otherMessage = true
		defer func() { c.session.otherMessage = false }()
	case OtherKey:
		c.session.otherKey = true
		defer func() { c.session.otherKey = false }()
	}
	return c.do(ctx, cmd)
}

// hang gives up mu until the faults are cleared, and reports whether that came
// before the context's end.
func (c *Card) hang(ctx context.Context, f *fault) bool {
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-f.released:
		return true
	case <-ctx.Done():
		return false
	}
}

// endless is a response that has another after it.
func endless() []byte { return binary.BigEndian.AppendUint16(random(255), uint16(swMoreData|0xff)) }

// Swap exchanges the keys in two slots, behind everybody's back.
func (c *Card) Swap(a, b byte) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := c.state.Keys
	if keys[a] == nil || keys[b] == nil {
		return fmt.Errorf("swap the keys in slots %x and %x: one of them is empty", a, b)
	}
	keys[a], keys[b] = keys[b], keys[a]
	return c.save()
}
