package ipc

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"sync"
	"time"
)

// How long an answer of the account database holds, how long one is waited for,
// and how many are kept.
const (
	accountLasts = 5 * time.Second
	failureLasts = time.Second
	accountWait  = 2 * time.Second
	accountsMost = 1024
)

// account is what the account database says about a uid. A uid without an account
// has neither name nor groups.
type account struct {
	name   string
	groups []string
}

// accounts asks the account database, which may be slow (NSS can reach a directory
// server), once per uid at a time and remembers the answer for a short while.
// A database that fails or does not answer is an error and never "no groups": a
// rule that refuses a group must not be missed.
type accounts struct {
	ask func(uid uint32) (account, error)

	mu    sync.Mutex
	known map[uint32]*answer
}

// answer is one question to the database. The other fields are set before done is
// closed and not changed after.
type answer struct {
	done    chan struct{}
	account account
	err     error
	until   time.Time
}

func newAccounts() *accounts { return &accounts{ask: askNSS, known: map[uint32]*answer{}} }

func (a *accounts) lookup(uid uint32) (account, error) {
	w, err := a.answer(uid)
	if err != nil {
		return account{}, err
	}
	timeout := time.NewTimer(accountWait)
	defer timeout.Stop()
	select {
	case <-w.done:
		return w.account, w.err
	case <-timeout.C:
		return account{}, fmt.Errorf("look up uid %d: no answer within %v", uid, accountWait)
	}
}

// answer returns what is known or being asked, or asks.
func (a *accounts) answer(uid uint32) (*answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if w := a.known[uid]; w != nil && (!w.settled() || now.Before(w.until)) {
		return w, nil
	}
	if len(a.known) >= accountsMost {
		// What is forgotten is asked again; only questions that are open cost something.
		for uid, w := range a.known {
			if w.settled() {
				delete(a.known, uid)
			}
		}
		if len(a.known) >= accountsMost {
			return nil, fmt.Errorf("look up uid %d: %d other accounts are being asked for", uid, accountsMost)
		}
	}
	w := &answer{done: make(chan struct{})}
	a.known[uid] = w
	// NSS cannot be interrupted. There is at most one of these per uid, and no more
	// than accountsMost of them.
	go func() {
		w.account, w.err = a.ask(uid)
		w.until = time.Now().Add(accountLasts)
		if w.err != nil {
			w.until = time.Now().Add(failureLasts)
		}
		close(w.done)
	}()
	return w, nil
}

func (w *answer) settled() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// askNSS looks a uid up in the account database.
func askNSS(uid uint32) (account, error) {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if _, none := errors.AsType[user.UnknownUserIdError](err); none {
		return account{}, nil
	}
	if err != nil {
		return account{}, err
	}
	gids, err := u.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("groups of %s: %w", u.Username, err)
	}
	acc := account{name: u.Username}
	for _, gid := range gids {
		g, err := user.LookupGroupId(gid)
		if _, none := errors.AsType[user.UnknownGroupIdError](err); none {
			continue // a number without a name; no policy can name it
		}
		if err != nil {
			return account{}, fmt.Errorf("group %s of %s: %w", gid, u.Username, err)
		}
		acc.groups = append(acc.groups, g.Name)
	}
	return acc, nil
}
