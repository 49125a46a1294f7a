package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// SlowTPM stands in front of a TPM and has each signature take a while, as it does in
// hardware, where it costs this host's processor nothing.
type SlowTPM struct {
	listener net.Listener
	behind   string
	pause    time.Duration
	serving  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// NewSlowTPM listens at a path of its own in front of a TPM, until [SlowTPM.Close].
func NewSlowTPM(path string, t *TPM, pause time.Duration) (*SlowTPM, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	s := &SlowTPM{listener: l, behind: t.Path(), pause: pause, conns: map[net.Conn]bool{}}
	s.serving.Go(s.accept)
	return s, nil
}

// Path is the socket's, as [TPM.Path] is.
func (s *SlowTPM) Path() string { return s.listener.Addr().String() }

// Close ends all connections.
func (s *SlowTPM) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close() // says an error when it is closed already
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}

func (s *SlowTPM) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // it is closed
		}
		s.mu.Lock()
		s.conns[c] = true
		if s.closed {
			c.Close()
		}
		s.mu.Unlock()
		s.serving.Go(func() {
			_ = s.relay(c) // either end has ended it
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// relay carries commands and responses until either end closes.
func (s *SlowTPM) relay(client net.Conn) error {
	tpm, err := net.Dial("unix", s.behind)
	if err != nil {
		return err
	}
	defer tpm.Close()
	for {
		command, err := readTPM(client)
		if err != nil {
			return err
		}
		if _, err := tpm.Write(command); err != nil {
			return err
		}
		response, err := readTPM(tpm)
		if err != nil {
			return err
		}
		if tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) == tpm2.TPMCCSign {
			time.Sleep(s.pause)
		}
		if _, err := client.Write(response); err != nil {
			return err
		}
	}
}

// readTPM reads a command or a response. Both begin with a tag (2 bytes), their whole
// size (4) and a code (4): TPM 2.0 Library part 1, 18.1.
func readTPM(r io.Reader) ([]byte, error) {
	const most = 4096 // of swtpm's
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[2:])
	if size < 10 || size > most {
		return nil, fmt.Errorf("a command or a response of %d bytes", size)
	}
	all := append(head, make([]byte, size-10)...)
	if _, err := io.ReadFull(r, all[10:]); err != nil {
		return nil, errors.Join(errors.New("it is cut off"), err)
	}
	return all, nil
}
