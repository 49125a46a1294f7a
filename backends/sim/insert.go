package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/sealward/sealward/backends/sim/pivcard"
)

// Insert puts a card into the first empty slot, and returns when pcscd has it.
func (r *Reader) Insert(card *pivcard.Card) error {
	r.mu.Lock()
	slot := -1
	for i, in := range r.cards {
		switch {
		case in != nil && in.card == card:
			r.mu.Unlock()
			return errors.New("insert a virtual card: it is inserted")
		case in == nil && slot < 0:
			slot = i
		}
	}
	if slot < 0 {
		r.mu.Unlock()
		return errors.New("insert a virtual card: the reader is full")
	}
	ctx, cancel := context.WithCancel(context.Background())
	in := &inserted{card: card, cancel: cancel, done: make(chan struct{}), present: make(chan struct{}, 1)}
	r.cards[slot] = in
	r.mu.Unlock()
	go r.hold(ctx, slot, in)
	return in.awaitPresence()
}

// Remove pulls a card, in the middle of a command if need be, and returns when the
// reader has noticed.
func (r *Reader) Remove(card *pivcard.Card) error {
	r.mu.Lock()
	var in *inserted
	for _, candidate := range r.cards {
		if candidate != nil && candidate.card == card {
			in = candidate
		}
	}
	if in == nil {
		r.mu.Unlock()
		return errors.New("remove a virtual card: it is not inserted")
	}
	in.removed = true
	// The reader sees the end of what the card says, and closes its end in turn.
	if tcp, ok := in.conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // says an error when the reader is gone
	} else {
		in.cancel()
	}
	r.mu.Unlock()
	select {
	case <-in.done:
	case <-time.After(10 * time.Second):
		in.cancel()
		<-in.done
		return errors.New("remove a virtual card: the reader did not notice within 10 s")
	}
	return nil
}

// awaitPresence waits until pcscd has powered the card up and looked at it again,
// which it does only after it has told its clients.
func (in *inserted) awaitPresence() error {
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	select {
	case <-in.present:
		return nil
	case <-in.done:
		return errors.New("insert a virtual card: it was removed at once")
	case <-timeout.C:
		return errors.New("insert a virtual card: pcscd did not notice within 20 s")
	}
}

// hold keeps a card in its slot, also when pcscd is killed and started again.
func (r *Reader) hold(ctx context.Context, slot int, in *inserted) {
	defer close(in.done)
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		in.cancel()
		r.cards[slot], r.used[slot] = nil, true
	}()
	r.mu.Lock()
	used := r.used[slot]
	r.mu.Unlock()
	for ctx.Err() == nil {
		conn, err := r.dial(ctx, slot, in)
		if err == nil && used {
			showEmpty(ctx, conn)
			used = false
			continue
		}
		if err != nil {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		looks := 0
		_ = in.card.Serve(ctx, conn, func() { // it tries again, whatever it says
			if looks++; looks == 2 {
				select {
				case in.present <- struct{}{}:
				default:
				}
			}
		})
		r.mu.Lock()
		in.conn = nil
		removed := in.removed
		r.mu.Unlock()
		if removed {
			return
		}
	}
}

// showEmpty makes pcscd look at an empty slot. A card that comes back before pcscd
// has looked is a card that was never away, and pcscd would neither power it up nor
// tell its clients.
func showEmpty(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	var look [1]byte
	_, _ = conn.Read(look[:]) // the reader looks, and gets no answer
}

// dial connects a card to its slot.
func (r *Reader) dial(ctx context.Context, slot int, in *inserted) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.removed || r.port == 0 {
		return nil, errors.New("there is no reader for the card")
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port+slot)))
	if err != nil {
		return nil, fmt.Errorf("insert a virtual card: %w", err)
	}
	in.conn = conn
	return conn, nil
}
