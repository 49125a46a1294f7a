package api

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// Root may open every socket and a socket's queue is hard to fill, so these are
// asked of the function itself.
func TestCannotReachSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no permission":    {syscall.EACCES, "`id` the groups"},
		"a full queue":     {syscall.EAGAIN, "try again"},
		"nobody accepts":   {context.DeadlineExceeded, "busy or stopped"},
		"anything else":    {errors.New("odd"), "odd"},
		"a path too long":  {syscall.EINVAL, "107 bytes"},
		"nobody listening": {syscall.ECONNREFUSED, "nobody listens"},
	} {
		t.Run(name, func(t *testing.T) {
			got := cannotReach("/run/sealward/sign.sock", c.err)
			if !strings.Contains(got, c.want) || !strings.HasPrefix(got, "cannot reach sealwardd") {
				t.Errorf("cannotReach = %q, want %q in it", got, c.want)
			}
		})
	}
}
