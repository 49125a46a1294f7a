package pivcard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// The commands of vpcd, which are one byte long, as no command APDU is.
const (
	vpcdOff   = 0
	vpcdOn    = 1
	vpcdReset = 2
	vpcdATR   = 4
)

// atr says that the card speaks T=1, and is a YubiKey.
var atr = unhex("3bfd1300008131fe158073c021c057597562694b657940")

// Serve puts the card into a virtual reader, the other end of the connection, until
// that end closes it or the context ends; then it returns nil. The connection is
// closed on return. seen, if it is not nil, is called whenever the reader has read
// the answer to reset of the powered card: when it powers the card up, and from then
// on each time that it looks whether the card is still there.
func (c *Card) Serve(ctx context.Context, conn net.Conn, seen func()) error {
	ctx, cancel := context.WithCancel(ctx)
	commands := make(chan []byte)
	var readErr error
	go func() { // ends when the connection does
		defer close(commands)
		defer cancel() // what waits for a touch waits in vain
		readErr = readCommands(ctx, conn, commands)
	}()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := c.serve(ctx, conn, commands, seen)
	stop()
	cancel()
	conn.Close() // says an error when it is closed already
	for range commands {
		// until the reader is gone
	}
	c.Reset()
	if err == nil && ctx.Err() == nil {
		err = readErr
	}
	return err
}

// serve answers commands.
func (c *Card) serve(ctx context.Context, conn net.Conn, commands <-chan []byte, seen func()) error {
	powered := false
	for b := range commands {
		var answer []byte
		if len(b) != 1 {
			if answer = c.Transmit(ctx, b); answer == nil {
				return nil // nobody waits for it any more
			}
		} else {
			switch b[0] {
			case vpcdOff, vpcdOn, vpcdReset:
				powered = b[0] != vpcdOff
				c.Reset()
				continue
			case vpcdATR:
				answer = atr
			default:
				return fmt.Errorf("the virtual reader sent the unknown command %d", b[0])
			}
		}
		message := binary.BigEndian.AppendUint16(nil, uint16(len(answer)))
		if _, err := conn.Write(append(message, answer...)); err != nil {
			return nil // the reader is gone
		}
		if powered && len(b) == 1 && seen != nil {
			seen()
		}
	}
	return nil
}

// readCommands reads until the connection ends.
func readCommands(ctx context.Context, conn net.Conn, commands chan<- []byte) error {
	for {
		// vpcd writes length and command apart, and Nagle's algorithm at its end
		// holds back the second until the first is acknowledged: without this, each
		// command takes 40 ms.
		if err := quickAck(conn); err != nil {
			return err
		}
		var head [2]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return ended(err)
		}
		b := make([]byte, binary.BigEndian.Uint16(head[:]))
		if err := quickAck(conn); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, b); err != nil {
			return ended(err)
		}
		select {
		case commands <- b:
		case <-ctx.Done():
			return nil
		}
	}
}

// ended returns nil for the ways in which a connection ends.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

func quickAck(conn net.Conn) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return ended(err)
	}
	err = raw.Control(func(fd uintptr) {
		// Where it is refused, commands are slow, and that is all.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
	return ended(err)
}
